#include "common/crypto/audit_trail.h"

#include <gtest/gtest.h>

#include <vector>

namespace entente {
namespace {

std::vector<AuditEntry> chain(std::size_t length) {
  std::vector<AuditEntry> entries;
  Digest previous;
  for (std::size_t i = 1; i <= length; ++i) {
    AuditEntry entry{i,
                     1'700'000'000'000,
                     "coordinator/alice",
                     "job.submit",
                     "job/lung-" + std::to_string(i),
                     "",
                     {}};
    entry.hash = previous = audit_hash(previous, entry);
    entries.push_back(entry);
  }
  return entries;
}

// The number of the first entry that does not follow; 0 when all do.
std::uint64_t first_broken(const std::vector<AuditEntry>& entries, AuditMark from = {}) {
  AuditTrail trail(from);
  for (const auto& entry : entries) {
    if (!trail.follow(entry)) {
      return entry.seq;
    }
  }
  return 0;
}

// Computed with Python's hashlib from the rule in schemas/coordinator.capnp.
TEST(AuditTrail, HashesAsTheSchemaSays) {
  EXPECT_EQ(chain(2)[0].hash.hex(),
            "6aa5b65884a3f83fa03d012ab1a8632d311f20b935a20ba303c3f5f73c7af536");
  EXPECT_EQ(chain(2)[1].hash.hex(),
            "ecefec6b3773cee94467c2b9930f3c78299dcf68bc427cdf2cdad7e0dcce7179");
}

TEST(AuditTrail, FollowsAnUntouchedChainFromAnywhere) {
  const auto entries = chain(5);
  EXPECT_EQ(first_broken(entries), 0U);
  EXPECT_EQ(first_broken({entries.begin() + 3, entries.end()}, {3, entries[2].hash}), 0U);
}

TEST(AuditTrail, FindsTheFirstEntryThatWasChangedRemovedOrPutInBetween) {
  auto changed = chain(5);
  changed[2].detail = "not what it was";
  EXPECT_EQ(first_broken(changed), 3U);

  auto removed = chain(5);
  removed.erase(removed.begin() + 1);
  EXPECT_EQ(first_broken(removed), 3U);

  auto inserted = chain(5);
  inserted.insert(inserted.begin() + 2, inserted[1]);
  EXPECT_EQ(first_broken(inserted), 2U);
}

TEST(AuditTrail, AChainThatWasComputedAnewDoesNotFollowFromAMarkOfTheOldOne) {
  const auto before = chain(3);
  auto entries = chain(2);
  AuditEntry third{3, 1, "operator/olga", "site.drain", "site/north", "", {}};
  third.hash = audit_hash(entries[1].hash, third);
  AuditEntry fourth{4, 2, "broker", "job.complete", "job/lung-1", "", {}};
  fourth.hash = audit_hash(third.hash, fourth);
  EXPECT_EQ(first_broken({fourth}, {3, before[2].hash}), 4U);
}

TEST(AuditTrail, StaysWhereItIsBeforeAnEntryThatDoesNotFollow) {
  const auto entries = chain(3);
  AuditTrail trail;
  ASSERT_TRUE(trail.follow(entries[0]));
  EXPECT_FALSE(trail.follow(entries[2]));
  EXPECT_EQ(trail.last(), (AuditMark{1, entries[0].hash}));
  EXPECT_TRUE(trail.follow(entries[1]));
}

}  // namespace
}  // namespace entente
