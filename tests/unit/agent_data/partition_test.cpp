#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "site-agent/data/dataset.h"
#include "site-agent/data/seeded_random.h"

namespace entente::agent {
namespace {

using testing::Each;
using testing::ElementsAre;

std::vector<std::int64_t> some_labels(std::size_t count, std::uint32_t classes,
                                      std::uint64_t seed) {
  SeededRandom random(seed);
  std::vector<std::int64_t> labels(count);
  std::generate(labels.begin(), labels.end(),
                [&] { return static_cast<std::int64_t>(random.below(classes)); });
  return labels;
}

std::vector<std::uint32_t> part(const std::vector<std::int64_t>& labels, std::uint32_t classes,
                                const Partition& partition) {
  auto indices = partition_indices(labels, classes, partition);
  EXPECT_TRUE(indices.has_value());
  return indices.value_or(std::vector<std::uint32_t>{});
}

// Largest share of one class that one of the sites holds, averaged over the classes.
double skew(const std::vector<std::int64_t>& labels, std::uint32_t classes, Partition partition) {
  std::vector<double> largest(classes);
  std::vector<double> total(classes);
  for (const auto label : labels) {
    ++total[static_cast<std::size_t>(label)];
  }
  for (partition.index = 0; partition.index < partition.of; ++partition.index) {
    std::vector<double> mine(classes);
    for (const auto i : part(labels, classes, partition)) {
      ++mine[static_cast<std::size_t>(labels[i])];
    }
    for (std::uint32_t c = 0; c < classes; ++c) {
      largest[c] = std::max(largest[c], mine[c] / total[c]);
    }
  }
  return std::accumulate(largest.begin(), largest.end(), 0.0) / classes;
}

TEST(Partition, EveryExampleBelongsToExactlyOneSite) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SeededRandom random(seed);
    const auto classes = static_cast<std::uint32_t>(1 + random.below(12));
    const auto labels = some_labels(random.below(500), classes, seed);
    Partition partition;
    partition.scheme = kPartitionSchemes[seed % kPartitionSchemes.size()];
    partition.shards = static_cast<std::uint32_t>(1 + random.below(4));
    partition.alpha = std::exp(8 * random.uniform() - 5);
    partition.of = static_cast<std::uint32_t>(1 + random.below(20));
    partition.seed = seed;
    std::vector<int> owners(labels.size());
    for (; partition.index < partition.of; ++partition.index) {
      const auto mine = part(labels, classes, partition);
      EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
      for (const auto i : mine) {
        ++owners.at(i);
      }
    }
    EXPECT_THAT(owners, Each(1)) << "replay with seed " << seed;
  }
}

TEST(Partition, IsTheSameForTheSameSeedOnly) {
  const auto labels = some_labels(400, 10, 1);
  for (const auto scheme : kPartitionSchemes) {
    Partition partition{
        .scheme = std::string(scheme), .alpha = 0.5, .of = 4, .index = 2, .seed = 9};
    const auto first = part(labels, 10, partition);
    EXPECT_EQ(first, part(labels, 10, partition));
    partition.seed = 10;
    EXPECT_NE(first, part(labels, 10, partition)) << scheme;
  }
}

TEST(Partition, SmallerAlphaSkewsMore) {
  const auto labels = some_labels(5000, 10, 2);
  Partition partition{.scheme = "dirichlet", .alpha = 0.05, .of = 5, .seed = 4};
  const double strong = skew(labels, 10, partition);
  partition.alpha = 1;
  const double middle = skew(labels, 10, partition);
  partition.alpha = 1000;
  const double weak = skew(labels, 10, partition);
  EXPECT_GT(strong, 0.8);
  EXPECT_GT(strong, middle);
  EXPECT_GT(middle, weak);
  EXPECT_NEAR(weak, 0.2, 0.05);
}

TEST(Partition, ATinyAlphaUnderflowsNowhere) {
  const auto labels = some_labels(1000, 10, 2);
  const Partition partition{.scheme = "dirichlet", .alpha = 1e-6, .of = 5, .seed = 4};
  EXPECT_NEAR(skew(labels, 10, partition), 1.0, 1e-9);
}

