// Jobs that judge every site's own model on every site's examples.
//
//   round 1   train at every site that holds a place, each from version 0
//   round r   evaluate version r - 1 at every site that holds a place
//
//  - Version v is one site's model: the v-th update of round 1, by the sites' names, merged alone
//    onto version 0. Which one becomes which is settled when round 1 closes, and is part of the
//    tasks' rows (merged_in), so that a broker that dies goes on with the same. The updates stay
//    until their turn comes.
//  - A round that closes makes the version that the next one judges; the last one makes none.
//  - What the sites say of a version is kept in the row of that version's round, beside the model
//    that it is about: a row of the matrix. Who fails, stalls or is away leaves its cell empty.
//  - A round of evaluations takes one answer to close when the others stall, and none when every
//    site has failed at that model: one site's model that nobody can run must not cost the other
//    rows. A job that has no cell at all in the end, or no site left, fails.
//  - Places are not given to others once round 1 is closed, also when the job goes on after a rest:
//    a new site would be a column without its beginning. Who is away then sits out until the next.
//  - An update that is found damaged when its turn comes is left out, with a reason, and so is that
//    of a site which takes part no longer. In round 1 the site of a damaged one is asked again, as
//    in any round that trains.
//  - Nobody is shown the model of a site any more that has taken its word back: the round about it
//    closes with what there is, and the version is removed (leftovers.h).
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/core/cohort.h"
#include "broker/core/cross_evaluation.h"
#include "broker/core/evaluations.h"
#include "broker/core/jobs.h"
#include "broker/core/kinds.h"
#include "broker/core/leftovers.h"
#include "broker/core/merges.h"
#include "broker/core/tasks.h"
#include "common/base/check.h"
#include "common/domain/cross_evaluation.h"

