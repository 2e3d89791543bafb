#include "common/domain/seeds.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>

namespace entente {
namespace {

TEST(Seeds, TheSpecsSeedWinsOverItsDigest) {
  Digest digest;
  digest.bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  JobSpec spec;
  EXPECT_EQ(job_seed(spec, digest), 0x0102030405060708u);
  spec.seed = 0;
  EXPECT_EQ(job_seed(spec, digest), 0u);
}

// Computed by a separate Python implementation of FNV-1a and SplitMix64's finaliser. A change would
// break the promise that the same inputs give the same bits.
TEST(Seeds, AreStable) {
  EXPECT_EQ(task_seed(2017, 1, "north"), 0x9f6893808ad101b4u);
  EXPECT_EQ(task_seed(0, 0, ""), 0xb81deccc3941dddcu);
  EXPECT_EQ(task_seed(0xffffffffffffffffu, 100'000, "st.mary-2"), 0xb29533a4a93f6b29u);
}

TEST(Seeds, OfARepetitionAreStableAndThoseOfTheFirstTimeAreTheTasks) {
  const auto task = task_seed(2017, 1, "north");
  EXPECT_EQ(repeated_seed(task, 0), task);
  EXPECT_EQ(repeated_seed(task, 1), 0xd4630bb49e220befu);
  EXPECT_EQ(repeated_seed(task, 7), 0xf417d437ee026539u);
}

TEST(Seeds, DifferForEveryJobRoundAndSite) {
  std::set<std::uint64_t> seeds;
  std::size_t drawn = 0;
  for (std::uint64_t job = 0; job < 10; ++job) {
    for (Round round = 0; round < 100; ++round) {
      for (const auto* site : {"north", "south", "east", "west", "a", "b"}) {
        seeds.insert(task_seed(job, round, site));
        ++drawn;
      }
    }
  }
  EXPECT_EQ(seeds.size(), drawn);
}

// Neighbouring rounds share no pattern: about half of the 64 bits differ.
TEST(Seeds, OfNeighbouringRoundsDifferInAboutHalfTheirBits) {
  int changed = 0;
  for (Round round = 0; round < 1000; ++round) {
    changed += std::popcount(task_seed(1, round, "north") ^ task_seed(1, round + 1, "north"));
  }
  EXPECT_NEAR(changed / 1000.0, 32.0, 1.0);
}

}  // namespace
}  // namespace entente