TEST(Partition, IidPartsDifferByAtMostOne) {
  const auto labels = some_labels(1003, 10, 5);
  Partition partition{.scheme = "iid", .of = 10};
  for (; partition.index < partition.of; ++partition.index) {
    const auto size = part(labels, 10, partition).size();
    EXPECT_TRUE(size == 100 || size == 101) << size;
  }
}

// The paper's: 60,000 examples, 100 sites, two of 200 shards of 300 each.
TEST(Partition, TwoShardsAreTwoClassesAtMostSites) {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < 60'000; ++i) {
    labels.push_back(i % 10);
  }
  Partition partition{.scheme = "shards", .shards = 2, .of = 100, .seed = 1};
  int of_two_classes = 0;
  for (; partition.index < partition.of; ++partition.index) {
    const auto mine = part(labels, 10, partition);
    EXPECT_EQ(mine.size(), 600U);
    std::set<std::int64_t> classes;
    for (const auto i : mine) {
      classes.insert(labels[i]);
    }
    EXPECT_LE(classes.size(), 2U);
    of_two_classes += classes.size() == 2 ? 1 : 0;
  }
  EXPECT_GT(of_two_classes, 80) << "who got which shard is not random";
}

// The split is part of the promise "same inputs, same bits": a change of these numbers changes what
// every site of a running trial holds.
TEST(Partition, StaysWhatItWas) {
  const std::vector<std::int64_t> labels{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
  const Partition dirichlet{.scheme = "dirichlet", .alpha = 5, .of = 2, .index = 1, .seed = 7};
  const Partition iid{.scheme = "iid", .of = 3, .index = 1, .seed = 7};
  const Partition shards{.scheme = "shards", .of = 3, .index = 1, .seed = 7};
  EXPECT_THAT(part(labels, 3, dirichlet), ElementsAre(0, 1, 3, 5, 6, 7, 8, 11));
  EXPECT_THAT(part(labels, 3, shards), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(part(labels, 3, iid), ElementsAre(1, 5, 9, 10));
}

TEST(Partition, AnImpossiblePartitionIsRefused) {
  const std::vector<std::int64_t> labels{0, 1};
  const auto code = [&](const Partition& partition) {
    const auto indices = partition_indices(labels, 2, partition);
    return indices ? "accepted" : indices.error().code;
  };
  EXPECT_EQ(code({.scheme = "random"}), "dataset_invalid");
  EXPECT_EQ(code({.of = 0}), "dataset_invalid");
  EXPECT_EQ(code({.of = 100'000}), "dataset_invalid");
  EXPECT_EQ(code({.of = 2, .index = 2}), "dataset_invalid");
  EXPECT_EQ(code({.alpha = 0}), "dataset_invalid");
  EXPECT_EQ(code({.scheme = "shards", .shards = 0}), "dataset_invalid");
  EXPECT_EQ(code({.scheme = "shards", .shards = 1'000'000}), "dataset_invalid");
  EXPECT_EQ(code({.alpha = std::nan("")}), "dataset_invalid");
  EXPECT_EQ(code({}), "accepted");
  EXPECT_FALSE(partition_indices(labels, 1, {}).has_value()) << "label 1 is not below 1 class";
}

// Mean and variance of Gamma(k, 1) are both k.
TEST(SeededRandom, GammaDrawsHaveTheirMeanAndVariance) {
  for (const double shape : {0.1, 0.7, 1.0, 4.5}) {
    SeededRandom random(11);
    constexpr int kDraws = 200'000;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double draw = std::exp(random.log_gamma_draw(shape));
      sum += draw;
      squares += draw * draw;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, shape, 0.02 * (1 + shape));
    EXPECT_NEAR(squares / kDraws - mean * mean, shape, 0.06 * (1 + shape));
  }
}

TEST(SeededRandom, BelowReachesEveryValueAndNothingElse) {
  SeededRandom random(3);
  std::vector<int> seen(7);
  for (int i = 0; i < 7000; ++i) {
    ++seen.at(random.below(7));
  }
  EXPECT_THAT(seen, Each(testing::AllOf(testing::Gt(800), testing::Lt(1200))));
}

}  // namespace
}  // namespace entente::agent
