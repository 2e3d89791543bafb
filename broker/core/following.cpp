#include "broker/core/following.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/core/early_stop.h"
#include "broker/core/files.h"
#include "broker/core/jobs.h"
#include "broker/core/merges.h"
#include "broker/core/requests.h"
#include "common/base/figures.h"
#include "common/base/nearest.h"

namespace entente::broker {
namespace {

bool waits_for_others(const State& state, const Job& job) {
  const auto& after = job.spec().after;
  return std::any_of(after.begin(), after.end(), [&state](const JobId& id) {
    return state.jobs.at(id).row.state != JobState::completed;
  });
}

bool is_among(const std::vector<JobId>& jobs, const JobId& job) {
  return std::find(jobs.begin(), jobs.end(), job) != jobs.end();
}

// How one of the others ended that has not completed; nothing while all may.
std::optional<std::string> broken_by(const State& state, const JobSpec& spec) {
  for (const auto& id : spec.after) {
    const auto& other = state.jobs.at(id);
    if (other.ended() && other.row.state != JobState::completed) {
      const auto& reason = other.row.reason;
      return fmt::format("{}, which it was to follow, has {}{}{}{}", id.str(),
                         other.row.state == JobState::aborted ? "been " : "",
                         to_string(other.row.state), reason.empty() ? "" : ": ",
                         reason.substr(0, reason.find('\n')));
    }
  }
  return std::nullopt;
}

const RoundRow* last_round(const Job& job) {
  for (auto round = job.rounds.rbegin(); round != job.rounds.rend(); ++round) {
    if (round->second.model) {
      return &round->second;
    }
  }
  return nullptr;
}

Expected<const RoundRow*> find_version(const Job& job, const InitialModel& init) {
  const auto id = job.id().str();
  const auto unknown = [](std::string message, std::string hint) {
    return tl::unexpected(
        Refusal{"model_unknown", std::move(message), std::move(hint), Scope::job});
  };
  const RoundRow* found = nullptr;
  switch (init.which) {
    case InitialModel::Which::last:
      found = last_round(job);
      break;
    case InitialModel::Which::best:
      if (const auto best = best_round(job)) {
        found = &job.rounds.at(*best);
      }
      if (found == nullptr && last_round(job) != nullptr) {
        return unknown(fmt::format("init names the best model of {}, and none was evaluated", id),
                       fmt::format("write \"model:{}@last\", or name a round", id));
      }
      break;
    case InitialModel::Which::round: {
      const auto round = job.rounds.find(init.round);
      found = round != job.rounds.end() && round->second.model ? &round->second : nullptr;
      if (found != nullptr && found->model_removed) {
        return unknown(fmt::format("init names {}@{}, which is no longer kept", id, init.round),
                       fmt::format("write \"model:{0}@best\" or \"model:{0}@last\"", id));
      }
      if (found == nullptr && last_round(job) != nullptr) {
        return unknown(fmt::format("init names {}@{}, which there is not", id, init.round),
                       fmt::format("see what there is with: entente model list --job {}", id));
      }
      break;
    }
    case InitialModel::Which::file:
      break;  // of no other job
  }
  if (found != nullptr && found->round > 0 && job.spec().kind == JobKind::predict) {
    return unknown(
        fmt::format("init names {}@{}, which are predictions and no model", id, found->round),
        fmt::format("its model is \"model:{}@0\"", id));
  }
  if (found == nullptr) {
    return unknown(
        fmt::format("init names a model of {}, which has none{}", id, job.ended() ? "" : " yet"),
        job.ended() ? "" : fmt::format("let the job wait for it: after = [\"{}\"]", id));
  }
  return found;
}

std::string describe(const TensorInfo& tensor) {
  return fmt::format("{} {}", tensor.name, to_string(tensor.shape));
}

// The first tensor in which the other model differs; nothing when the job can go on from it.
std::optional<Refusal> compare(std::string_view key, const JobId& other, const TensorLayout& theirs,
                               const TensorLayout& ours) {
  if (theirs == ours) {
    return std::nullopt;
  }
  std::string difference;
  for (std::size_t i = 0; difference.empty(); ++i) {
    const bool ends_here = i >= ours.tensors.size();
    const bool ends_there = i >= theirs.tensors.size();
    if (ends_here || ends_there || ours.tensors[i] != theirs.tensors[i]) {
      difference = fmt::format("{} there, {} here",
                               ends_there ? "no such tensor" : describe(theirs.tensors[i]),
                               ends_here ? "no such tensor" : describe(ours.tensors[i]));
    }
  }
  return Refusal{"model_mismatch",
                 fmt::format("{} cannot start from {}: {}", key, other.str(), difference),
                 "give the job the same [model] as " + other.str(), Scope::job};
}

std::string_view key_that_names(const JobSpec& spec, const JobId& id) {
  if (is_among(spec.after, id)) {
    return "after";
  }
  return spec.init && spec.init->job == id ? "init" : "predict.own";
}

// Whether the job that predict.own names has left anything at its sites, and of such a model.
std::optional<Refusal> check_own(const State& state, const JobSpec& spec,
                                 const TensorLayout& layout) {
  if (!spec.predict || !spec.predict->own) {
    return std::nullopt;
  }
  const auto& other = state.jobs.at(*spec.predict->own);
  const auto& train = other.spec().train;
  if (!train.personal && train.exclude.empty() && train.private_tensors.empty()) {
    return Refusal{
        "own_missing",
        fmt::format("predict.own names {}, which has left nothing at its sites", other.id().str()),
        "name a job with train.private, train.exclude or train.personal, or leave "
        "predict.own out",
        Scope::job};
  }
  return compare("predict.own", other.id(), *other.layout, layout);
}

// Version 0 is the other job's model.
void publish_origin(Step& step, Job& job, const Job& other, const RoundRow& from) {
  auto& round = job.rounds[0];
  round.job = job.id();
  const auto origin = fmt::format("{}@{}", other.id().str(), from.round);
  publish(step, job, round, {*from.model, from.model_bytes, std::nullopt, 0}, origin);
  JobEvent event;
  event.kind = JobEventKind::initialized;
  event.bytes = from.model_bytes;
  event.text = fmt::format("starts from {}, model {}", origin, from.model->short_hex());
  step.tell(job, std::move(event));
}

// Version 0 is what its coordinator has brought.
void publish_file(Step& step, Job& job) {
  const auto& init = *job.spec().init;
  auto& round = job.rounds[0];
  round.job = job.id();
  publish(step, job, round, {*init.file, init.bytes, std::nullopt, 0}, "file:" + init.file->hex());
  JobEvent event;
  event.kind = JobEventKind::initialized;
  event.bytes = init.bytes;
  event.text = fmt::format("starts from its coordinator's file, {}, model {}",
                           human_bytes(init.bytes), init.file->short_hex());
  step.tell(job, std::move(event));
}

// As soon as it is known which model that is; other files may still be awaited. Fails the job when
// there is none.
void settle_origin(Step& step, Job& job) {
  const auto& init = job.spec().init;
  if (!init || !job.rounds.empty() || waits_for_others(step.state, job)) {
    return;
  }
  if (init->which == InitialModel::Which::file) {
    if (job.files.contains(*init->file)) {
      publish_file(step, job);
    }
    return;
  }
  const auto& other = step.state.jobs.at(init->job);
  if (const auto from = find_version(other, *init)) {
    publish_origin(step, job, other, **from);
  } else {
    fail(step, job, from.error().message);
  }
}

void settle(Step& step, Job& job) {
  if (auto reason = broken_by(step.state, job.spec())) {
    fail(step, job, std::move(*reason));
    return;
  }
  settle_origin(step, job);
  if (job.ended()) {
    return;
  }
  if (is_held_up(step.state, job)) {
    auto reason = what_holds_up(step.state, job);
    if (job.row.reason != reason) {
      job.row.reason = std::move(reason);
      step.save(job);
      note_progress(step, job.id());
    }
    return;
  }
  if (!job.deadline) {
    step.start_clock(job);
    job.row.reason.clear();
    step.save(job);
    step.state.queue.is_stale = true;
  }
}

}  // namespace

bool is_held_up(const State& state, const Job& job) {
  return waits_for_others(state, job) || awaits_files(job);
}

std::string what_holds_up(const State& state, const Job& job) {
  std::vector<std::string> others;
  for (const auto& id : job.spec().after) {
    if (state.jobs.at(id).row.state != JobState::completed) {
      others.push_back(id.str());
    }
  }
  std::vector<std::string> reasons;
  if (!others.empty()) {
    reasons.push_back(fmt::format("waits until {} {} completed", fmt::join(others, ", "),
                                  others.size() == 1 ? "has" : "have"));
  }
  if (awaits_files(job)) {
    reasons.push_back(awaited_files(job));
  }
  return fmt::format("{}", fmt::join(reasons, ", and "));
}

std::optional<Refusal> check_followed(const State& state, const JobSpec& spec,
                                      const TensorLayout& layout,
                                      const std::function<bool(const Job&)>& is_visible) {
  const bool names_model = spec.init && spec.init->which != InitialModel::Which::file;
  auto followed = spec.after;
  if (names_model) {
    followed.push_back(spec.init->job);
  }
  if (spec.predict && spec.predict->own) {
    followed.push_back(*spec.predict->own);
  }
  for (const auto& id : followed) {
    const auto found = state.jobs.find(id);
    if (found != state.jobs.end() && is_visible(found->second)) {
      continue;
    }
    std::vector<std::string> known;
    for (const auto& [other, job] : state.jobs) {
      if (is_visible(job)) {
        known.push_back(other.str());
      }
    }
    return Refusal{"job_unknown",
                   fmt::format("{} names \"{}\", and there is no such job{}",
                               key_that_names(spec, id), id.str(), suggestion(id.str(), known)),
                   "list your jobs with: entente job list", Scope::job};
  }
  if (auto reason = broken_by(state, spec)) {
    return Refusal{"job_ended", std::move(*reason), "take it out of after", Scope::job};
  }
  if (auto nothing = check_own(state, spec, layout)) {
    return nothing;
  }
  if (!names_model) {
    return std::nullopt;
  }
  const auto& other = state.jobs.at(spec.init->job);
  if (auto mismatch = compare("init", other.id(), *other.layout, layout)) {
    return mismatch;
  }
  const bool comes_later =
      is_among(spec.after, other.id()) && other.row.state != JobState::completed;
  if (comes_later) {
    return std::nullopt;
  }
  const auto from = find_version(other, *spec.init);
  return from ? std::nullopt : std::optional(from.error());
}

void settle_followers(Step& step) {
  std::vector<Job*> followers;
  for (auto& [id, job] : step.state.jobs) {
    const auto& spec = job.spec();
    if (job.row.state == JobState::queued && (!spec.after.empty() || spec.init || spec.predict)) {
      followers.push_back(&job);
    }
  }
  // A job follows only older ones: in this order one pass settles whole chains.
  std::sort(followers.begin(), followers.end(),
            [](const Job* a, const Job* b) { return a->row.number < b->row.number; });
  for (auto* job : followers) {
    settle(step, *job);
  }
}

}  // namespace entente::broker
