// A site's datasets: where the private data lies and which part of it is this site's.
//
// Read by the trainer (all of it) and by the agent (only what an advert needs: shape and counts).
// docs/datasets.md describes the kinds of sources.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/site.h"
#include "site-agent/data/dataset_config.h"

namespace entente::agent {

// How the examples of a dataset look.
struct Schema {
  Shape shape;                               // of one example's inputs
  std::uint32_t classes = 0;                 // labels run from 0 to classes - 1; or
  std::uint32_t targets = 0;                 // numbers to predict of each example
  std::uint32_t vocabulary = 0;              // inputs are tokens below this; 0: they are numbers
  std::vector<std::string> feature_names{};  // of the inputs, where they have names
};

// Examples in memory, row-major: inputs of `shape` as `features` or, with a vocabulary, as
// `tokens`; answers as `labels` or, with targets, as `values`. Pixels are scaled to [0, 1].
struct Dataset : Schema {
  std::vector<float> features;
  std::vector<std::int64_t> tokens;
  std::vector<std::int64_t> labels;
  std::vector<float> values;

  [[nodiscard]] std::size_t size() const {
    return targets == 0 ? labels.size() : values.size() / targets;
  }
  // How many examples each class has here.
  [[nodiscard]] std::vector<std::uint64_t> class_counts() const;
};

// Refuses with "dataset_missing", "dataset_invalid" (damaged, another format, text in a number, a
// label out of range), naming file, line and column without folder or content: the words may reach
// a coordinator.
[[nodiscard]] Expected<Dataset> load_dataset(const DatasetConfig& config);

// What the site tells the consortium: name, kind, count, shape, classes.
[[nodiscard]] Expected<DatasetAdvert> describe_dataset(const DatasetConfig& config);

// Indices of the examples of part `partition.index`, in ascending order.
[[nodiscard]] Expected<std::vector<std::uint32_t>> partition_indices(
    std::span<const std::int64_t> labels, std::uint32_t classes, const Partition& partition);
// The same of `count` examples without labels, which only "iid" can split.
[[nodiscard]] Expected<std::vector<std::uint32_t>> partition_indices(std::size_t count,
                                                                     const Partition& partition);

}  // namespace entente::agent
