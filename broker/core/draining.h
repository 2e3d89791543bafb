// Taking a site out of the work in good order, before somebody stops it or works on it.
//
// A draining site finishes the tasks that it has and gets no new ones and no job offers; in its
// jobs others take its place (cohort.h). A task of it that stalls is given up at once. It stays so,
// also across restarts of broker and site, until it is resumed; then it joins open rounds again.
#pragma once

#include <string>

#include "broker/core/step.h"

namespace entente::broker {

// `actor` is who asked for it. Draining a site that drains already gives it another reason, if any.
void drain(Step& step, Site& site, const std::string& actor, const std::string& reason);
void resume(Step& step, Site& site, const std::string& actor);

// Gives up the tasks of draining sites that have stalled.
void release_drained(Step& step, Job& job);

}  // namespace entente::broker
