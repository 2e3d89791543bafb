// What jobs of the kind "cross_evaluate" do beside what rounds do (kind_cross_evaluate.cpp).
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

// Whether the round's model is that of a site which has taken its word back since.
[[nodiscard]] bool is_taken_back(const Job& job, const RoundRow& round);

// The update that was to become the round's version is damaged, and its round is long closed, or
// its site has taken its word back: the matrix goes on without that model. Merges the next one in
// its place; without one the round is done.
void leave_out_update(Step& step, Job& job, RoundRow& round);

}  // namespace entente::broker
