// Greetings and puts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/data_plane/blob_service_fixture.h"
#include "tests/unit/data_plane/tensors.h"

namespace entente::broker {
namespace {

TEST_F(BlobServiceTest, StoresAGrantedBlob) {
  const std::string bytes(3 * kChunk + 17, 'x');
  const BlobId blob = allow_put(bytes);
  upload(1, blob, bytes);
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
  EXPECT_TRUE(store_.verify(blob));
  ASSERT_EQ(arrived_.size(), 1U);
  EXPECT_EQ(arrived_[0].peer, kNorth);
  EXPECT_TRUE(arrived_[0].check);
}

TEST_F(BlobServiceTest, StoresAnEmptyBlob) {
  const BlobId blob = allow_put("");
  upload(1, blob, "");
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
}

TEST_F(BlobServiceTest, NothingIsServedWithoutAGrant) {
  const std::string bytes = "secret";
  const BlobId blob = stored(bytes);
  tell(1, msg::BlobGet{blob, 0, 8});
  EXPECT_EQ(refusal(), "not_granted");
  tell(1, msg::BlobPut{blob, bytes.size()});
  EXPECT_EQ(refusal(), "not_granted");
  allow_put(bytes, "site/south");
  grants_.add(GetGrant{"site/south", blob});
  tell(1, msg::BlobGet{blob, 0, 8});
  EXPECT_EQ(refusal(), "not_granted") << "another member's grant";
  EXPECT_TRUE(closed_.empty());
}

TEST_F(BlobServiceTest, AMessageBeforeHelloEndsTheSession) {
  service_->open(2, "site/south");
  tell(2, msg::BlobPut{});
  EXPECT_THAT(closed_, testing::ElementsAre(2));
  tell(2, msg::Hello{});
  EXPECT_TRUE(sent_.empty()) << "a closed session is not served";
}

TEST_F(BlobServiceTest, AnotherProtocolIsRefusedWithItsReason) {
  service_->open(2, "site/south");
  msg::Hello hello;
  hello.protocol_min = hello.protocol_max = msg::kProtocolMax + 1;
  tell(2, hello);
  EXPECT_EQ(next<msg::Refused>().reason.code, "protocol_unsupported");
  EXPECT_TRUE(closed_.empty()) << "the peer must be able to read why";
  tell(2, msg::Hello{});
  EXPECT_THAT(closed_, testing::ElementsAre(2));
}

TEST_F(BlobServiceTest, AnotherSizeThanAnnouncedIsRefused) {
  const BlobId blob = allow_put("12345");
  tell(1, msg::BlobPut{blob, 6});
  EXPECT_EQ(refusal(), "size_mismatch");
}

TEST_F(BlobServiceTest, AChunkThatDoesNotContinueItsBlobEndsTheSession) {
  const std::string bytes(2 * kChunk, 'x');
  const BlobId blob = allow_put(bytes);
  const std::string oversize(kChunk + 1, 'x');
  const std::vector<std::pair<std::uint64_t, std::string_view>> wrong{
      {1, "x"}, {kChunk, "x"}, {0, ""}, {0, oversize}};
  SessionId session = 10;
  for (const auto& [offset, payload] : wrong) {
    greet(++session, kNorth);
    tell(session, msg::BlobPut{blob, bytes.size()});
    next<msg::BlobReady>();
    chunk(session, blob, offset, payload);
    ASSERT_FALSE(closed_.empty());
    EXPECT_EQ(closed_.back(), session) << "offset " << offset;
  }
}

TEST_F(BlobServiceTest, AChunkBeyondTheGrantedSizeEndsTheSession) {
  const BlobId blob = allow_put("12345");
  tell(1, msg::BlobPut{blob, 5});
  next<msg::BlobReady>();
  chunk(1, blob, 0, "123456");
  EXPECT_THAT(closed_, testing::ElementsAre(1));
}

TEST_F(BlobServiceTest, MessagesOutOfPlaceEndTheSession) {
  const BlobId blob = sha256("x");
  const std::vector<msg::Data> wrong{msg::Hello{},
                                     msg::Welcome{},
                                     msg::Refused{},
                                     msg::BlobReady{blob, 0, 1},
                                     msg::BlobStored{blob},
                                     msg::BlobSize{blob, 1},
                                     msg::BlobRefused{blob, {}},
                                     msg::BlobChunk{blob, 0}};
  SessionId session = 10;
  for (const msg::Data& message : wrong) {
    greet(++session, kNorth);
    tell(session, message);
    ASSERT_FALSE(closed_.empty());
    EXPECT_EQ(closed_.back(), session) << "message kind " << message.index();
  }
  greet(20, kNorth);
  chunk(20, blob, 0, "a chunk of a blob that was never put");
  EXPECT_EQ(closed_.back(), 20U);
  greet(21, kNorth);
  service_->receive(21, msg::BlobPut{blob, 1}, zmq::message_t(1), now_);
  EXPECT_EQ(closed_.back(), 21U) << "a payload that belongs to no chunk";
}

TEST_F(BlobServiceTest, AnInterruptedPutResumesInTheNextSession) {
  const std::string bytes(5 * kChunk, 'x');
  const BlobId blob = allow_put(bytes);
  tell(1, msg::BlobPut{blob, bytes.size()});
  EXPECT_EQ(next<msg::BlobReady>().credit, kWindow);
  chunk(1, blob, 0, std::string_view(bytes).substr(0, kChunk));
  chunk(1, blob, kChunk, std::string_view(bytes).substr(kChunk, 100));
  sent_.clear();
  service_->close(1);
  greet(2, kNorth);
  tell(2, msg::BlobPut{blob, bytes.size()});
  const auto ready = next<msg::BlobReady>();
  EXPECT_EQ(ready.offset, kChunk + 100);
  send_rest(2, blob, bytes, ready.offset);
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
}

TEST_F(BlobServiceTest, ANewerSessionOfTheSamePeerTakesAPutOver) {
  const std::string bytes(2 * kChunk, 'x');
  const BlobId blob = allow_put(bytes);
  tell(1, msg::BlobPut{blob, bytes.size()});
  next<msg::BlobReady>();
  chunk(1, blob, 0, std::string_view(bytes).substr(0, 1000));
  next<msg::BlobCredit>();
  greet(2, kNorth);
  tell(2, msg::BlobPut{blob, bytes.size()});
  EXPECT_EQ(next<msg::BlobReady>().offset, 1000U);
  chunk(1, blob, 1000, "late, from the session that is dying");
  EXPECT_TRUE(sent_.empty());
  send_rest(2, blob, bytes, 1000);
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
}

TEST_F(BlobServiceTest, TwoPeersCannotWriteTheSameBlobAtOnce) {
  const BlobId blob = allow_put("12345");
  allow_put("12345", "site/south");
  greet(2, "site/south");
  tell(1, msg::BlobPut{blob, 5});
  next<msg::BlobReady>();
  tell(2, msg::BlobPut{blob, 5});
  EXPECT_EQ(refusal(), "blob_busy");
}

TEST_F(BlobServiceTest, AResumedPartThatACrashDamagedIsSentAgain) {
  const std::string bytes(kChunk + 50, 'x');
  const BlobId blob = allow_put(bytes);
  std::ofstream(folder_ / "partial" / blob.hex()) << std::string(500, '\0');
  tell(1, msg::BlobPut{blob, bytes.size()});
  EXPECT_EQ(next<msg::BlobReady>().offset, 500U);
  send_rest(1, blob, bytes, 500);
  EXPECT_EQ(next<msg::BlobReady>().offset, 0U);
  EXPECT_TRUE(arrived_.empty());
  send_rest(1, blob, bytes, 0);
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
}

TEST_F(BlobServiceTest, BytesOfAnotherDigestAreRefusedAndReported) {
  const BlobId blob = allow_put("12345");
  upload(1, blob, "54321");
  EXPECT_EQ(refusal(), "blob_corrupt");
  ASSERT_EQ(arrived_.size(), 1U);
  EXPECT_EQ(arrived_[0].check.error().code, "blob_corrupt");
  EXPECT_FALSE(store_.has(blob));
}

TEST_F(BlobServiceTest, AStoredBlobIsCheckedAndAcknowledgedAtOnce) {
  const BlobId blob = stored("12345");
  allow_put("12345");
  tell(1, msg::BlobPut{blob, 5});
  EXPECT_EQ(next<msg::BlobReady>().offset, 5U);
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
  EXPECT_EQ(arrived_.size(), 1U);
}

TEST_F(BlobServiceTest, AStoredBlobThatIsDamagedIsPutAsideAndSentAgain) {
  const BlobId blob = stored("12345");
  std::ofstream(store_.path(blob)) << "12945";
  allow_put("12345");
  upload(1, blob, "12345");
  EXPECT_EQ(next<msg::BlobStored>().blob, blob);
  EXPECT_TRUE(store_.verify(blob));
  EXPECT_TRUE(fs::exists(store_.quarantine_path(blob)));
}

TEST_F(BlobServiceTest, TensorsAreCheckedBeforeTheBlobIsAcknowledged) {
  struct Case {
    std::string bytes;
    std::string code;  // empty: accepted
    UpdateSpec update{};
  };
  const UpdateSpec topk{"topk", 0.5};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Case& c :
       {Case{tensor_bytes({3, 4}), ""}, Case{tensor_bytes({30, 40}), "norm_too_large"},
        Case{tensor_bytes({1, nan}), "not_finite"},
        Case{tensor_bytes({1, 2, 3}), "layout_mismatch"}, Case{sparse_bytes(1, 5), "", topk},
        Case{sparse_bytes(2, 5), "tensors_invalid", topk},
        Case{sparse_bytes(-1, 5), "tensors_invalid", topk},
        Case{sparse_bytes(1, 50), "norm_too_large", topk},
        Case{sparse_bytes(0, 5), "tensors_invalid"},
        Case{tensor_bytes({3, 4.5F}), "layout_mismatch", topk}}) {
    const BlobId blob = sha256(c.bytes);
    grants_.add(PutGrant{kNorth, blob, c.bytes.size(), layout_of(2), 10, c.update});
    arrived_.clear();
    upload(1, blob, c.bytes);
    ASSERT_EQ(arrived_.size(), 1U);
    if (c.code.empty()) {
      EXPECT_EQ(next<msg::BlobStored>().blob, blob);
      ASSERT_TRUE(arrived_[0].check);
      EXPECT_DOUBLE_EQ(arrived_[0].check->l2_norm, 5);
    } else {
      EXPECT_EQ(refusal(), c.code);
      EXPECT_EQ(arrived_[0].check.error().code, c.code);
      EXPECT_FALSE(store_.has(blob)) << "a refused update must not stay";
    }
  }
}

TEST_F(BlobServiceTest, TensorsAreCheckedHoweverTheyArrive) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& [values, code] : {std::pair(std::vector<float>{2, 4, 4, 8, 0}, ""),
                                     std::pair(std::vector<float>{1, 2, 3, 4, nan}, "not_finite"),
                                     std::pair(std::vector<float>{9, 0, 0, 0, 9}, "norm_too_large"),
                                     std::pair(std::vector<float>{1, 2, 3, 4}, "layout_mismatch"),
                                     std::pair(std::vector<float>(6), "layout_mismatch")}) {
    const std::string bytes = tensor_bytes(values);
    const BlobId blob = sha256(bytes);
    for (const std::size_t chunk_bytes : {1UL, 3UL, 4UL, 1000UL}) {
      for (const std::uint64_t resumed_at : {std::uint64_t{0}, bytes.size() - 6}) {
        SCOPED_TRACE(std::string(code) + " in chunks of " + std::to_string(chunk_bytes) +
                     ", resumed at " + std::to_string(resumed_at));
        grants_.add(PutGrant{kNorth, blob, bytes.size(), layout_of(5), 10});
        arrived_.clear();
        tell(1, msg::BlobPut{blob, bytes.size()});
        EXPECT_EQ(next<msg::BlobReady>().offset, 0U);
        if (resumed_at > 0) {
          chunk(1, blob, 0, std::string_view(bytes).substr(0, resumed_at));
          next<msg::BlobCredit>();
          tell(1, msg::BlobPut{blob, bytes.size()});
          EXPECT_EQ(next<msg::BlobReady>().offset, resumed_at);
        }
        send_rest(1, blob, bytes, resumed_at, chunk_bytes);
        ASSERT_EQ(arrived_.size(), 1U);
        if (arrived_[0].check) {
          EXPECT_EQ(next<msg::BlobStored>().blob, blob);
          EXPECT_STREQ(code, "");
          EXPECT_DOUBLE_EQ(arrived_[0].check->l2_norm, 10);
          store_.remove(blob);
        } else {
          EXPECT_EQ(refusal(), code);
        }
      }
    }
  }
}

