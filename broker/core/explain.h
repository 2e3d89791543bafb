// Says why a job is where it is: its place in the queue and what it waits for, what each site is to
// it, and what would have to change for it to start.
//
// Nothing is decided here. Rules are evaluated and the plan is made by the code that decides
// (matchmaker.h, scheduler.h), each with its own sentence, so that no explanation can differ from
// what happens. Complexity: that of a plan.
#pragma once

#include "broker/core/step.h"
#include "common/domain/explanation.h"

namespace entente::broker {

[[nodiscard]] Explanation explain(const Step& step, Job& job);

// The same for a job that nobody has submitted: as if `coordinator` did now. Nothing is stored.
[[nodiscard]] Explanation explain_unsubmitted(const Step& step, const std::string& coordinator,
                                              const JobSpec& spec);

}  // namespace entente::broker
