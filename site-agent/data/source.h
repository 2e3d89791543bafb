// A dataset's source, opened: examples by number, in the order in which they are stored.
//
// There is one for each kind; a table in source_kinds.cpp says which function opens it. What all of
// them share, choosing a part of the examples, is in dataset.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/model_spec.h"
#include "site-agent/data/dataset.h"
#include "site-agent/data/dataset_config.h"

namespace entente::agent {

// Beyond it a class label is an identifier.
constexpr std::int64_t kLabelsMax = 1'000'000;

// Which examples a site takes, in ascending order.
struct Selection {
  std::vector<std::uint32_t> examples;
  // Those that means and medians are taken from: what is trained on, so that nothing of
  // what is held out finds its way into training.
  std::vector<std::uint32_t> fitted_on;
};

// Why a source is opened: to describe it, every example is checked and none kept in memory.
enum class Purpose : std::uint8_t { describe, load };

class Source {
 public:
  virtual ~Source() = default;

  // How many examples, before any are chosen.
  [[nodiscard]] virtual std::size_t size() const = 0;
  // Of all examples; empty where there are none because numbers are predicted.
  [[nodiscard]] virtual std::span<const std::int64_t> labels() const = 0;
  // A number for each example that follows from its content alone, for a Holdout. At most once.
  [[nodiscard]] virtual Expected<std::vector<std::uint64_t>> fingerprints() = 0;
  // How the examples look, and of how many classes or targets.
  [[nodiscard]] virtual const Schema& schema() const = 0;
  // At most once, and only when it was opened to load.
  [[nodiscard]] virtual Expected<Dataset> read(const Selection& selection) = 0;
};

[[nodiscard]] Expected<std::unique_ptr<Source>> open_source(const DatasetConfig& config,
                                                            Purpose purpose);

// The part of the examples that is this dataset: of a partition, and of what is held out or left.
[[nodiscard]] Expected<Selection> select_examples(const DatasetConfig& config, Source& source);

// Refuses with "dataset_invalid" and "dataset_missing": the site's own matter.
[[nodiscard]] tl::unexpected<Refusal> invalid_dataset(std::string message, std::string hint = {});
[[nodiscard]] tl::unexpected<Refusal> missing_file(const std::filesystem::path& path,
                                                   std::string_view cause);

// How many classes labels up to `largest` (-1: there are none) have: those that agent.toml
// declares, otherwise one more than the largest. `where` names the file for the refusal.
[[nodiscard]] Expected<std::uint32_t> classes_of(const DatasetConfig& config, std::int64_t largest,
                                                 std::string_view where);

}  // namespace entente::agent
