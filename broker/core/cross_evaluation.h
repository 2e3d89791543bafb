// What jobs of the kind "cross_evaluate" do beside what rounds do (kind_cross_evaluate.cpp).
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

// The update that was to become the round's version is damaged, and its round is long closed: the
// matrix goes on without that site's model. Merges the next one in its place; without one the round
// is done.
void leave_out_update(Step& step, Job& job, RoundRow& round);

}  // namespace entente::broker
