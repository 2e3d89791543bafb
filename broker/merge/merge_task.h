// One merge, from files to files: maps the model, the accepted updates and the server optimiser's
// state, runs the job's strategy over them and writes the next model, and the next state if the
// strategy has one.
//
// The result is a function of the request's content alone, byte for byte; running it again, after
// a crash say, or with another number of threads, gives the same files. Any thread; blocks until
// done. Memory is bounded by the strategy's blocks, whatever the sizes of model and cohort: the
// files are mapped, not read, and encoded updates are decoded block by block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/domain/strategy_spec.h"
#include "common/domain/tensor_layout.h"
#include "common/domain/update_spec.h"
#include "common/tensors/safetensors.h"

namespace entente::broker {

// An accepted update where the blob store keeps it, and what is known of its site.
struct SpooledUpdate {
  SiteId site;
  std::filesystem::path file;
  double weight = 0;
  double factor = 1;        // what is left of it, because it comes late: above 0, at most 1
  double loss = 0;          // of the global model there before training; for qfedavg
  std::uint64_t steps = 0;  // of its training; for fednova
};

struct MergeRequest {
  StrategySpec strategy;                       // has passed check_strategy()
  std::optional<std::filesystem::path> model;  // none: zeros, of updates that are no changes
  std::optional<std::filesystem::path> state;  // of the server optimiser, after the last round
  std::vector<SpooledUpdate> updates;          // by site; of one site in the order of its tasks
  // Of the sites' training; for qfedavg and fednova.
  double local_lr = 0;
  double local_momentum = 0;
  double prox_mu = 0;
  std::uint32_t places = 1;  // sites of the job, some or all of which have sent updates; scaffold
  TensorLayout layout;
  TensorLayout update_layout;  // site_tensors.h: of the model's tensors those that are exchanged
  UpdateSpec update;           // how the updates are written down; has passed check_update_spec()
  std::filesystem::path output;
  std::filesystem::path state_output;  // written when the strategy has state
  TensorMetadata metadata;             // of both; nothing that differs between two equal merges
  std::size_t threads = 1;             // never changes a bit
};

struct MergeResult {
  std::uint64_t bytes = 0;  // size of the output
  std::optional<std::uint64_t> state_bytes;
};

// Refuses with "no_updates", "weight_invalid", "outside_guarantee", or with what TensorFile or
// UpdateFile says of a file; a refusal with Scope::site names the site. Throws std::system_error
// when the disk fails. Leaves no output unless it succeeds.
[[nodiscard]] Expected<MergeResult> merge(const MergeRequest& request);

// The server's state as tensors: "momentum." and the name of each of the model's, then "variance.".
[[nodiscard]] TensorLayout state_layout(const TensorLayout& model, std::size_t vectors);

// The same of scaffold: its control variate, 0 for tensors that stay at the sites.
[[nodiscard]] TensorLayout control_layout(const TensorLayout& model);

}  // namespace entente::broker
