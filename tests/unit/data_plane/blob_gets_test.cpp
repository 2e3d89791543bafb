// Gets, and how they share what may be under way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/data_plane/blob_service_fixture.h"

namespace entente::broker {
namespace {

TEST_F(BlobServiceTest, ADamagedBlobIsNeverServedToItsEnd) {
  std::string bytes(2 * kFirstChunk + 3, 'y');
  BlobStore earlier(folder_);  // another process's: this one has not hashed the blob
  std::ofstream(earlier.scratch_path("blob"), std::ios::binary) << bytes;
  const BlobId blob = earlier.adopt(earlier.scratch_path("blob"));
  bytes[7] = 'x';
  std::ofstream(store_.path(blob), std::ios::binary) << bytes;
  grants_.add(GetGrant{kNorth, blob});
  tell(1, msg::BlobGet{blob, 0, 8});
  next<msg::BlobSize>();
  while (service_->serve_gets(now_)) {
  }
  next<msg::BlobChunk>();
  next<msg::BlobChunk>();
  EXPECT_EQ(refusal(), "blob_damaged");
  EXPECT_TRUE(sent_.empty());
  EXPECT_FALSE(store_.has(blob));
  EXPECT_TRUE(fs::exists(store_.quarantine_path(blob)));
}

TEST_F(BlobServiceTest, AGetIsServedWithinItsCredit) {
  const std::string bytes(4 * kFirstChunk + 100, 'y');
  const BlobId blob = stored(bytes);
  grants_.add(GetGrant{kNorth, blob});
  tell(1, msg::BlobGet{blob, 10, 3});
  EXPECT_EQ(next<msg::BlobSize>().bytes, bytes.size());
  while (service_->serve_gets(now_)) {
  }
  ASSERT_EQ(sent_.size(), 3U);
  std::uint64_t offset = 10;
  std::string got = bytes.substr(0, 10);
  const auto take = [&] {
    got += sent_.front().payload;
    EXPECT_EQ(next<msg::BlobChunk>().offset, offset);
    offset = got.size();
  };
  while (!sent_.empty()) {
    take();
  }
  tell(1, msg::BlobCredit{blob, 3});
  while (service_->serve_gets(now_)) {
  }
  ASSERT_EQ(sent_.size(), 2U);
  while (!sent_.empty()) {
    take();
  }
  EXPECT_EQ(got, bytes);
  tell(1, msg::BlobCredit{blob, 2});
  EXPECT_TRUE(closed_.empty()) << "credit for the last chunks comes after the end";
}

TEST_F(BlobServiceTest, AGetBeginsWithSmallChunksAndGrowsOnAFastLine) {
  const BlobId blob = stored(std::string(40 * kChunk, 'y'));
  grants_.add(GetGrant{kNorth, blob});
  tell(1, msg::BlobGet{blob, 0, kWindow});
  next<msg::BlobSize>();
  std::vector<std::size_t> sizes;
  while (sizes.empty() || sizes.back() < kChunk) {
    service_->serve_gets(now_);
    ASSERT_FALSE(sent_.empty());
    sizes.push_back(sent_.front().payload.size());
    next<msg::BlobChunk>();
    tell(1, msg::BlobCredit{blob, 1});
  }
  EXPECT_EQ(sizes.front(), kFirstChunk);
  EXPECT_TRUE(std::is_sorted(sizes.begin(), sizes.end()));
}

TEST_F(BlobServiceTest, AGetKeepsToSmallChunksOnASlowLine) {
  const BlobId blob = stored(std::string(kChunk, 'y'));
  grants_.add(GetGrant{kNorth, blob});
  tell(1, msg::BlobGet{blob, 0, kWindow});
  next<msg::BlobSize>();
  for (int i = 0; i < 100; ++i) {
    while (service_->serve_gets(now_)) {
    }
    ASSERT_FALSE(sent_.empty());
    EXPECT_EQ(sent_.front().payload.size(), kFirstChunk);
    next<msg::BlobChunk>();
    now_ += Millis(400);  // 10 KB/s
    tell(1, msg::BlobCredit{blob, 1});
  }
}

TEST_F(BlobServiceTest, TheNextGetOfASessionGoesOnWithTheChunksOfTheLast) {
  const BlobId first = stored(std::string(40 * kChunk, 'y'));
  const BlobId second = stored(std::string(4 * kChunk, 'z'));
  grants_.add(GetGrant{kNorth, first});
  grants_.add(GetGrant{kNorth, second});
  EXPECT_EQ(get_all(first).front(), kFirstChunk);
  EXPECT_EQ(get_all(second).front(), kChunk);
}

TEST_F(BlobServiceTest, AGetThatIsAskedForAgainWithChunksUnderWayBeginsSmall) {
  const BlobId first = stored(std::string(40 * kChunk, 'y'));
  const BlobId second = stored(std::string(40 * kChunk, 'z'));
  grants_.add(GetGrant{kNorth, first});
  grants_.add(GetGrant{kNorth, second});
  get_all(first);
  tell(1, msg::BlobGet{second, 0, kWindow});
  service_->serve_gets(now_);
  sent_.clear();  // lost, perhaps
  EXPECT_EQ(get_all(second).front(), kFirstChunk);
}

TEST_F(BlobServiceTest, CreditForChunksThatWereNeverSentEndsTheSession) {
  const BlobId blob = stored(std::string(20 * kChunk, 'y'));
  grants_.add(GetGrant{kNorth, blob});
  tell(1, msg::BlobGet{blob, 0, 1000});
  while (service_->serve_gets(now_)) {
  }
  EXPECT_EQ(sent_.size(), 1 + kWindow) << "a claimed credit is cut to the window";
  tell(1, msg::BlobCredit{blob, static_cast<std::uint32_t>(kWindow + 1)});
  EXPECT_THAT(closed_, testing::ElementsAre(1));
}

TEST_F(BlobServiceTest, ManyGetsShareWhatMayBeUnderWay) {
  constexpr SessionId kSites = 16;
  const BlobId blob = stored(std::string(20 * kChunk, 'y'));
  for (SessionId session = 2; session < 2 + kSites; ++session) {
    greet(session, "site/" + std::to_string(session));
    grants_.add(GetGrant{"site/" + std::to_string(session), blob});
    tell(session, msg::BlobGet{blob, 0, kWindow});
    next<msg::BlobSize>();
  }
  while (service_->serve_gets(now_)) {
  }
  EXPECT_EQ(sent_.size(), limits::kChunksUnderWayMax);
}

TEST_F(BlobServiceTest, GetsTakeTurns) {
  const BlobId blob = stored(std::string(8 * kChunk, 'y'));
  for (SessionId session : {2, 3, 4}) {
    greet(session, "site/" + std::to_string(session));
    grants_.add(GetGrant{"site/" + std::to_string(session), blob});
    tell(session, msg::BlobGet{blob, 0, 8});
    next<msg::BlobSize>();
  }
  EXPECT_TRUE(service_->serve_gets(now_));
  std::map<SessionId, int> served;
  for (const Sent& sent : sent_) {
    ++served[sent.session];
  }
  EXPECT_THAT(served,
              testing::ElementsAre(testing::Pair(2, 2), testing::Pair(3, 2), testing::Pair(4, 2)));
}

TEST_F(BlobServiceTest, AGetOfAMissingBlobOrFromBeyondItsEndIsNotServed) {
  const BlobId missing = sha256("missing");
  grants_.add(GetGrant{kNorth, missing});
  tell(1, msg::BlobGet{missing, 0, 8});
  EXPECT_EQ(refusal(), "blob_missing");
  const BlobId blob = stored("12345");
  grants_.add(GetGrant{kNorth, blob});
  tell(1, msg::BlobGet{blob, 6, 8});
  EXPECT_THAT(closed_, testing::ElementsAre(1));
}

TEST_F(BlobServiceTest, ARevokedGetIsRefusedAtItsNextMessage) {
  const BlobId blob = stored(std::string(20 * kChunk, 'y'));
  grants_.add(GetGrant{kNorth, blob});
  tell(1, msg::BlobGet{blob, 0, 1});
  service_->serve_gets(now_);
  sent_.clear();
  grants_.revoke(kNorth, blob);
  tell(1, msg::BlobCredit{blob, 1});
  EXPECT_EQ(refusal(), "not_granted");
  EXPECT_FALSE(service_->serve_gets(now_));
  EXPECT_TRUE(sent_.empty());
}

TEST_F(BlobServiceTest, ASessionThatTakesNothingIsClosed) {
  const BlobId blob = stored(std::string(4 * kChunk, 'y'));
  grants_.add(GetGrant{kNorth, blob});
  tell(1, msg::BlobGet{blob, 0, 8});
  queues_are_full_ = true;
  EXPECT_FALSE(service_->serve_gets(now_));
  EXPECT_THAT(closed_, testing::ElementsAre(1));
}

}  // namespace
}  // namespace entente::broker
