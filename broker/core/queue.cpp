#include "broker/core/queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <set>

#include "broker/core/claims.h"
#include "broker/core/cohort.h"
#include "broker/core/following.h"
#include "broker/core/jobs.h"
#include "broker/core/kinds.h"
#include "broker/core/matchmaker.h"
#include "broker/core/requests.h"
#include "broker/core/rounds.h"

namespace entente::broker {
namespace {

constexpr auto kEverySite = std::numeric_limits<std::uint32_t>::max();

// The scheduler's question, with what it points into.
class Question {
 public:
  Question(State& state, const Step& step) : state_(state), step_(step) {
    for (const auto& [id, site] : state.sites) {
      ids_.resize(state.sites.size());
      sites_.resize(state.sites.size());
      const auto slots = site.row.advert.slots;
      ids_[site.index] = id;
      sites_[site.index] = {slots - std::min(slots, site.claimed),
                            site.advertised && !site.row.draining};
    }
    for (const auto& [coordinator, usage] : state.usage) {
      accounts_[coordinator] = {usage_at(usage, step.now.monotonic, state.queue.settings.half_life),
                                usage.slots, usage.jobs};
    }
  }

  void add(Job& job) {
    if (job.row.state == JobState::paused || is_held_up(state_, job)) {
      return;
    }
    if (job.runs()) {
      if (job.vacancies > 0) {
        add_replacement(job);
      }
      if (job.spec().preemptible) {
        add_tenant(job);
      }
      return;
    }
    Applicant applicant = applicant_of(job);
    const auto needed = sites_needed(job.spec());
    const auto max = job.spec().sites.max;
    applicant.stage = job.claims < needed ? Stage::waiting : Stage::enough;
    applicant.need = needed - std::min(needed, job.claims);
    applicant.want = max == 0 ? kEverySite : max - std::min(max, job.claims);
    job.candidates.refresh(job.spec(), state_);
    applicant.candidates = job.parts.empty() ? std::span(job.candidates.eligible())
                                             : std::span(not_asked_in_vain(job));
    count_mandatory(job, applicant);
    push(job, std::move(applicant));
  }

  [[nodiscard]] Plan answer() const {
    return plan_claims(sites_, accounts_, state_.queue.settings.quota, applicants_, tenants_,
                       state_.queue.reserved);
  }

  [[nodiscard]] const JobId& tenant(std::size_t number) const { return tenants_[number].job; }

  [[nodiscard]] Job& job(std::size_t applicant) const { return *jobs_[applicant]; }
  [[nodiscard]] std::vector<SiteId> sites(const std::vector<SiteIndex>& indices) const {
    std::vector<SiteId> sites;
    for (const auto index : indices) {
      sites.push_back(ids_[index]);
    }
    return sites;
  }

 private:
  static Applicant applicant_of(const Job& job) {
    Applicant applicant;
    applicant.job = job.id();
    applicant.coordinator = job.row.coordinator;
    applicant.priority = job.spec().priority;
    applicant.number = job.row.number;
    applicant.holds_claims = job.claims > 0;
    return applicant;
  }

  void push(Job& job, Applicant applicant) {
    jobs_.push_back(&job);
    applicants_.push_back(std::move(applicant));
  }

  // One applicant for each vacancy would be the same: it takes one site, or more.
  void add_replacement(Job& job) {
    Applicant applicant = applicant_of(job);
    applicant.stage = Stage::running;
    applicant.want = job.vacancies;
    applicant.candidates = lists_.emplace_back(replacements(step_, job));
    push(job, std::move(applicant));
  }

  // A job that could not start again, because sites have left it since, keeps what it has.
  void add_tenant(const Job& job) {
    const bool has_lost_one = std::any_of(
        job.parts.begin(), job.parts.end(),
        [](const auto& entry) { return entry.second.row.enrolment == Enrolment::declined; });
    if (has_lost_one && job.claims < sites_needed(job.spec())) {
      return;
    }
    Tenant tenant{job.id(), job.spec().priority, job.row.number, {}};
    for (const auto& [id, part] : job.parts) {
      if (part.row.claimed) {
        tenant.sites.push_back(state_.sites.at(id).index);
      }
    }
    tenants_.push_back(std::move(tenant));
  }

