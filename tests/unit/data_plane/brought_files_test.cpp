// What coordinators bring: a digest is known to many, so that only who has the bytes may have it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/data_plane/blob_service_fixture.h"

namespace entente::broker {
namespace {

inline constexpr char kAlice[] = "coordinator/alice";
inline constexpr char kBob[] = "coordinator/bob";

struct BroughtFilesTest : BlobServiceTest {
  BroughtFilesTest() {
    greet(2, kAlice);
    greet(3, kBob);
  }
  BlobId allow_bringing(std::string_view bytes, const std::string& peer = kAlice) {
    const BlobId blob = sha256(bytes);
    PutGrant grant{peer, blob, bytes.size(), nullptr, 0};
    grant.is_brought = true;
    grants_.add(std::move(grant));
    return blob;
  }
  // Where the broker wants the peer to go on.
  std::uint64_t offset_for(SessionId session, const BlobId& blob, std::string_view bytes) {
    tell(session, msg::BlobPut{blob, bytes.size()});
    return next<msg::BlobReady>().offset;
  }

  const std::string bytes_ = std::string(2 * kChunk, 'x') + "secret";
};

TEST_F(BroughtFilesTest, WhoNamesAStoredBlobMustBringAllOfItsBytes) {
  ASSERT_EQ(stored(bytes_), allow_bringing(bytes_));
  const BlobId blob = sha256(bytes_);
  EXPECT_EQ(offset_for(2, blob, bytes_), 0U);
  EXPECT_TRUE(arrived_.empty()) << "to have heard of a digest is no right to its blob";
  send_rest(2, blob, bytes_, 0);
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
  ASSERT_EQ(arrived_.size(), 1U);
  EXPECT_EQ(arrived_[0].peer, kAlice);
}

TEST_F(BroughtFilesTest, OtherBytesOfThatLengthDoNotTakeTheStoredOnesAway) {
  const BlobId blob = stored(bytes_);
  allow_bringing(bytes_);
  EXPECT_EQ(offset_for(2, blob, bytes_), 0U);
  send_rest(2, blob, std::string(bytes_.size(), 'y'), 0);
  EXPECT_EQ(refusal(), "blob_corrupt");
  EXPECT_TRUE(store_.verify(blob));
}

TEST_F(BroughtFilesTest, OneGoesOnFromWhatItHasBroughtAndNotFromAnothersPart) {
  const BlobId blob = allow_put(bytes_);
  allow_bringing(bytes_, kAlice);
  allow_bringing(bytes_, kBob);
  EXPECT_EQ(offset_for(1, blob, bytes_), 0U);
  chunk(1, blob, 0, std::string_view(bytes_).substr(0, kChunk));
  next<msg::BlobCredit>();
  EXPECT_EQ(offset_for(2, blob, bytes_), 0U) << "the site's part";
  chunk(2, blob, 0, std::string_view(bytes_).substr(0, 2 * kChunk / 2));
  next<msg::BlobCredit>();
  EXPECT_EQ(offset_for(3, blob, bytes_), 0U) << "the other coordinator's part";
  EXPECT_EQ(offset_for(2, blob, bytes_), kChunk);
}

TEST_F(BroughtFilesTest, AFileIsTheBrokersToo) {
  const BlobId blob = allow_bringing(bytes_);
  upload(2, blob, bytes_);
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
  EXPECT_TRUE(store_.verify(blob));
  EXPECT_THAT(inbox_.list(), testing::ElementsAre(FileInbox::Left{kAlice, blob}));
}

TEST_F(BroughtFilesTest, AFileThatIsForgottenStaysWithTheBroker) {
  const BlobId blob = allow_bringing(bytes_);
  upload(2, blob, bytes_);
  grants_.revoke(kAlice, blob);
  service_->forget(kAlice, blob);
  EXPECT_THAT(inbox_.list(), testing::IsEmpty());
  EXPECT_TRUE(store_.verify(blob));
}

TEST_F(BroughtFilesTest, APartThatIsForgottenIsGoneAlsoWhileMoreIsOnItsWay) {
  const BlobId blob = allow_bringing(bytes_);
  EXPECT_EQ(offset_for(2, blob, bytes_), 0U);
  chunk(2, blob, 0, std::string_view(bytes_).substr(0, kChunk));
  next<msg::BlobCredit>();
  grants_.revoke(kAlice, blob);
  service_->forget(kAlice, blob);
  EXPECT_THAT(inbox_.list(), testing::IsEmpty());
  chunk(2, blob, kChunk, std::string_view(bytes_).substr(kChunk, kChunk));
  EXPECT_TRUE(closed_.empty()) << "it was under way";
}

// Granted again before the data thread has heard that the earlier grant had ended.
TEST_F(BroughtFilesTest, WhatIsGrantedAnewIsNotForgotten) {
  const BlobId blob = allow_bringing(bytes_);
  upload(2, blob, bytes_);
  service_->forget(kAlice, blob);
  EXPECT_THAT(inbox_.list(), testing::SizeIs(1));
}

TEST_F(BroughtFilesTest, ARestartFindsWhoHasBroughtWhat) {
  const BlobId whole = allow_bringing(bytes_);
  upload(2, whole, bytes_);
  const std::string other = bytes_ + "more";
  const BlobId part = allow_bringing(other, kBob);
  EXPECT_EQ(next<msg::BlobStored>().blob, whole);
  EXPECT_EQ(offset_for(3, part, other), 0U);
  chunk(3, part, 0, std::string_view(other).substr(0, kChunk));
  FileInbox again(folder_ / "brought");
  EXPECT_THAT(again.list(),
              testing::ElementsAre(FileInbox::Left{kAlice, whole}, FileInbox::Left{kBob, part}));
  ASSERT_NE(again.find(kAlice), nullptr);
  EXPECT_TRUE(again.find(kAlice)->verify(whole));
  EXPECT_EQ(again.find("coordinator/carol"), nullptr);
}

}  // namespace
}  // namespace entente::broker
