#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/limits.h"
#include "site-agent/data/dataset.h"
#include "site-agent/data/seeded_random.h"

namespace entente::agent {
namespace {

using Indices = std::vector<std::uint32_t>;

Expected<void> check(const Partition& partition) {
  const auto invalid = [](std::string message) {
    return refuse("dataset_invalid", std::move(message), "correct the dataset's partition table",
                  Scope::site);
  };
  if (std::find(kPartitionSchemes.begin(), kPartitionSchemes.end(), partition.scheme) ==
      kPartitionSchemes.end()) {
    return invalid(fmt::format("partition.scheme is \"{}\", known are {}", partition.scheme,
                               fmt::join(kPartitionSchemes, ", ")));
  }
  if (partition.of == 0 || partition.of > limits::kSitesPerJobMax) {
    return invalid(
        fmt::format("partition.of is {}, must be 1 to {}", partition.of, limits::kSitesPerJobMax));
  }
  if (partition.index >= partition.of) {
    return invalid(fmt::format("partition.index is {}, must be below partition.of, {}",
                               partition.index, partition.of));
  }
  if (!std::isfinite(partition.alpha) || partition.alpha <= 0) {
    return invalid(fmt::format("partition.alpha is {}, must be above 0", partition.alpha));
  }
  if (partition.shards == 0 || partition.shards > kShardsMax) {
    return invalid(
        fmt::format("partition.shards is {}, must be 1 to {}", partition.shards, kShardsMax));
  }
  return {};
}

// One draw from the symmetric Dirichlet distribution, as where each part ends in [0, 1].
std::vector<double> dirichlet_ends(SeededRandom& random, std::uint32_t parts, double alpha) {
  std::vector<double> weights(parts);
  std::generate(weights.begin(), weights.end(), [&] { return random.log_gamma_draw(alpha); });
  const double largest = *std::max_element(weights.begin(), weights.end());
  for (double& weight : weights) {
    weight = std::exp(weight - largest);
  }
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  double end = 0;
  for (double& weight : weights) {
    end += weight / sum;
    weight = std::min(end, 1.0);
  }
  weights.back() = 1.0;
  return weights;
}

// Appends this site's share of one class, whose examples are in seeded order.
void deal_class(const Indices& examples, const std::vector<double>& ends, std::uint32_t index,
                Indices& mine) {
  const auto count = static_cast<double>(examples.size());
  const auto position = [&](double end) {
    return static_cast<std::ptrdiff_t>(std::round(end * count));
  };
  const auto first = index == 0 ? 0 : position(ends[index - 1]);
  mine.insert(mine.end(), examples.begin() + first, examples.begin() + position(ends[index]));
}

Indices dirichlet_part(std::span<const std::int64_t> labels, std::uint32_t classes,
                       const Partition& partition) {
  std::vector<Indices> by_class(classes);
  for (std::uint32_t i = 0; i < labels.size(); ++i) {
    by_class[static_cast<std::size_t>(labels[i])].push_back(i);
  }
  SeededRandom random(partition.seed);
  Indices mine;
  for (Indices& examples : by_class) {
    const auto ends = dirichlet_ends(random, partition.of, partition.alpha);
    random.shuffle(std::span(examples));
    deal_class(examples, ends, partition.index, mine);
  }
  return mine;
}

Indices iid_part(std::size_t count, const Partition& partition) {
  Indices all(count);
  std::iota(all.begin(), all.end(), 0U);
  SeededRandom(partition.seed).shuffle(std::span(all));
  const auto boundary = [&](std::uint64_t part) {
    return all.begin() + static_cast<std::ptrdiff_t>(part * count / partition.of);
  };
  return {boundary(partition.index), boundary(std::uint64_t{partition.index} + 1)};
}

// Examples of one class stay in the order in which they are stored; only who gets which piece is
// random.
Indices shards_part(std::span<const std::int64_t> labels, const Partition& partition) {
  Indices sorted(labels.size());
  std::iota(sorted.begin(), sorted.end(), 0U);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return labels[a] < labels[b]; });
  const std::uint64_t pieces = std::uint64_t{partition.of} * partition.shards;
  const auto boundary = [&](std::uint64_t piece) {
    return sorted.begin() + static_cast<std::ptrdiff_t>(piece * sorted.size() / pieces);
  };
  Indices dealt(pieces);
  std::iota(dealt.begin(), dealt.end(), 0U);
  SeededRandom(partition.seed).shuffle(std::span(dealt));
  Indices mine;
  const auto first = dealt.begin() + std::ptrdiff_t{partition.index} * partition.shards;
  std::for_each(first, first + partition.shards, [&](std::uint64_t piece) {
    mine.insert(mine.end(), boundary(piece), boundary(piece + 1));
  });
  return mine;
}

Indices part_of(std::span<const std::int64_t> labels, std::uint32_t classes,
                const Partition& partition) {
  if (partition.scheme == "iid") {
    return iid_part(labels.size(), partition);
  }
  return partition.scheme == "shards" ? shards_part(labels, partition)
                                      : dirichlet_part(labels, classes, partition);
}

}  // namespace

Expected<std::vector<std::uint32_t>> partition_indices(std::span<const std::int64_t> labels,
                                                       std::uint32_t classes,
                                                       const Partition& partition) {
  if (auto checked = check(partition); !checked) {
    return tl::unexpected(checked.error());
  }
  const auto out_of_range = std::find_if(labels.begin(), labels.end(), [&](std::int64_t label) {
    return label < 0 || label >= std::int64_t{classes};
  });
  if (out_of_range != labels.end()) {
    return refuse("dataset_invalid",
                  fmt::format("label {} is not within {} classes", *out_of_range, classes), {},
                  Scope::site);
  }
  auto mine = part_of(labels, classes, partition);
  std::sort(mine.begin(), mine.end());
  return mine;
}

Expected<std::vector<std::uint32_t>> partition_indices(std::size_t count,
                                                       const Partition& partition) {
  if (auto checked = check(partition); !checked) {
    return tl::unexpected(checked.error());
  }
  if (partition.scheme != "iid") {
    return refuse("dataset_invalid", "only examples with labels can be dealt out by their class",
                  "write scheme = \"iid\" in the dataset's partition table", Scope::site);
  }
  auto mine = iid_part(count, partition);
  std::sort(mine.begin(), mine.end());
  return mine;
}

}  // namespace entente::agent
