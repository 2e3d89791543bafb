#include "common/blob/fresh_blobs.h"

#include <gtest/gtest.h>

#include "common/crypto/digest.h"

namespace entente {
namespace {

using std::chrono::seconds;

constexpr std::uint64_t kLarge = 256 << 10;
const FreshBlobs::Clock::time_point kNow{};

TEST(FreshBlobs, AreBelievedForAMinute) {
  FreshBlobs fresh;
  const BlobId blob = sha256("blob");
  fresh.note(blob, kLarge, kNow);
  EXPECT_TRUE(fresh.contains(blob, kNow + seconds(59)));
  EXPECT_FALSE(fresh.contains(blob, kNow + seconds(60)));
}

TEST(FreshBlobs, SmallOnesAreHashedEveryTime) {
  FreshBlobs fresh;
  fresh.note(sha256("blob"), kLarge - 1, kNow);
  EXPECT_FALSE(fresh.contains(sha256("blob"), kNow));
}

TEST(FreshBlobs, WhatIsForgottenIsNotBelieved) {
  FreshBlobs fresh;
  fresh.note(sha256("blob"), kLarge, kNow);
  fresh.forget(sha256("blob"));
  EXPECT_FALSE(fresh.contains(sha256("blob"), kNow));
}

}  // namespace
}  // namespace entente