TEST_F(BlobServiceTest, AFailedCheckNeverRemovesABlobThatWasThereBefore) {
  const std::string model = tensor_bytes({30, 40});
  const BlobId blob = stored(model);
  grants_.add(PutGrant{kNorth, blob, model.size(), layout_of(2), 10});
  tell(1, msg::BlobPut{blob, model.size()});
  EXPECT_EQ(next<msg::BlobReady>().offset, model.size());
  EXPECT_EQ(refusal(), "norm_too_large");
  EXPECT_TRUE(store_.has(blob));
}

TEST_F(BlobServiceTest, ARevokedPutIsRefusedAndSwallowsWhatWasUnderWay) {
  const std::string bytes(20 * kChunk, 'x');
  const BlobId blob = allow_put(bytes);
  tell(1, msg::BlobPut{blob, bytes.size()});
  next<msg::BlobReady>();
  grants_.revoke(kNorth, blob);
  for (std::size_t i = 0; i < kWindow; ++i) {
    chunk(1, blob, i * kChunk, std::string_view(bytes).substr(0, kChunk));
  }
  EXPECT_EQ(refusal(), "not_granted");
  EXPECT_TRUE(sent_.empty());
  EXPECT_TRUE(closed_.empty());
  chunk(1, blob, kWindow * kChunk, "x");
  EXPECT_THAT(closed_, testing::ElementsAre(1)) << "one more than the credit allowed";
}

