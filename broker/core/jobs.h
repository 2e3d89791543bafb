// The life of a job outside its rounds: admission, the answers of its sites, the start, the end.
// queue.h has the rules by which it comes to its sites.
//
//  - An acceptance that comes late stands by for a place (cohort.h), or is turned away when the job
//    does not want sites replaced.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

// What follows from the spec and its model's layout, at the submission and after a restart.
void set_layout(Job& job, const JobSpec& spec, TensorLayout model);

// Assigns the id and stores the job, which waits in the queue from then on.
Job& admit(Step& step, const Identity& coordinator, const JobSpec& spec, const Digest& digest,
           TensorLayout layout, const std::string& token);

// Gives out the places among the sites that have accepted, and begins the rounds or goes on with
// them.
void start(Step& step, Job& job);

// Asks the site to take part, or asks again with the same words.
void repeat_offer(Step& step, const Job& job, const SiteId& site);
// Asks a site that has accepted and knows nothing of it: a damaged journal, another disk. Meanwhile
// its place is kept.
void ask_anew(Step& step, Job& job, const SiteId& site);

// Who declined and in what words, a line each.
[[nodiscard]] std::string declined_sites(const Job& job);

void on_job_reply(Step& step, const SiteId& site, const msg::JobReply& reply);

// Ends the job: events, JobClosed to its sites, tasks and grants dropped.
void complete(Step& step, Job& job);
void stop_early(Step& step, Job& job, std::string reason);
void fail(Step& step, Job& job, std::string reason);
void abort(Step& step, Job& job, const std::string& actor, const std::string& reason);

}  // namespace entente::broker
