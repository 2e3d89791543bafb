// What a coordinator asks for. A job file (TOML) becomes a JobSpec; the spec's digest is the
// SHA-256 of its canonical wire form (wire/job_codec.h), and names the job's content everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/domain/async_spec.h"
#include "common/domain/augmentation.h"
#include "common/domain/initial_model.h"
#include "common/domain/job_kind.h"
#include "common/domain/layers.h"
#include "common/domain/losses.h"
#include "common/domain/model_spec.h"
#include "common/domain/optimizer_kinds.h"
#include "common/domain/predict_spec.h"
#include "common/domain/sample_spec.h"
#include "common/domain/schedules.h"
#include "common/domain/statistics_spec.h"
#include "common/domain/stop_spec.h"
#include "common/domain/strategy_spec.h"
#include "common/domain/update_spec.h"

namespace entente {

// Which sites take part, and how many of them a round needs.
struct SiteSelection {
  std::uint32_t min = 1;          // the job starts when this many have accepted it
  std::uint32_t max = 0;          // 0: every eligible site
  std::uint32_t quorum = 0;       // updates a round needs to close; 0: min, or all of a sample
  std::vector<SiteId> mandatory;  // the job does not start without them
  std::vector<SiteId> exclude;    // never asked
  bool replace = true;            // others may take the place of a site that is lost or draining
  std::uint64_t samples_min = 0;  // examples of the training dataset that a site must have
  std::string require{};          // SQL over the site's advert that must hold; empty: nothing
  std::string prefer{};           // SQL that ranks eligible sites, higher first; empty: by id
  std::optional<SampleSpec> sample{};  // of the job's sites, in each round; none: all of them

  // Updates that a round needs to close in a job with so many places.
  [[nodiscard]] std::uint32_t quorum_among(std::size_t places) const {
    return quorum != 0 ? quorum : sample ? updates_wanted(*sample, places) : min;
  }
  // In any job of the spec.
  [[nodiscard]] std::uint32_t effective_quorum() const { return quorum_among(min); }
  bool operator==(const SiteSelection&) const = default;
};

// What one task of the job needs at a site. 0: whatever there is.
struct TaskNeeds {
  std::uint64_t memory_bytes = 0;  // of the site's memory, which its slots share
  std::uint32_t threads = 0;       // of a slot
  std::uint32_t gpus = 0;          // at the site
  bool operator==(const TaskNeeds&) const = default;
};

// Ditto: a second model that a site trains for itself, drawn to the global one by
// lambda/2 |v - w|^2.
struct PersonalSpec {
  double lambda = 0.1;
  std::uint32_t local_epochs = 1;
  bool operator==(const PersonalSpec&) const = default;
};

// One site's work in one round. Of a job that trains nothing only what its examples are and how a
// model is judged by them: dataset, loss, class_weights; the rest has its defaults.
struct TrainSpec {
  std::string dataset;  // that every site of the job has, whatever its kind
  std::uint32_t local_epochs = 1;
  std::uint32_t batch_size = 32;
  Loss loss = Loss::cross_entropy;
  OptimizerSpec optimizer;
  std::vector<double> class_weights{};  // of each class in the loss; empty: all the same
  ScheduleSpec schedule{};
  double clip_norm = 0;               // longer gradients are shortened to this L2 norm; 0: none is
  double clip_value = 0;              // values of a gradient are kept within it; 0: none is
  std::vector<std::string> freeze{};  // patterns of tensors that are not trained (freezing.h)
  bool balanced = false;  // steps by each site's speed instead of epochs (broker/core/balance.h)
  AugmentSpec augment{};  // of pictures
  std::string trainer{};  // one that sites have under this name; empty: whichever a site uses
  std::optional<Normalisation> normalise{};  // of the inputs; none: as the sites have them
  double prox_mu = 0;  // FedProx: the loss has mu/2 |w - w_global|^2 on top; 0: it has not
  std::vector<std::string> exclude{};          // patterns of tensors that are not exchanged
  std::vector<std::string> private_tensors{};  // likewise: a head of the site's own
  std::uint32_t private_epochs = 0;  // of those alone, before the shared ones; 0: all at once
  std::optional<PersonalSpec> personal{};

  [[nodiscard]] double learning_rate(Round round) const {
    return optimizer.lr * schedule_factor(schedule, round);
  }
  bool operator==(const TrainSpec&) const = default;
};

struct EvaluateSpec {
  std::string dataset;
  std::uint32_t every = 1;  // rounds between evaluations; the last round is always evaluated
  bool personal = false;    // of the site's personal model instead of the global one
  bool operator==(const EvaluateSpec&) const = default;
};

struct JobSpec {
  std::string name;  // a legal Name; the job id is this name and a number
  JobKind kind = JobKind::train;
  std::uint32_t rounds = 1;
  std::optional<std::uint64_t> seed;  // by default derived from the spec's digest
  Millis deadline{};      // from submission to the end; stands while paused or waiting for `after`
  Millis stall_window{};  // a task without progress for this long is lost
  std::int32_t priority = 0;  // -100 to 100; the highest goes first (broker/core/scheduler.h)
  SiteSelection sites;
  ModelSpec model;
  TrainSpec train;
  std::optional<EvaluateSpec> evaluate;
  StrategySpec strategy;
  UpdateSpec update;
  TaskNeeds resources{};
  std::optional<StopSpec> stop{};  // none: the job runs all of its rounds
  Keep keep = Keep::all;
  bool preemptible = false;            // gives way after a round (broker/core/scheduler.h)
  std::vector<JobId> after{};          // starts when these have completed
  std::optional<InitialModel> init{};  // none: drawn from the seed
  std::optional<StatisticsSpec> statistics{};
  std::optional<AsyncSpec> async{};  // none: rounds wait for their sites
  std::optional<PredictSpec> predict{};

  bool operator==(const JobSpec&) const = default;
};

// Whether the spec has the parts of its kind, and no others (job_kind.h): a part of validate().
[[nodiscard]] Expected<void> check_parts(const JobSpec& spec);

// The job's model; an empty one of a kind that has none. Refuses with code "model_invalid".
[[nodiscard]] Expected<ResolvedModel> model_of(const JobSpec& spec);

// Answers of sites that a round puts together, at the least.
[[nodiscard]] std::uint32_t cohort_of(const JobSpec& spec);

// The key of the dataset that every site of the job has, by its place in a job file of the kind.
[[nodiscard]] std::string dataset_key(JobKind kind);

// What of the training can only be judged with the model's shapes: a part of validate(), which also
// judges how the parts of a job fit together (algorithms.h).
[[nodiscard]] Expected<void> check_learning(const TrainSpec& train, const ResolvedModel& model);

// Checks everything that can be judged without knowing the sites: ranges, names, the model's
// shapes. Refuses with code "job_invalid" or "model_invalid", naming the key at fault by its path
// in a job file ("sites.min is 4, more than sites.max, 3").
[[nodiscard]] Expected<ResolvedModel> validate(const JobSpec& spec);

}  // namespace entente
