// One merge, from files to a file: maps the model and the accepted updates, runs the job's strategy
// over them and writes the next model.
//
// The result is a function of the request's content alone, byte for byte; running it again, after
// a crash say, gives the same file. Any thread; blocks until done. Memory is bounded by the
// strategy's blocks, whatever the sizes of model and cohort: the files are mapped, not read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/domain/tensor_layout.h"
#include "common/tensors/safetensors.h"

namespace entente::broker {

// An accepted update where the blob store keeps it.
struct SpooledUpdate {
  SiteId site;
  std::filesystem::path file;
  double weight = 0;
};

struct MergeRequest {
  std::string strategy;  // one of merge_strategies()
  std::filesystem::path model;
  std::vector<SpooledUpdate> updates;  // strictly ascending by site
  TensorLayout layout;
  std::filesystem::path output;
  TensorMetadata metadata;  // of the output; nothing that differs between two equal merges
};

struct MergeResult {
  std::uint64_t bytes = 0;  // size of the output
  double weight_sum = 0;
};

// The names a job may give as its strategy.
[[nodiscard]] std::vector<std::string> merge_strategies();

// Refuses with "strategy_unknown", "no_updates", "weight_invalid", or with what TensorFile says of
// a file; a refusal with Scope::site names the site. Throws std::system_error when the disk fails.
// Leaves no output unless it succeeds.
[[nodiscard]] Expected<MergeResult> merge(const MergeRequest& request);

}  // namespace entente::broker