TEST_F(BlobServiceTest, ASessionHasFewTransfersAtATime) {
  for (std::size_t i = 0; i <= kTransfersPerSessionMax; ++i) {
    const std::string bytes = "blob " + std::to_string(i);
    const BlobId blob = allow_put(bytes);
    tell(1, msg::BlobPut{blob, bytes.size()});
    const BlobId model = stored("model " + std::to_string(i));
    grants_.add(GetGrant{kNorth, model});
    tell(1, msg::BlobGet{model, 0, 0});
    if (i < kTransfersPerSessionMax) {
      next<msg::BlobReady>();
      next<msg::BlobSize>();
    } else {
      EXPECT_EQ(refusal(), "too_many_transfers");
      EXPECT_EQ(refusal(), "too_many_transfers");
    }
  }
}

TEST_F(BlobServiceTest, ManyPutsShareWhatMayBeUnderWay) {
  constexpr SessionId kSites = 16;
  std::uint32_t last = kWindow;
  for (SessionId session = 2; session < 2 + kSites; ++session) {
    const std::string peer = "site/" + std::to_string(session);
    const std::string bytes(20 * kChunk, static_cast<char>(session));
    const BlobId blob = sha256(bytes);
    greet(session, peer);
    grants_.add(PutGrant{peer, blob, bytes.size(), nullptr, 0});
    tell(session, msg::BlobPut{blob, bytes.size()});
    last = next<msg::BlobReady>().credit;
  }
  EXPECT_EQ(last, limits::kChunksUnderWayMax / kSites);
}

TEST_F(BlobServiceTest, ProgressIsReportedAtMostOnceASecond) {
  const std::string bytes(4000, 'x');
  const BlobId blob = allow_put(bytes);
  tell(1, msg::BlobPut{blob, bytes.size()});
  for (std::uint64_t offset = 0; offset < 2500; offset += 100) {
    chunk(1, blob, offset, std::string_view(bytes).substr(offset, 100));
    now_ += Millis(100);
  }
  ASSERT_EQ(moved_.size(), 3U);
  EXPECT_EQ(moved_[0].done, 100U);
  EXPECT_EQ(moved_[1].done, 1100U);
  EXPECT_EQ(moved_[2].done, 2100U);
  EXPECT_EQ(moved_[2].total, 4000U);
}

}  // namespace
}  // namespace entente::broker
