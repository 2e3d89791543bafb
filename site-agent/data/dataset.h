// A site's datasets: where the private data lies and which part of it is this site's.
//
// Read by the trainer (all of it) and by the agent (only what an advert needs: shape and counts).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/site.h"

namespace entente::agent {

// Splits one public dataset among several sites, for trials: each class is dealt to the `of` sites
// in proportions drawn from a Dirichlet distribution (Hsu et al. 2019, arXiv:1909.06335); the
// smaller alpha, the stronger the skew. Site `index` gets its part; the same seed gives the same
// split.
struct Partition {
  std::string scheme = "dirichlet";  // or "iid"
  double alpha = 1.0;
  std::uint32_t of = 1;
  std::uint32_t index = 0;
  std::uint64_t seed = 0;
};

// One [[datasets]] entry of agent.toml.
struct DatasetConfig {
  std::string name;
  std::string kind = "idx";
  std::filesystem::path images;  // IDX file, gzip or plain
  std::filesystem::path labels;
  std::uint32_t classes = 0;               // 0: one more than the largest label
  std::vector<std::string> class_names{};  // by label; empty, or one for each class
  std::vector<std::string> tags{};         // for jobs to choose by
  std::optional<Partition> partition;
};

// Examples in memory: `features` holds size() examples of `shape`, row-major, scaled to [0, 1].
struct Dataset {
  Shape shape;
  std::vector<float> features;
  std::vector<std::int64_t> labels;
  std::uint32_t classes = 0;

  [[nodiscard]] std::size_t size() const { return labels.size(); }
  // How many examples each class has here.
  [[nodiscard]] std::vector<std::uint64_t> class_counts() const;
};

// Refuses with "dataset_missing", "dataset_invalid" (truncated, not IDX, counts differ, a label out
// of range), naming the file without its folder: the words may reach a coordinator.
[[nodiscard]] Expected<Dataset> load_dataset(const DatasetConfig& config);

// What the site tells the consortium: name, kind, count, shape, classes.
[[nodiscard]] Expected<DatasetAdvert> describe_dataset(const DatasetConfig& config);

// Indices of the examples of part `partition.index`, in ascending order.
[[nodiscard]] Expected<std::vector<std::uint32_t>> partition_indices(
    std::span<const std::int64_t> labels, std::uint32_t classes, const Partition& partition);

}  // namespace entente::agent
