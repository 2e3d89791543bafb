#include "common/domain/job_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "common/domain/algorithms.h"
#include "common/domain/asynchrony.h"
#include "common/domain/brought_files.h"
#include "common/domain/cross_evaluation.h"
#include "common/domain/freezing.h"
#include "common/domain/strategy_kinds.h"
#include "common/domain/update_encodings.h"

namespace entente {
namespace {

// A job id is the job's name, a dash and a number, and is a Name of at most 63 bytes itself.
constexpr std::size_t kJobNameBytesMax = 48;

// Beyond a year a deadline is a mistake; within it no sum of times overflows.
constexpr Millis kDurationMax = std::chrono::hours{365 * 24};

constexpr const char* kNameHint =
    "use a-z, 0-9, dot and dash, starting and ending with a letter or a digit";

using Problem = std::optional<Refusal>;

Problem invalid(std::string message, std::string hint) {
  return Refusal{"job_invalid", std::move(message), std::move(hint), Scope::job};
}

Problem check_count(std::string_view key, std::uint64_t value, std::uint64_t min,
                    std::uint64_t max) {
  if (value >= min && value <= max) {
    return std::nullopt;
  }
  return invalid(fmt::format("{} is {}, must be from {} to {}", key, value, min, max),
                 fmt::format("set {} to a value in that range", key));
}

Problem check_dataset(std::string_view key, const std::string& dataset) {
  if (is_name(dataset)) {
    return std::nullopt;
  }
  return invalid(fmt::format("{} is {}, which is not a legal name", key, quote(dataset)),
                 kNameHint);
}

Problem check_job(const JobSpec& spec) {
  if (!is_name(spec.name)) {
    return invalid(fmt::format("name is {}, which is not a legal name", quote(spec.name)),
                   kNameHint);
  }
  if (spec.name.size() > kJobNameBytesMax) {
    return invalid(
        fmt::format("name has {} bytes, may have {}", spec.name.size(), kJobNameBytesMax),
        "choose a shorter name");
  }
  if (auto wrong = check_count("rounds", spec.rounds, 1, limits::kRoundsMax)) {
    return wrong;
  }
  if (spec.deadline <= Millis{0} || spec.deadline > kDurationMax) {
    return invalid(fmt::format("deadline is {} ms, must be more than 0 and at most 365 days",
                               spec.deadline.count()),
                   "set deadline to the time that the whole job may take, for example \"24h\"");
  }
  if (spec.priority < -limits::kPriorityMax || spec.priority > limits::kPriorityMax) {
    return invalid(fmt::format("priority is {}, must be from {} to {}", spec.priority,
                               -limits::kPriorityMax, limits::kPriorityMax),
                   "0 is every job's priority; a lower one lets others go first");
  }
  if (spec.stall_window <= Millis{0} || spec.stall_window > spec.deadline) {
    return invalid(
        fmt::format("stall_window is {} ms, must be more than 0 and at most deadline, {} ms",
                    spec.stall_window.count(), spec.deadline.count()),
        "set stall_window to the time that a task may go without progress, for example \"5m\"");
  }
  return std::nullopt;
}

Problem check_after(const JobSpec& spec) {
  if (auto wrong =
          check_count("the length of after", spec.after.size(), 0, limits::kJobsAfterMax)) {
    return wrong;
  }
  const std::set<JobId> jobs(spec.after.begin(), spec.after.end());
  if (jobs.size() != spec.after.size()) {
    return invalid("after names a job twice", "name it once");
  }
  const bool is_unnamed =
      spec.init && spec.init->which != InitialModel::Which::file && spec.init->job.empty();
  if (jobs.contains(JobId()) || is_unnamed) {
    return invalid("after or init has an empty name", "list your jobs with: entente job list");
  }
  return std::nullopt;
}

Problem check_site_names(const SiteSelection& sites) {
  struct List {
    std::string_view key;
    const std::vector<SiteId>& names;
  };
  std::set<SiteId> seen;
  for (const auto& [key, names] :
       {List{"sites.mandatory", sites.mandatory}, List{"sites.exclude", sites.exclude}}) {
    if (auto wrong = check_count(fmt::format("the length of {}", key), names.size(), 0,
                                 limits::kSitesPerJobMax)) {
      return wrong;
    }
    std::set<SiteId> in_this_list;
    for (const auto& site : names) {
      if (site.empty()) {
        return invalid(fmt::format("{} has an empty name", key), kNameHint);
      }
      if (!in_this_list.insert(site).second) {
        return invalid(fmt::format("{} names \"{}\" twice", key, site.str()), "name it once");
      }
      if (!seen.insert(site).second) {
        return invalid(fmt::format("\"{}\" is in sites.mandatory and in sites.exclude", site.str()),
                       "remove it from one of the two");
      }
    }
  }
  return std::nullopt;
}

Problem check_expression(std::string_view key, const std::string& expression) {
  if (expression.size() <= limits::kExpressionBytesMax) {
    return std::nullopt;
  }
  return invalid(fmt::format("{} has {} bytes, may have {}", key, expression.size(),
                             limits::kExpressionBytesMax),
                 "say it in fewer words");
}

Problem check_sampling(const SiteSelection& sites) {
  if (!sites.sample) {
    return std::nullopt;
  }
  if (auto sound = check_sample(*sites.sample, sites.min); !sound) {
    return sound.error();
  }
  const auto wanted = updates_wanted(*sites.sample, sites.min);
  if (sites.quorum > wanted) {
    return invalid(
        fmt::format("sites.quorum is {}, more than the {} that a round takes by sites.sample",
                    sites.quorum, wanted),
        "lower sites.quorum, or leave it out: a round then takes all that it asks for");
  }
  if (sites.sample->by == SampleBy::preference && sites.prefer.empty()) {
    return invalid("sites.sample.by is \"preference\", and there is no sites.prefer",
                   "say in sites.prefer what a site's chance is in proportion to");
  }
  return std::nullopt;
}

Problem check_sites(const SiteSelection& sites) {
  if (auto wrong = check_count("sites.min", sites.min, 1, limits::kSitesPerJobMax)) {
    return wrong;
  }
  if (auto wrong = check_count("sites.max", sites.max, 0, limits::kSitesPerJobMax)) {
    return wrong;
  }
  if (sites.max != 0 && sites.min > sites.max) {
    return invalid(fmt::format("sites.min is {}, more than sites.max, {}", sites.min, sites.max),
                   "raise sites.max, or leave it out to take every eligible site");
  }
  // The job may start with sites.min sites and have no more for all its life.
  if (sites.quorum > sites.min) {
    return invalid(
        fmt::format("sites.quorum is {}, more than sites.min, {}: no round could close with the "
                    "sites that the job may start with",
                    sites.quorum, sites.min),
        fmt::format("raise sites.min to {}, or lower sites.quorum", sites.quorum));
  }
  if (auto wrong = check_sampling(sites)) {
    return wrong;
  }
  if (sites.max != 0 && sites.mandatory.size() > sites.max) {
    return invalid(fmt::format("sites.mandatory names {} sites, more than sites.max, {}",
                               sites.mandatory.size(), sites.max),
                   fmt::format("raise sites.max to {}", sites.mandatory.size()));
  }
  if (auto wrong = check_count("sites.samples_min", sites.samples_min, 0, limits::kExamplesMax)) {
    return wrong;
  }
  if (auto wrong = check_expression("sites.require", sites.require)) {
    return wrong;
  }
  if (auto wrong = check_expression("sites.prefer", sites.prefer)) {
    return wrong;
  }
  return check_site_names(sites);
}

Problem check_needs(const TaskNeeds& needs) {
  if (auto wrong =
          check_count("resources.memory", needs.memory_bytes, 0, limits::kMemoryBytesMax)) {
    return wrong;
  }
  if (auto wrong = check_count("resources.threads", needs.threads, 0, limits::kThreadsPerTaskMax)) {
    return wrong;
  }
  return check_count("resources.gpus", needs.gpus, 0, limits::kGpusMax);
}

Problem check_train(const JobSpec& spec) {
  const auto& train = spec.train;
  if (auto wrong = check_dataset(dataset_key(spec.kind), train.dataset)) {
    return wrong;
  }
  if (!train.trainer.empty() && !is_name(train.trainer)) {
    return invalid(
        fmt::format("{}.trainer is {}, which is not a legal name",
                    trains(spec.kind) ? "train" : to_string(spec.kind), quote(train.trainer)),
        kNameHint);
  }
  if (!trains(spec.kind)) {
    return std::nullopt;
  }
  if (auto wrong =
          check_count("train.local_epochs", train.local_epochs, 1, limits::kLocalEpochsMax)) {
    return wrong;
  }
  if (auto wrong = check_count("train.batch_size", train.batch_size, 1, limits::kBatchSizeMax)) {
    return wrong;
  }
  for (const auto& [key, limit] : {std::pair("train.clip_norm", train.clip_norm),
                                   std::pair("train.clip_value", train.clip_value)}) {
    // Written so that a NaN fails.
    if (!(limit >= 0 && std::isfinite(limit))) {
      return invalid(fmt::format("{} is {}, must be a number from 0", key, limit),
                     "0 turns it off");
    }
  }
  if (auto wrong =
          check_count("train.private_epochs", train.private_epochs, 0, limits::kLocalEpochsMax)) {
    return wrong;
  }
  if (auto optimizer = resolve_optimizer(train.optimizer); !optimizer) {
    return optimizer.error();
  }
  if (auto schedule = check_schedule(train.schedule); !schedule) {
    return schedule.error();
  }
  return std::nullopt;
}

// What the numbers of inputs are asked for, or are normalised by.
Problem check_numbers(const JobSpec& spec) {
  Expected<void> sound;
  if (spec.statistics) {
    sound = check_statistics_spec(*spec.statistics);
  } else if (spec.train.normalise) {
    sound = check_normalisation(*spec.train.normalise);
  }
  return sound ? std::nullopt : Problem(sound.error());
}

Problem check_evaluate(const JobSpec& spec) {
  const auto& evaluate = spec.evaluate;
  if (!evaluate) {
    return std::nullopt;
  }
  if (auto wrong = check_dataset("evaluate.dataset", evaluate->dataset)) {
    return wrong;
  }
  if (!trains(spec.kind) && evaluate->dataset != spec.train.dataset) {
    return invalid(fmt::format("evaluate.dataset is {}, the job's sites are asked for {}",
                               quote(evaluate->dataset), quote(spec.train.dataset)),
                   "a job that trains nothing has one dataset");
  }
  return check_count("evaluate.every", evaluate->every, 1, limits::kRoundsMax);
}

Problem check_end(const JobSpec& spec) {
  if (!spec.stop) {
    return std::nullopt;
  }
  if (!spec.evaluate) {
    return invalid("stop.metric is a metric of evaluations, and the job has none",
                   "give the job an [evaluate] table, or take [stop] out");
  }
  auto sound = check_stop(*spec.stop);
  return sound ? std::nullopt : Problem(sound.error());
}

// Outputs stand by themselves: what makes a model out of changes has nothing to do with them.
Problem check_predict(const JobSpec& spec) {
  if (!spec.predict) {
    return std::nullopt;
  }
  if (spec.predict->own && spec.predict->own->empty()) {
    return invalid("predict.own is an empty name", "list your jobs with: entente job list");
  }
  if (spec.strategy.kind != StrategySpec().kind) {
    return invalid(fmt::format("strategy.kind is {}; predictions are put together as a weighted "
                               "mean, \"{}\"",
                               quote(spec.strategy.kind), StrategySpec().kind),
                   "take strategy.kind out, and choose strategy.weights");
  }
  for (const auto& [name, value] : spec.strategy.parameters) {
    if (name != kWeightCap) {
      return invalid(fmt::format("strategy.{} is about updates of a model, and none is sent", name),
                     "take it out; predictions have strategy.weights and strategy.weight_cap");
    }
  }
  if (spec.strategy.weights == Weighting::steps) {
    return invalid("strategy.weights is \"steps\", and nothing is trained",
                   "weigh the sites by \"examples\", \"uniform\" or numbers of your own");
  }
  return std::nullopt;
}

Problem check_merge(const JobSpec& spec) {
  auto sound =
      check_strategy(spec.strategy, spec.async ? cohort_of(spec) : spec.sites.effective_quorum());
  if (sound) {
    sound = check_update_spec(spec.update, spec.strategy);
  }
  if (sound) {
    sound = check_asynchrony(spec);
  }
  return sound ? std::nullopt : Problem(sound.error());
}

}  // namespace

Expected<void> check_learning(const TrainSpec& train, const ResolvedModel& model) {
  if (auto fits = check_loss(train.loss, train.class_weights, model.output); !fits) {
    return fits;
  }
  if (auto frozen = frozen_tensors(train.freeze, model); !frozen) {
    return tl::unexpected(frozen.error());
  }
  if (auto suits = check_augment(train.augment, model.layers.front().input); !suits) {
    return suits;
  }
  if (train.batch_size == 1 && model.needs_pairs()) {
    return refuse("job_invalid",
                  "train.batch_size is 1, but batch_norm compares the examples of a batch",
                  "set train.batch_size to 2 or more, or use group_norm", Scope::job);
  }
  return {};
}

std::uint32_t cohort_of(const JobSpec& spec) {
  if (spec.async) {
    return std::max<std::uint32_t>(spec.sites.quorum, 1);
  }
  const bool is_alone = shows_single_sites(spec.kind) || parts_of(spec.kind).quorum == Need::absent;
  return is_alone ? 1 : spec.sites.effective_quorum();
}

std::string dataset_key(JobKind kind) {
  return fmt::format("{}.dataset", trains(kind) ? "train" : to_string(kind));
}

Expected<ResolvedModel> model_of(const JobSpec& spec) {
  return has_model(spec.kind) ? resolve_model(spec.model) : Expected<ResolvedModel>();
}

Expected<ResolvedModel> validate(const JobSpec& spec) {
  if (auto fits = check_parts(spec); !fits) {
    return tl::unexpected(fits.error());
  }
  if (auto fits = check_cross_evaluation(spec); !fits) {
    return tl::unexpected(fits.error());
  }
  for (const auto& problem :
       {check_job(spec), check_after(spec), check_sites(spec.sites), check_train(spec),
        check_numbers(spec), check_predict(spec), check_merge(spec), check_evaluate(spec),
        check_needs(spec.resources), check_end(spec)}) {
    if (problem) {
      return tl::unexpected(*problem);
    }
  }
  auto model = model_of(spec);
  if (model && has_model(spec.kind)) {
    if (auto fits = check_learning(spec.train, *model); !fits) {
      return tl::unexpected(fits.error());
    }
    if (auto fits = check_algorithms(spec, *model); !fits) {
      return tl::unexpected(fits.error());
    }
    if (auto fits = check_brought_files(spec, *model); !fits) {
      return tl::unexpected(fits.error());
    }
  }
  return model;
}

}  // namespace entente
