#include "tests/simulation/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/domain/cross_evaluation.h"
#include "tests/simulation/fake_training.h"
#include "tests/simulation/random.h"

namespace entente::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::array kNames{"delta", "east", "north", "omega", "south", "west"};

std::vector<SitePlan> plan_sites(Random& random, bool gentle) {
  std::vector<SitePlan> sites(random.between(2, kNames.size()));
  for (std::size_t i = 0; i < sites.size(); ++i) {
    auto& site = sites[i];
    site.id = SiteId::literal(kNames.at(i));
    site.slots = static_cast<std::uint32_t>(random.between(1, 2));
    site.evaluates = random.chance(400);
    site.training_max = random.between(seconds(2), seconds(90));
    // Somebody has to be willing.
    site.declines = i > 0 && random.chance(100);
    site.fails = random.chance(300) ? 150 : 0;
    if (!gentle) {
      site.dies = random.chance(200) ? 100 : 0;
      site.hangs = random.chance(200) ? 40 : 0;
      site.poisons = random.chance(100) ? 60 : 0;
    }
  }
  return sites;
}

// With several draws of a few sites, or none.
std::optional<SampleSpec> plan_sample(Random& random, const JobSpec& spec, bool gentle) {
  if (!random.chance(350)) {
    return std::nullopt;
  }
  SampleSpec sample;
  sample.by = random.chance(500) ? SampleBy::samples : SampleBy::uniform;
  sample.count = static_cast<std::uint32_t>(random.between(1, spec.sites.min));
  sample.separation =
      static_cast<std::uint32_t>(random.between(0, spec.sites.min / sample.count - 1));
  // Whoever answers first counts: the model then hangs on the moment.
  sample.over = !gentle && random.chance(500) ? 1.5 : 1;
  return sample;
}

// Of a job that judges or uses one model, in one round.
void cut_training(JobSpec& spec) {
  spec.rounds = 1;
  spec.train = TrainSpec();
  spec.train.dataset = "scans";
  spec.evaluate.reset();
  spec.update = UpdateSpec();
  spec.stop.reset();
  spec.keep = Keep::all;
  spec.sites.quorum = std::min(spec.sites.quorum, spec.sites.min);
}

// The job whose last model the next one can start from.
const JobSpec* origin_in(const Plan& plan) {
  if (plan.jobs.empty() || plan.jobs.back().aborted_after) {
    return nullptr;
  }
  const auto& spec = plan.jobs.back().spec;
  return has_model(spec.kind) && spec.kind != JobKind::predict ? &spec : nullptr;
}

// Each site by what that job has left there, where every site that completes it has something.
PredictSpec plan_predictions(Random& random, const JobSpec& spec, const JobSpec& origin) {
  PredictSpec predict;
  // Equal inputs in different jobs are one blob.
  predict.inputs = brought_inputs(random.chance(500) ? "all" : spec.name);
  predict.inputs_bytes = kBlobBytes;
  predict.examples = kPredictedRows;
  const bool all_have_own =
      origin.kind == JobKind::train && hands_out(origin) && !origin.sites.sample && !origin.async;
  if (all_have_own && random.chance(800)) {
    predict.own = JobId::literal(origin.name + "-1");
  }
  return predict;
}

// Takes out of the spec what a job of the kind does not have.
JobKind plan_kind(Random& random, const Plan& plan, JobSpec& spec) {
  const auto cut = [&spec] {
    spec.strategy = StrategySpec();
    spec.sites.sample.reset();
    spec.train.balanced = false;
  };
  if (random.chance(150)) {
    cut();
    spec.sites.quorum = 0;
    return JobKind::cyclic;
  }
  if (random.chance(150)) {
    cut();
    spec.rounds = 1;
    spec.train.exclude.clear();
    spec.update = UpdateSpec();
    spec.evaluate = EvaluateSpec{"scans", 1};
    spec.stop.reset();
    spec.keep = Keep::all;
    spec.sites.max = spec.sites.max == 0 ? kCrossSitesMax : spec.sites.max;
    return JobKind::cross_evaluate;
  }
  if (random.chance(120)) {
    cut();
    cut_training(spec);
    spec.rounds = 2;
    spec.model = ModelSpec();
    spec.statistics = StatisticsSpec{{}, kCountedBins, {0.5}};
    return JobKind::statistics;
  }
  const auto* origin = origin_in(plan);
  if (origin == nullptr || !random.chance(300)) {
    return JobKind::train;
  }
  cut();
  cut_training(spec);
  if (random.chance(500)) {
    spec.predict = plan_predictions(random, spec, *origin);
    return JobKind::predict;
  }
  spec.evaluate = EvaluateSpec{"scans", 1};
  return JobKind::evaluate;
}

// Takes out of the spec what does not go with asynchronous training.
void plan_asynchrony(Random& random, JobSpec& spec) {
  AsyncSpec async;
  async.buffer = static_cast<std::uint32_t>(random.between(1, 5));
  async.staleness_max = static_cast<std::uint32_t>(random.between(0, 6));
  async.concurrency = static_cast<std::uint32_t>(random.chance(300) ? random.between(1, 3) : 0);
  spec.async = async;
  spec.rounds *= 2;
  spec.sites.quorum =
      static_cast<std::uint32_t>(random.between(0, std::min(spec.sites.min, async.buffer)));
  spec.sites.sample.reset();
  spec.train.exclude.clear();
  spec.train.balanced = false;
  spec.update.encoding = "float32";
  if (spec.strategy.kind == "scaffold") {
    spec.strategy.kind = "fedavg";
  }
}

