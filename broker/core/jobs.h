// The life of a job outside its rounds: admission, finding sites, the end.
//
//  - A job asks its eligible sites, mandatory ones first, then by id, at most `sites.max` at a
//    time; a decline, or no answer within the stall window, makes room for the next. An acceptance
//    that comes late stands by for a place (cohort.h), or is turned away when the job does not want
//    sites replaced.
//  - A site that is draining is not asked, and does not count until it is resumed.
//  - It starts when nobody asked is still thinking, at least `sites.min` have accepted, and all
//    mandatory ones among them. A site that does not answer within the stall window is not waited
//    for once there are enough others.
//  - When declines leave fewer than `sites.min` candidates, or a mandatory site declines, the job
//    fails at once and its reason names each site's words. A site that has just connected, and has
//    not said yet what it has, counts as a candidate.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

// Assigns the id, stores the job and starts looking for sites.
Job& admit(Step& step, const Identity& coordinator, const JobSpec& spec, const Digest& digest,
           std::shared_ptr<const TensorLayout> layout);

// Asks sites and starts the job when the rules above allow. Called whenever something has changed:
// a site came, answered, or time passed. Does nothing unless the job is matching.
void look_for_sites(Step& step, Job& job);

// Asks one more site to take part.
void offer_job(Step& step, Job& job, const SiteId& site);
// Asks it again, with the same words.
void repeat_offer(Step& step, const Job& job, const SiteId& site);

// Who declined and in what words, a line each.
[[nodiscard]] std::string declined_sites(const Job& job);

void on_job_reply(Step& step, const SiteId& site, const msg::JobReply& reply);

// Ends the job: events, JobClosed to its sites, tasks and grants dropped.
void complete(Step& step, Job& job);
void fail(Step& step, Job& job, std::string reason);
void abort(Step& step, Job& job, const std::string& actor, const std::string& reason);

}  // namespace entente::broker