  // Who has been asked and has not answered yet is as good as away; who has declined is out.
  const std::vector<SiteIndex>& not_asked_in_vain(const Job& job) {
    auto& list = lists_.emplace_back();
    for (const auto index : job.candidates.eligible()) {
      const auto part = job.parts.find(ids_[index]);
      const bool is_new = part == job.parts.end();
      const bool is_free = is_new || (part->second.row.enrolment == Enrolment::accepted &&
                                      !part->second.row.claimed);
      const bool may_have_place =
          rules_of(job).gives_places_away(job) || (!is_new && part->second.row.has_place);
      if (is_free && may_have_place) {
        list.push_back(index);
      }
    }
    // Those that it had before it rested come first, after the mandatory ones.
    std::stable_sort(list.begin(), list.end(), [&](SiteIndex left, SiteIndex right) {
      return rank(job, ids_[left]) < rank(job, ids_[right]);
    });
    return list;
  }

  static int rank(const Job& job, const SiteId& site) {
    const auto part = job.parts.find(site);
    return is_mandatory(job, site)                                 ? 0
           : part != job.parts.end() && part->second.row.has_place ? 1
                                                                   : 2;
  }

  // How many of the first candidates are mandatory, and whether all that it lacks are among them.
  void count_mandatory(const Job& job, Applicant& applicant) const {
    const auto& mandatory = job.spec().sites.mandatory;
    const auto lacking = std::count_if(mandatory.begin(), mandatory.end(), [&](const SiteId& id) {
      const auto part = job.parts.find(id);
      return part == job.parts.end() || !part->second.row.claimed;
    });
    while (applicant.mandatory < applicant.candidates.size() &&
           is_mandatory(job, ids_[applicant.candidates[applicant.mandatory]])) {
      ++applicant.mandatory;
    }
    applicant.lacks_mandatory = applicant.mandatory < static_cast<std::uint32_t>(lacking);
    if (lacking > 0 && applicant.stage == Stage::enough) {
      applicant.stage = Stage::waiting;
    }
    applicant.need = std::max(applicant.need, static_cast<std::uint32_t>(lacking));
  }

