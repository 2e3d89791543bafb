#include "site-agent/training/local_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "common/domain/measures.h"
#include "site-agent/data/seeded_random.h"
#include "site-agent/training/augmentation.h"
#include "site-agent/training/optimizers.h"
#include "site-agent/training/tally.h"

namespace entente::agent {
namespace {

// Large enough for full speed, small enough that activations of a large model fit.
constexpr std::int64_t kEvaluationBatch = 256;

// What varies the pictures is drawn apart from what shuffles them: "augment" in ASCII.
constexpr std::uint64_t kAugmentSalt = 0x6175'676d'656e'74;

// By value first, so that one wild value does not shrink all others.
void clip(const std::vector<torch::Tensor>& parameters, const TrainSpec& spec) {
  if (spec.clip_value > 0) {
    torch::nn::utils::clip_grad_value_(parameters, spec.clip_value);
  }
  if (spec.clip_norm > 0) {
    torch::nn::utils::clip_grad_norm_(parameters, spec.clip_norm);
  }
}

void add_pull(const std::vector<torch::Tensor>& parameters, const Course& course) {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < course.anchors.size(); ++i) {
    if (course.anchors[i].defined() && parameters[i].grad().defined()) {
      parameters[i].grad().add_(parameters[i].sub(course.anchors[i]), course.pull);
    }
  }
}

void add_drift(const std::vector<torch::Tensor>& parameters, const Course& course) {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < course.drifts.size(); ++i) {
    if (course.drifts[i].defined() && parameters[i].grad().defined()) {
      parameters[i].grad().add_(course.drifts[i]);
    }
  }
}

// While it lives no other parameters of the model have gradients: what stands still costs nothing.
class OnlyThese {
 public:
  OnlyThese(const Model& model, const std::vector<torch::Tensor>& parameters) {
    for (const torch::Tensor& tensor : model.trained()) {
      if (std::none_of(parameters.begin(), parameters.end(),
                       [&](const torch::Tensor& kept) { return kept.is_same(tensor); })) {
        others_.push_back(tensor.requires_grad_(false));
      }
    }
  }
  ~OnlyThese() {
    for (const torch::Tensor& tensor : others_) {
      tensor.requires_grad_(true);
    }
  }
  OnlyThese(const OnlyThese&) = delete;
  OnlyThese& operator=(const OnlyThese&) = delete;

 private:
  std::vector<torch::Tensor> others_;
};

// What a task comes to: epochs, the last of which may be unfinished.
struct Work {
  // `dataset` is what an epoch passes through the model: of a model that needs pairs, a last batch
  // of one is left out.
  Work(const TrainSpec& spec, std::uint32_t epochs, std::uint64_t size, bool needs_pairs,
       std::uint64_t asked)
      : dataset(needs_pairs && size % spec.batch_size == 1 ? size - 1 : size),
        batch(spec.batch_size),
        steps_per_epoch((dataset + batch - 1) / batch),
        steps(asked != 0 ? asked : epochs * steps_per_epoch) {}

  // Passed through the model, each as often as it comes up.
  [[nodiscard]] std::uint64_t examples() const {
    return steps / steps_per_epoch * dataset + steps % steps_per_epoch * batch;
  }

  std::uint64_t dataset;
  std::uint64_t batch;
  std::uint64_t steps_per_epoch;
  std::uint64_t steps;
};

tl::unexpected<Refusal> diverged(std::uint64_t steps) {
  return refuse("training_diverged",
                fmt::format("the loss stopped being a finite number after {} steps", steps),
                "lower train.optimizer.lr, to a tenth for a start", Scope::task);
}

}  // namespace

Expected<contract::Result> train_locally(Model& model, const Examples& examples,
                                         const TrainSpec& spec, std::uint32_t round,
                                         std::uint64_t seed, std::uint64_t steps,
                                         const ReportProgress& report, const Course& course) {
  const auto trained = course.parameters.empty() ? model.trained() : course.parameters;
  const OnlyThese only(model, trained);
  auto optimizer = make_optimizer(spec, round, trained);
  if (!optimizer) {
    return tl::unexpected(optimizer.error());
  }
  const Objective objective(spec, examples.device());
  torch::manual_seed(seed);
  SeededRandom random(seed);
  SeededRandom variation(seed ^ kAugmentSalt);
  std::vector<std::int64_t> order(static_cast<std::size_t>(examples.size()));
  std::iota(order.begin(), order.end(), 0);
  const auto order_tensor = torch::from_blob(order.data(), {examples.size()}, torch::kInt64);

  const Work work(spec, course.epochs != 0 ? course.epochs : spec.local_epochs, order.size(),
                  model.spec().needs_pairs(), steps);
  model.set_training(true);
  ProgressMeter progress(report, work.examples());
  contract::Result result;
  result.examples = std::min<std::uint64_t>(order.size(), work.examples());
  Tally tally(spec.loss, Tally::Detail::training);
  while (result.steps < work.steps) {
    const auto in_epoch = result.steps % work.steps_per_epoch;
    if (in_epoch == 0) {
      random.shuffle(std::span(order));
    }
    const auto first = in_epoch * work.batch;
    const auto count = static_cast<std::int64_t>(std::min(work.batch, work.dataset - first));
    auto batch = examples.pick(order_tensor.narrow(0, static_cast<std::int64_t>(first), count));
    if (spec.augment != AugmentSpec()) {
      batch.features = varied(batch.features, spec.augment, variation);
    }
    const auto outputs = model.forward(batch.features);
    const auto loss = objective.mean(outputs, batch.labels);
    const auto loss_value = loss.item<double>();
    if (!std::isfinite(loss_value)) {
      return diverged(result.steps);
    }
    (*optimizer)->zero_grad();
    loss.backward();
    add_pull(trained, course);
    clip(trained, spec);
    add_drift(trained, course);
    (*optimizer)->step();
    if (++result.steps + work.steps_per_epoch > work.steps) {
      tally.add(loss_value, objective.weight(batch.labels), outputs.detach(), batch.labels);
    }
    progress.add(static_cast<std::uint64_t>(count));
  }
  result.metrics = metrics_from(tally.sums());
  if (!model.is_finite()) {
    return diverged(result.steps);
  }
  return result;
}

Expected<contract::Result> evaluate_model(Model& model, const Examples& examples,
                                          const Objective& objective,
                                          const ReportProgress& report) {
  torch::NoGradGuard no_grad;
  model.set_training(false);
  ProgressMeter progress(report, static_cast<std::uint64_t>(examples.size()));
  Tally tally(objective.loss(), Tally::Detail::evaluation);
  for (std::int64_t first = 0; first < examples.size(); first += kEvaluationBatch) {
    const auto count = std::min(kEvaluationBatch, examples.size() - first);
    const auto batch = examples.slice(first, count);
    const auto outputs = model.forward(batch.features);
    tally.add(objective.mean(outputs, batch.labels).item<double>(), objective.weight(batch.labels),
              outputs, batch.labels);
    progress.add(static_cast<std::uint64_t>(count));
  }
  contract::Result result;
  result.examples = static_cast<std::uint64_t>(examples.size());
  result.sums = tally.sums();
  result.metrics = metrics_from(result.sums);
  if (!result.metrics.contains("loss")) {
    return refuse("evaluation_not_finite", "the model's loss is not a finite number",
                  "the model has diverged in an earlier round: lower train.optimizer.lr",
                  Scope::task);
  }
  return result;
}

}  // namespace entente::agent
