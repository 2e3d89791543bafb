#include "site-agent/training/local_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "common/domain/measures.h"
#include "site-agent/data/seeded_random.h"
#include "site-agent/training/optimizers.h"
#include "site-agent/training/tally.h"

namespace entente::agent {
namespace {

// Large enough for full speed, small enough that activations of a large model fit.
constexpr std::int64_t kEvaluationBatch = 256;

// By value first, so that one wild value does not shrink all others.
void clip(const std::vector<torch::Tensor>& parameters, const TrainSpec& spec) {
  if (spec.clip_value > 0) {
    torch::nn::utils::clip_grad_value_(parameters, spec.clip_value);
  }
  if (spec.clip_norm > 0) {
    torch::nn::utils::clip_grad_norm_(parameters, spec.clip_norm);
  }
}

tl::unexpected<Refusal> diverged(std::uint64_t steps) {
  return refuse("training_diverged",
                fmt::format("the loss stopped being a finite number after {} steps", steps),
                "lower train.optimizer.lr, to a tenth for a start", Scope::task);
}

}  // namespace

Expected<contract::Result> train_locally(Model& model, const Examples& examples,
                                         const TrainSpec& spec, std::uint32_t round,
                                         std::uint64_t seed, const ReportProgress& report) {
  const auto trained = model.trained();
  auto optimizer = make_optimizer(spec, round, trained);
  if (!optimizer) {
    return tl::unexpected(optimizer.error());
  }
  const Objective objective(spec, examples.device());
  torch::manual_seed(seed);
  SeededRandom random(seed);
  std::vector<std::int64_t> order(static_cast<std::size_t>(examples.size()));
  std::iota(order.begin(), order.end(), 0);
  const auto order_tensor = torch::from_blob(order.data(), {examples.size()}, torch::kInt64);

  model.set_training(true);
  ProgressMeter progress(report, spec.local_epochs * order.size());
  contract::Result result;
  result.examples = order.size();
  for (std::uint32_t epoch = 1; epoch <= spec.local_epochs; ++epoch) {
    random.shuffle(std::span(order));
    Tally tally(spec.loss, Tally::Detail::training);
    for (std::int64_t first = 0; first < examples.size(); first += spec.batch_size) {
      const auto count = std::min<std::int64_t>(spec.batch_size, examples.size() - first);
      if (count == 1 && model.spec().needs_pairs()) {
        continue;
      }
      const auto batch = examples.pick(order_tensor.narrow(0, first, count));
      const auto outputs = model.forward(batch.features);
      const auto loss = objective.mean(outputs, batch.labels);
      const auto loss_value = loss.item<double>();
      if (!std::isfinite(loss_value)) {
        return diverged(result.steps);
      }
      (*optimizer)->zero_grad();
      loss.backward();
      clip(trained, spec);
      (*optimizer)->step();
      ++result.steps;
      if (epoch == spec.local_epochs) {
        tally.add(loss_value, outputs.detach(), batch.labels);
      }
      progress.add(static_cast<std::uint64_t>(count));
    }
    if (epoch == spec.local_epochs) {
      result.metrics = metrics_from(tally.sums());
    }
  }
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
    tally.add(objective.mean(outputs, batch.labels).item<double>(), outputs, batch.labels);
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
