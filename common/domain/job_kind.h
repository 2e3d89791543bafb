// Kinds of jobs, and which parts of a spec each of them has: one row a kind, in job_kind.cpp.
//
//   train       rounds of training at many sites, merged into one model
//   evaluate    one model that there is already, judged on every site's examples; trains nothing
//   statistics  numbers about the sites' data; has no model
//   cyclic      the model travels from site to site and is trained at one after the other
//   cross_evaluate  every site's model, judged on every site's examples
//   predict     what the sites' models say of inputs that the coordinator brings
//
// A part that a kind does not have must be left out of its job files: it would have no effect, and
// whoever wrote it meant something.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/domain/task.h"

namespace entente {

enum class JobKind : std::uint8_t {
  train,
  evaluate,
  statistics,
  cyclic,
  cross_evaluate,
  predict,
};

[[nodiscard]] std::string_view to_string(JobKind kind);
[[nodiscard]] std::optional<JobKind> parse_job_kind(std::string_view text);
[[nodiscard]] std::vector<std::string> job_kind_names();

enum class Need : std::uint8_t { absent, optional, required };

// What a job file of the kind has. `model` comes with the loss by which the model is judged.
struct KindParts {
  JobKind kind;
  Need model;
  Need rounds;    // absent: the job has own_rounds
  Need train;     // how a site trains: epochs, optimizer, schedule
  Need strategy;  // how updates of one round are merged
  Need update;    // how they are written down
  Need quorum;    // absent: one answer closes a round
  Need sample;    // of the job's sites, in each round
  Need evaluate;
  Need stop;
  Need keep;
  Need init;
  Need statistics = Need::absent;
  std::uint32_t own_rounds = 1;  // of a kind that says nothing of them
  Need async = Need::absent;
  Need predict = Need::absent;
};

[[nodiscard]] const KindParts& parts_of(JobKind kind);

// Whether jobs of the kind have tasks like this. A site refuses any other: its policy has allowed
// the kind, and no more.
[[nodiscard]] bool has_task(JobKind job, TaskKind task);

[[nodiscard]] inline bool has_model(JobKind kind) { return parts_of(kind).model != Need::absent; }
[[nodiscard]] inline bool trains(JobKind kind) { return parts_of(kind).train != Need::absent; }

}  // namespace entente
