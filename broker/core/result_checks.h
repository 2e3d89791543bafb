// What must be right about a result for the job to go on from it: its numbers, before any byte of
// its blob is accepted, and what that blob must be, which the data plane holds it against.
//
// Pure.
#pragma once

#include <memory>
#include <optional>

#include "broker/core/state.h"

namespace entente::broker {

[[nodiscard]] std::optional<Refusal> check_result(const Job& job, const TaskRow& task,
                                                  const TaskResult& result);

// Of the blob that a task of the kind sends: its tensors, how they are written down, and how large
// they may be together (L2).
[[nodiscard]] const std::shared_ptr<const TensorLayout>& layout_of(const Job& job, TaskKind kind);
[[nodiscard]] UpdateSpec update_spec(const JobSpec& spec, TaskKind kind);
[[nodiscard]] double norm_max(const JobSpec& spec, TaskKind kind);

}  // namespace entente::broker
