#include "common/domain/algorithms.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/domain/name_patterns.h"
#include "common/domain/site_tensors.h"
#include "common/domain/strategy_kinds.h"
#include "common/domain/update_encodings.h"

namespace entente {
namespace {

Expected<void> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

bool is_plain_sgd(const OptimizerSpec& optimizer) {
  return optimizer.kind == "sgd" && optimizer.momentum == 0;
}

double largest_learning_rate(const JobSpec& spec) {
  double largest = 0;
  for (Round round = 1; round <= spec.rounds; ++round) {
    largest = std::max(largest, spec.train.learning_rate(round));
  }
  return largest;
}

// A pull of lr * strength >= 1 in one step jumps over the global model that it pulls to.
Expected<void> check_pull(const JobSpec& spec, std::string_view key, double strength) {
  if (!(strength >= 0 && std::isfinite(strength))) {
    return invalid(fmt::format("{} is {}, must be a number from 0", key, strength),
                   "0.01 to 1 are common");
  }
  if (strength == 0 || spec.train.optimizer.kind != "sgd") {
    return {};
  }
  if (const double lr = largest_learning_rate(spec); lr * strength >= 1) {
    return invalid(fmt::format("{} is {}: with the learning rate {} a step would jump over the "
                               "global model that it is drawn to",
                               key, strength, lr),
                   fmt::format("lower {} below {:.3g}, or the learning rate", key, 1 / lr));
  }
  return {};
}

Expected<void> check_personal(const JobSpec& spec) {
  const auto& train = spec.train;
  if (!train.personal) {
    return spec.evaluate && spec.evaluate->personal
               ? invalid("evaluate.personal is true, and the job has no personal models",
                         "give [train] a table \"personal\", or leave evaluate.personal out")
               : Expected<void>();
  }
  if (!train.exclude.empty() || !train.private_tensors.empty()) {
    return invalid(
        "train.personal and train.exclude or train.private exclude each other: a site "
        "has a whole model of its own, or tensors of its own in the shared one",
        "leave one of them out");
  }
  if (train.personal->lambda == 0) {
    return invalid(
        "train.personal.lambda is 0: the personal models would learn nothing from the "
        "other sites",
        "0.1 is the default");
  }
  if (train.personal->local_epochs < 1 || train.personal->local_epochs > limits::kLocalEpochsMax) {
    return invalid(fmt::format("train.personal.local_epochs is {}, must be from 1 to {}",
                               train.personal->local_epochs, limits::kLocalEpochsMax),
                   "1 is the default");
  }
  return check_pull(spec, "train.personal.lambda", train.personal->lambda);
}

Expected<void> check_fed_nova(const JobSpec& spec, const ResolvedModel& model) {
  const auto& optimizer = spec.train.optimizer;
  if (optimizer.kind != "sgd" || optimizer.options.contains("nesterov")) {
    return invalid(
        "strategy.kind \"fednova\" divides each update by what its steps come to, and "
        "has a formula for sgd without nesterov only",
        "set train.optimizer.type to \"sgd\" and leave nesterov out, or choose another "
        "strategy");
  }
  if (optimizer.momentum != 0 && spec.train.prox_mu != 0) {
    return invalid(
        "strategy.kind \"fednova\" has a formula for train.optimizer.momentum and one "
        "for train.prox_mu, none for both at once",
        "set one of the two to 0");
  }
  auto exchanged = shared_layout(spec.train, model.layout).tensors;
  const auto parameters = parameter_names(model);
  std::erase_if(exchanged, [&](const TensorInfo& tensor) {
    return std::find(parameters.begin(), parameters.end(), tensor.name) != parameters.end();
  });
  if (!exchanged.empty()) {
    return invalid(
        fmt::format("strategy.kind \"fednova\" divides each update by its steps, and {} "
                    "is no sum of steps but a running mean",
                    quote(exchanged.front().name)),
        "keep the statistics at the sites with train.exclude = [\"*.running_*\"], or use "
        "group_norm");
  }
  return {};
}

Expected<void> check_scaffold(const JobSpec& spec) {
  const auto& train = spec.train;
  if (!is_plain_sgd(train.optimizer)) {
    return invalid(
        "strategy.kind \"scaffold\" estimates a site's gradient by what its steps of "
        "plain sgd come to; momentum and other optimizers take other steps",
        "set train.optimizer to { type = \"sgd\", lr = ... } with momentum 0");
  }
  if (train.prox_mu != 0) {
    return invalid(
        "strategy.kind \"scaffold\" corrects the drift that train.prox_mu holds back; "
        "together the pull would be taken for a part of the gradient",
        "leave train.prox_mu out");
  }
  if (encoding_of(spec.update) != Encoding::float32) {
    return invalid(fmt::format("strategy.kind \"scaffold\" needs update.encoding \"float32\": what "
                               "{} rounds off would part the server's control variate from the "
                               "mean of the sites' more and more",
                               quote(spec.update.encoding)),
                   "leave update.encoding out, or choose another strategy");
  }
  if (strategy_parameter(spec.strategy, kClipNorm) != 0) {
    return invalid(
        "strategy.clip_norm would part the control variate of the server from those of "
        "the sites, which \"scaffold\" lives on",
        "use strategy.norm_max, or train.clip_norm");
  }
  return {};
}

}  // namespace

Expected<void> check_algorithms(const JobSpec& spec, const ResolvedModel& model) {
  if (auto sound = check_site_tensors(spec.train, model); !sound) {
    return sound;
  }
  if (auto sound = check_pull(spec, "train.prox_mu", spec.train.prox_mu); !sound) {
    return sound;
  }
  if (auto sound = check_personal(spec); !sound) {
    return sound;
  }
  if (needs_steps(spec.strategy)) {
    return check_fed_nova(spec, model);
  }
  return has_control(spec.strategy) ? check_scaffold(spec) : Expected<void>();
}

std::uint64_t steps_of_epochs(const TrainSpec& train, std::uint64_t examples) {
  return train.local_epochs * ((examples + train.batch_size - 1) / train.batch_size);
}

}  // namespace entente