namespace entente::broker {
namespace {

constexpr Round kTraining = 1;

TaskKind task(Round round) { return round <= kTraining ? TaskKind::train : TaskKind::evaluate; }

Round current(const Job& job) { return job.rounds.empty() ? 0 : job.rounds.rbegin()->first; }

bool is_training(const Job& job) { return current(job) <= kTraining; }

bool is_closed(const RoundRow& round) {
  return round.state == RoundState::merging || round.state == RoundState::done;
}

// One more than there are models; until that is known, than there are places.
Round rounds(const Job& job) {
  const auto first = job.rounds.find(kTraining);
  return kTraining + (first != job.rounds.end() && is_closed(first->second)
                          ? first->second.updates
                          : std::max(static_cast<Round>(places(job)), job.spec().sites.min));
}

Round base(Round) { return 0; }

bool gives_places_away(const Job& job) { return is_training(job); }

// Whether the site's last attempt in this round has failed: it is not asked again.
bool has_failed(const Job& job, const SiteId& site) {
  const auto round = current(job);
  const Task* newest = nullptr;
  for (auto it = job.tasks.lower_bound({job.id(), round, TaskKind::evaluate, site, 1});
       it != job.tasks.end() && it->first.round == round && it->first.kind == TaskKind::evaluate &&
       it->first.site == site;
       ++it) {
    newest = &it->second;
  }
  return newest != nullptr && newest->row.state == TaskState::failed;
}

// Nobody who takes part can say anything about this model.
bool is_beyond_all(const Job& job) {
  bool is_anybody_there = false;
  for (const auto& [site, part] : job.parts) {
    if (part.row.has_place && part.row.enrolment != Enrolment::declined) {
      is_anybody_there = true;
      if (!has_failed(job, site)) {
        return false;
      }
    }
  }
  return is_anybody_there;
}

Turnout turnout(const Job& job) {
  if (is_training(job)) {
    return turnout_of_all(job);
  }
  if (is_taken_back(job, job.rounds.at(current(job) - 1))) {
    return {};
  }
  const auto all = places(job);
  return {all, all, is_beyond_all(job) ? 0U : 1U};
}

std::string describe(const Job& job, const std::vector<SiteId>& asked) {
  const auto round = current(job);
  if (round <= kTraining) {
    return fmt::format("training at {} sites", asked.size());
  }
  const auto& judged = job.rounds.at(round - 1);
  return is_taken_back(job, judged)
             ? fmt::format("passing over the model of {}, which takes part no longer",
                           judged.model_of)
             : fmt::format("evaluating the model of {} at {} sites", judged.model_of, asked.size());
}

// From now on it is settled whose update becomes which version.
void number_updates(Step& step, Job& job) {
  Round version = 0;
  for (auto& [key, task] : job.tasks) {  // by site
    if (key.round == kTraining && key.kind == TaskKind::train &&
        task.row.state == TaskState::done) {
      task.row.merged_in = ++version;
      step.save(task);
    }
  }
}

// What all who count the metric together know: what one site alone sends beside it would fill the
// matrix with empty cells.
Metrics cell_metrics(const Metrics& metrics, const Metrics& combined) {
  Metrics kept;
  for (const auto& [name, value] : metrics) {
    if (combined.contains(name) && name.size() <= kCellMetricNameBytesMax &&
        kept.size() < kCellMetricsMax) {
      kept[name] = value;
    }
  }
  return kept;
}

// The round's answers become a row of the matrix.
void fill_row(Step& step, Job& job, const RoundRow& round) {
  auto& judged = job.rounds.at(round.round - 1);
  const auto answers = round_answers(job, round.round);
  record_evaluation(step, job, judged, round.round, answers);
  for (const auto* answer : answers) {
    const auto& result = answer->row.result;
    judged.at_sites[answer->row.key.site] = {cell_metrics(result.metrics, judged.evaluate_metrics),
                                             result.examples};
  }
  step.save(judged);
  std::erase_if(job.tasks, [&round](const auto& entry) {
    return entry.first.round == round.round && entry.first.kind == TaskKind::evaluate;
  });
}

// What each site has said last, a line each.
std::string reasons(const Job& job) {
  std::string text;
  for (const auto& [site, part] : job.parts) {
    if (!part.row.reason.empty()) {
      text += fmt::format("\n  {}: {}", site.str(), part.row.reason);
    }
  }
  return text;
}

void finish(Step& step, Job& job, RoundRow& round) {
  round.model_of.clear();
  round.state = RoundState::done;
  step.save(round);
  const bool has_cells = std::any_of(job.rounds.begin(), job.rounds.end(), [](const auto& entry) {
    return !entry.second.at_sites.empty();
  });
  if (!has_cells) {
    fail(step, job, "no site could evaluate a single model" + reasons(job));
  }
}

// The update that is to become the version; null when none is left.
Task* update_for(Job& job, Round version) {
  const auto found = std::find_if(job.tasks.begin(), job.tasks.end(), [version](const auto& entry) {
    return entry.second.row.state == TaskState::done && entry.second.row.merged_in == version;
  });
  return found == job.tasks.end() ? nullptr : &found->second;
}

// Takes the update back; those that come after it move up.
void leave_out(Step& step, Job& job, Task& update, const std::string& why) {
  const auto version = std::exchange(update.row.merged_in, 0);
  lose_update(step, job, update, why);
  for (auto& [key, task] : job.tasks) {
    if (task.row.state == TaskState::done && task.row.merged_in > version) {
      --task.row.merged_in;
      step.save(task);
    }
  }
  auto& first = job.rounds.at(kTraining);
  --first.updates;
  step.save(first);
  JobEvent event;
  event.kind = JobEventKind::task_lost;
  event.round = version;
  event.site = update.row.key.site.str();
  event.text = fmt::format("the matrix goes on without the model of {}", event.site);
  step.tell(job, std::move(event));
}

// The model whose turn it is becomes the round's version; without one the matrix is complete.
void make_version(Step& step, Job& job, RoundRow& round) {
  auto* next = update_for(job, round.round);
  while (next != nullptr) {
    const auto& part = job.parts.at(next->row.key.site).row;
    if (part.enrolment != Enrolment::declined) {
      break;
    }
    const auto update = *next->row.result.blob;
    leave_out(step, job, *next, "it takes part no longer: " + part.reason);
    drop_unnamed(step, {update});
    next = update_for(job, round.round);
  }
  if (next == nullptr) {
    finish(step, job, round);
    return;
  }
  round.state = RoundState::merging;
  round.model_of = next->row.key.site.str();
  round.train_metrics = next->row.result.metrics;
  step.save(round);
  start_merge(step, job, round);
}

void close(Step& step, Job& job, RoundRow& round) {
  if (round.round == kTraining) {
    number_updates(step, job);
  } else {
    fill_row(step, job, round);
  }
  make_version(step, job, round);
}

}  // namespace

bool is_taken_back(const Job& job, const RoundRow& round) {
  const auto site = SiteId::parse(round.model_of);
  const auto part = site ? job.parts.find(*site) : job.parts.end();
  return part != job.parts.end() && part->second.row.enrolment == Enrolment::declined;
}

void leave_out_update(Step& step, Job& job, RoundRow& round) {
  auto* update = update_for(job, round.round);
  ENTENTE_CHECK(update != nullptr);
  // Of a site that takes part no longer it is left out for that.
  if (!is_taken_back(job, round)) {
    leave_out(step, job, *update, kDamagedUpdate);
  }
  make_version(step, job, round);
}

const KindRules kCrossEvaluateKind{task,     true,  asks_all, turnout, all_in_turn,
                                   describe, close, rounds,   base,    gives_places_away};

}  // namespace entente::broker