  State& state_;
  const Step& step_;
  std::vector<SiteId> ids_;
  std::vector<SiteSlots> sites_;
  std::map<std::string, Account> accounts_;
  std::deque<std::vector<SiteIndex>> lists_;
  std::vector<Applicant> applicants_;
  std::vector<Tenant> tenants_;
  std::vector<Job*> jobs_;
};

bool is_declined(const Part& part) { return part.row.enrolment == Enrolment::declined; }

// Sites that do not fit by what the broker knows of them, and that have just connected and are
// about to say what they have.
std::size_t about_to_advertise(const State& state, const Match& match) {
  return static_cast<std::size_t>(
      std::count_if(match.excluded.begin(), match.excluded.end(), [&](const Exclusion& exclusion) {
        const auto& site = state.sites.at(exclusion.site);
        return site.session && !site.advertised;
      }));
}

// Why the job can no longer start; nothing while it may.
std::optional<std::string> dead_end(const Step& step, const Job& job) {
  if (std::none_of(job.parts.begin(), job.parts.end(),
                   [](const auto& entry) { return is_declined(entry.second); })) {
    return std::nullopt;
  }
  const auto result = match(job.spec(), step.state);
  std::size_t candidates = about_to_advertise(step.state, result);
  for (const auto& id : result.eligible) {
    const auto part = job.parts.find(id);
    const bool declined = part != job.parts.end() && is_declined(part->second);
    candidates += declined ? 0 : 1;
    if (declined && is_mandatory(job, id)) {
      return fmt::format("mandatory site \"{}\" declined{}", id.str(), declined_sites(job));
    }
  }
  if (candidates >= job.spec().sites.min) {
    return std::nullopt;
  }
  const auto excluded = describe(result.excluded);
  return fmt::format("{} of {} required sites are left{}{}{}", candidates, job.spec().sites.min,
                     declined_sites(job), excluded.empty() ? "" : "\n", excluded);
}

// A job that asks, before the plan: slots that are of no use to it are given back.
void tidy(Step& step, Job& job) {
  if (auto reason = dead_end(step, job)) {
    fail(step, job, std::move(*reason));
    return;
  }
  release_unanswered(step, job);
  for (auto& [id, part] : job.parts) {
    if (step.state.sites.at(id).row.draining) {
      release(step, job, part);
    }
  }
}

void start_if_ready(Step& step, Job& job) {
  std::size_t accepted = 0;
  for (const auto& [id, part] : job.parts) {
    if (is_thinking(part)) {
      return;
    }
    accepted += part.row.claimed ? 1 : 0;
  }
  if (accepted >= sites_needed(job.spec())) {
    start(step, job);
  }
}

void say_what_it_waits_for(Step& step, Job& job) {
  std::size_t accepted = 0;
  std::size_t asked = 0;
  for (const auto& [id, part] : job.parts) {
    asked += is_thinking(part) ? 1 : 0;
    accepted += part.row.claimed && !is_thinking(part) ? 1 : 0;
  }
  const auto reason = fmt::format("waiting for sites: {} accepted, {} asked, {} needed", accepted,
                                  asked, sites_needed(job.spec()));
  if (job.row.reason != reason) {
    job.row.reason = reason;
    step.save(job);
  }
}

void carry_out(Step& step, const Question& question, const Claims& claims) {
  auto& job = question.job(claims.applicant);
  if (job.row.state == JobState::queued) {
    job.wait.reset();
    step.move(job, JobTrigger::sites_claimed, "");
  }
  for (const auto& site : question.sites(claims.sites)) {
    claim(step, job, site);
  }
  advance(step, job);
}

void wait(Step& step, Job& job, const Wait& wait) {
  if (job.row.state == JobState::matching) {
    release_all(step, job);
    step.move(job, JobTrigger::sites_lost, "");
    JobEvent event;
    event.kind = JobEventKind::queued;
    event.text = "back in the queue: " + sentence(wait);
    step.tell(job, std::move(event));
  }
  if (job.wait != wait) {
    job.wait = wait;
    note_progress(step, job.id());
  }
}

void ask_to_yield(Step& step, Job& job, const std::optional<JobId>& to) {
  if (job.gives_way_to != to) {
    job.gives_way_to = to;
    note_progress(step, job.id());
  }
}

void plan_once(Step& step) {
  auto& queue = step.state.queue;
  Question question(step.state, step);
  for (auto& [id, job] : step.state.jobs) {
    if (!job.ended()) {
      question.add(job);
    }
  }
  const auto plan = question.answer();
  queue.reserved.reset();
  std::set<JobId> yields;
  for (const auto tenant : plan.yields) {
    yields.insert(question.tenant(tenant));
  }
  for (const auto& waiting : plan.waiting) {
    auto& job = question.job(waiting.applicant);
    if (!waiting.reserved.empty()) {
      queue.reserved = job.id();
    }
    wait(step, job, waiting.wait);
  }
  for (auto& [id, job] : step.state.jobs) {
    ask_to_yield(step, job, yields.contains(id) ? queue.reserved : std::nullopt);
  }
  for (const auto& claims : plan.claims) {
    carry_out(step, question, claims);
  }
}

template <class Do>
void for_each_matching(Step& step, Do what) {
  for (auto& [id, job] : step.state.jobs) {
    if (job.row.state == JobState::matching) {
      what(job);
    }
  }
}

}  // namespace

std::uint32_t sites_needed(const JobSpec& spec) {
  return std::max(spec.sites.min, static_cast<std::uint32_t>(spec.sites.mandatory.size()));
}

void run_queue(Step& step) {
  if (!step.state.queue.is_stale) {
    return;
  }
  while (std::exchange(step.state.queue.is_stale, false)) {
    settle_followers(step);
    for (auto& [id, job] : step.state.jobs) {
      if (job.row.state == JobState::queued || job.row.state == JobState::matching) {
        tidy(step, job);
      }
    }
    plan_once(step);
    for_each_matching(step, [&step](Job& job) { start_if_ready(step, job); });
  }
  for_each_matching(step, [&step](Job& job) { say_what_it_waits_for(step, job); });
}

Outlook foresee(const Step& step, Job& job) {
  Question question(step.state, step);
  for (auto& [id, other] : step.state.jobs) {
    if (!other.ended() && &other != &job) {
      question.add(other);
    }
  }
  question.add(job);
  const auto plan = question.answer();
  Outlook outlook;
  for (const auto tenant : plan.yields) {
    outlook.yields.push_back(question.tenant(tenant));
  }
  for (const auto& claims : plan.claims) {
    if (&question.job(claims.applicant) == &job) {
      outlook.claims = question.sites(claims.sites);
    }
  }
  for (const auto& waiting : plan.waiting) {
    const auto& other = question.job(waiting.applicant);
    if (!waiting.reserved.empty()) {
      outlook.holder = other.id();
      outlook.reserved = question.sites(waiting.reserved);
    }
    if (&other == &job) {
      outlook.wait = waiting.wait;
    } else if (!outlook.wait) {
      outlook.ahead.push_back(other.id());
    }
  }
  return outlook;
}

}  // namespace entente::broker
