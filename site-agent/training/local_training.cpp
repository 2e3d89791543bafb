#include "site-agent/training/local_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "site-agent/data/seeded_random.h"
#include "site-agent/training/optimizers.h"

namespace entente::agent {
namespace {

// Large enough for full speed, small enough that activations of a large model fit.
constexpr std::int64_t kEvaluationBatch = 256;

torch::Tensor mean_loss(Loss loss, const torch::Tensor& outputs, const torch::Tensor& labels) {
  switch (loss) {
    case Loss::cross_entropy:
      return torch::cross_entropy_loss(outputs, labels);
  }
  return {};
}

class Averages {
 public:
  void add(double mean_loss, const torch::Tensor& outputs, const torch::Tensor& labels) {
    const auto count = labels.size(0);
    loss_ += mean_loss * static_cast<double>(count);
    correct_ += outputs.argmax(1).eq(labels).sum().item<std::int64_t>();
    count_ += count;
  }
  [[nodiscard]] Metrics metrics() const {
    const auto count = static_cast<double>(count_);
    return {{"loss", loss_ / count}, {"accuracy", static_cast<double>(correct_) / count}};
  }

 private:
  double loss_ = 0;
  std::int64_t correct_ = 0;
  std::int64_t count_ = 0;
};

// What a task comes to: epochs, the last of which may be unfinished.
struct Work {
  Work(const TrainSpec& spec, std::uint64_t size, std::uint64_t asked)
      : dataset(size),
        batch(spec.batch_size),
        steps_per_epoch((size + batch - 1) / batch),
        steps(asked != 0 ? asked : spec.local_epochs * steps_per_epoch) {}

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
                                         const TrainSpec& spec, std::uint64_t seed,
                                         std::uint64_t steps, const ReportProgress& report) {
  auto optimizer = make_optimizer(spec.optimizer, model.parameters());
  if (!optimizer) {
    return tl::unexpected(optimizer.error());
  }
  torch::manual_seed(seed);
  SeededRandom random(seed);
  std::vector<std::int64_t> order(static_cast<std::size_t>(examples.size()));
  std::iota(order.begin(), order.end(), 0);
  const auto order_tensor = torch::from_blob(order.data(), {examples.size()}, torch::kInt64);

  const Work work(spec, static_cast<std::uint64_t>(examples.size()), steps);
  model.set_training(true);
  ProgressMeter progress(report, work.examples());
  contract::Result result;
  result.examples = std::min<std::uint64_t>(order.size(), work.examples());
  Averages averages;
  while (result.steps < work.steps) {
    const auto in_epoch = result.steps % work.steps_per_epoch;
    if (in_epoch == 0) {
      random.shuffle(std::span(order));
    }
    const auto first = static_cast<std::int64_t>(in_epoch * spec.batch_size);
    const auto count = std::min<std::int64_t>(spec.batch_size, examples.size() - first);
    const auto batch = examples.pick(order_tensor.narrow(0, first, count));
    const auto outputs = model.forward(batch.features);
    const auto loss = mean_loss(spec.loss, outputs, batch.labels);
    const auto loss_value = loss.item<double>();
    if (!std::isfinite(loss_value)) {
      return diverged(result.steps);
    }
    (*optimizer)->zero_grad();
    loss.backward();
    (*optimizer)->step();
    if (++result.steps + work.steps_per_epoch > work.steps) {
      averages.add(loss_value, outputs.detach(), batch.labels);
    }
    progress.add(static_cast<std::uint64_t>(count));
  }
  result.metrics = averages.metrics();
  if (!model.is_finite()) {
    return diverged(result.steps);
  }
  return result;
}

Expected<contract::Result> evaluate_model(Model& model, const Examples& examples, Loss loss,
                                          const ReportProgress& report) {
  torch::NoGradGuard no_grad;
  model.set_training(false);
  ProgressMeter progress(report, static_cast<std::uint64_t>(examples.size()));
  Averages averages;
  for (std::int64_t first = 0; first < examples.size(); first += kEvaluationBatch) {
    const auto count = std::min(kEvaluationBatch, examples.size() - first);
    const auto batch = examples.slice(first, count);
    const auto outputs = model.forward(batch.features);
    averages.add(mean_loss(loss, outputs, batch.labels).item<double>(), outputs, batch.labels);
    progress.add(static_cast<std::uint64_t>(count));
  }
  contract::Result result;
  result.examples = static_cast<std::uint64_t>(examples.size());
  result.metrics = averages.metrics();
  if (!std::isfinite(result.metrics.at("loss"))) {
    return refuse("evaluation_not_finite", "the model's loss is not a finite number",
                  "the model has diverged in an earlier round: lower train.optimizer.lr",
                  Scope::task);
  }
  return result;
}

}  // namespace entente::agent
