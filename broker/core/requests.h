// What coordinators, operators and auditors ask. A coordinator sees and touches its own jobs, an
// operator all of them, an auditor reads.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

// `spec_digest` belongs to a SubmitJob and comes from the shell.
void on_request(Step& step, const Session& session, const msg::Request& request,
                const Digest& spec_digest);

// Sends live progress to the watchers that are due (at most five times a second each).
void push_progress(Step& step);
// Notes that something worth showing has changed.
void note_progress(Step& step, const JobId& job);

// When push_progress has something to do; nothing when no watcher waits.
[[nodiscard]] std::optional<Monotonic> next_push(const State& state);

}  // namespace entente::broker