JobPlan plan_job(Random& random, const Plan& plan, std::size_t number) {
  const auto willing = static_cast<std::uint32_t>(willing_sites(plan).size());
  JobPlan job;
  // Names of their own, so that a coordinator recognises what it has submitted before.
  job.spec =
      small_spec(fmt::format("job{}", number), static_cast<std::uint32_t>(random.between(1, 8)));
  // Equal seeds give equal blobs in different jobs.
  job.spec.seed = random.between(1, 2);
  // Half of the jobs have something to remember at the server, and some of those also at the sites.
  job.spec.strategy.kind = job.spec.seed == 1   ? "fedavg"
                           : random.chance(400) ? "scaffold"
                                                : "fedadam";
  // Half of the others keep what topk leaves out at their sites, and some tensors of their own.
  const bool is_sparse = random.chance(500) && job.spec.strategy.kind != "scaffold";
  job.spec.update.encoding = is_sparse ? "topk" : "float32";
  if (random.chance(300)) {
    job.spec.train.exclude = {"fc1.bias"};
  }
  job.spec.stall_window = plan.gentle ? minutes(10) : random.between(minutes(1), minutes(10));
  job.spec.sites.min = willing;
  if (!plan.gentle) {
    job.spec.sites.min = static_cast<std::uint32_t>(random.between(1, willing));
    job.spec.sites.max = random.chance(600) ? random.between(job.spec.sites.min, willing) : 0;
    job.spec.sites.replace = random.chance(900);
    if (random.chance(150)) {
      job.spec.sites.mandatory.push_back(willing_sites(plan)[random.below(willing)]);
    }
  }
  job.spec.sites.sample = plan_sample(random, job.spec, plan.gentle);
  job.spec.sites.quorum = static_cast<std::uint32_t>(
      random.between(1, job.spec.sites.sample ? job.spec.sites.sample->count : job.spec.sites.min));
  job.spec.train.balanced = random.chance(300);
  job.spec.keep = random.chance(400) ? Keep::best_and_last : Keep::all;
  const bool is_evaluated = std::any_of(plan.sites.begin(), plan.sites.end(),
                                        [](const SitePlan& site) { return site.evaluates; });
  if (is_evaluated && random.chance(500)) {
    job.spec.evaluate = EvaluateSpec{"held-out", static_cast<std::uint32_t>(random.between(1, 3))};
  }
  if (job.spec.evaluate && !plan.gentle && random.chance(300)) {
    job.spec.stop = StopSpec{"loss", static_cast<std::uint32_t>(random.between(1, 2)), 0};
  }
  job.spec.kind = plan_kind(random, plan, job.spec);
  if (job.spec.kind == JobKind::train && random.chance(250)) {
    plan_asynchrony(random, job.spec);
  }
  job.submitted_after = random.between(seconds(1), minutes(5));
  if (random.chance(60)) {
    job.aborted_after = job.submitted_after + random.between(seconds(1), minutes(10));
  }
  job.spec.priority = random.chance(300) ? -1 : 0;
  job.spec.preemptible = random.chance(500);
  const bool needs_origin = job.spec.kind == JobKind::evaluate || job.spec.kind == JobKind::predict;
  if (number > 1 && !plan.jobs.back().aborted_after && (random.chance(150) || needs_origin)) {
    job.spec.after = {JobId::literal(plan.jobs.back().spec.name + "-1")};
  }
  if (needs_origin) {
    job.spec.init = InitialModel{job.spec.after.front(), InitialModel::Which::last, 0};
  }
  if (trains(job.spec.kind) && random.chance(150)) {
    InitialModel brought;
    brought.which = InitialModel::Which::file;
    brought.file = brought_model(job.spec.name);
    brought.bytes = kBlobBytes;
    job.spec.init = brought;
  }
  auto from = job.submitted_after;
  while (random.chance(250)) {
    from += random.between(seconds(1), minutes(10));
    job.rests.push_back({from, from + random.between(Millis(1), minutes(20))});
    from = job.rests.back().until;
  }
  return job;
}

}  // namespace

JobSpec small_spec(const std::string& name, std::uint32_t rounds) {
  JobSpec spec;
  spec.name = name;
  spec.rounds = rounds;
  spec.seed = 1;
  spec.deadline = hours(48);
  spec.stall_window = minutes(5);
  spec.model.input = {4};
  spec.model.layers = {LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{2}}}}};
  spec.train.dataset = "scans";
  return spec;
}

Plan plan_of(std::uint64_t seed) {
  Random random(seed * 2 + 1);
  Plan plan;
  plan.seed = seed;
  plan.gentle = random.chance(500);
  plan.sites = plan_sites(random, plan.gentle);
  const auto jobs = random.between(1, 4);
  for (std::size_t number = 1; number <= jobs; ++number) {
    plan.jobs.push_back(plan_job(random, plan, number));
  }
  plan.faults_end = random.between(minutes(5), minutes(60));
  plan.latency_max = random.chance(200) ? seconds(2) : Millis(200);
  plan.commit_slow = random.chance(200) ? 50 : 0;
  return plan;
}

std::vector<SiteId> willing_sites(const Plan& plan) {
  std::vector<SiteId> willing;
  for (const auto& site : plan.sites) {
    if (!site.declines) {
      willing.push_back(site.id);
    }
  }
  return willing;
}

}  // namespace entente::simulation
