// Jobs that wait for what is not theirs to do: until others have completed (`after` in the job
// file), or until their coordinator has brought a file (files.h); and how they get the model that
// they start from (`init`).
//
//  - A job names only jobs that exist when it is submitted, and that its coordinator may see. So
//    none can wait for itself, however long the way round.
//  - Until all of them have completed, and all files are here, it is queued and out of the
//    competition, and the clock of its deadline stands still: the time is not its own.
//  - When one of them fails, is aborted, or has ended so already, it fails with that reason.
//  - Which version of the other's model it starts from is settled once: at its submission, or when
//    the jobs that it waits for have completed, if the other one is among them. It is published as
//    the job's own version 0, whose receipt names it; no site makes an initial model. A file is
//    published likewise, once it is here and no job is waited for.
#pragma once

#include <functional>

#include "broker/core/step.h"

namespace entente::broker {

// For other jobs, or for its coordinator's files.
[[nodiscard]] bool is_held_up(const State& state, const Job& job);

// "waits until lung-1, lung-2 have completed"; of one that is held up.
[[nodiscard]] std::string what_holds_up(const State& state, const Job& job);

// What keeps such a job from being submitted by somebody who may see what `is_visible` says.
[[nodiscard]] std::optional<Refusal> check_followed(
    const State& state, const JobSpec& spec, const TensorLayout& layout,
    const std::function<bool(const Job&)>& is_visible);

// Lets queued jobs go on whose others have completed, and fails those whose others have not.
void settle_followers(Step& step);

}  // namespace entente::broker
