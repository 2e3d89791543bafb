#include "common/domain/losses.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/domain/layers.h"

namespace entente {
namespace {

// Larger ones drown all other classes, and what float32 can add up.
constexpr double kClassWeightMax = 1e6;

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

std::string_view needs(Loss loss) {
  switch (loss) {
    case Loss::cross_entropy:
    case Loss::hinge:
      return "one score for each class";
    case Loss::bce:
      return "one score for each yes or no";
    case Loss::mse:
    case Loss::l1:
      return "one value for each number";
  }
  return "";
}

Expected<void> check_class_weights(Loss loss, const std::vector<double>& weights,
                                   std::int64_t outputs) {
  if (weights.empty()) {
    return {};
  }
  if (!learns(loss, Target::its_class)) {
    return invalid(fmt::format("train.class_weights has no effect: train.loss \"{}\" knows no "
                               "classes",
                               to_string(loss)),
                   "leave it out");
  }
  const auto classes = classes_of(loss, outputs);
  if (classes == 0) {
    return invalid(
        "train.class_weights needs one class for each example, but the model answers "
        "several questions",
        "leave it out, or give the model one output");
  }
  if (static_cast<std::int64_t>(weights.size()) != classes) {
    return invalid(fmt::format("train.class_weights has {} weights, the model tells {} classes "
                               "apart",
                               weights.size(), classes),
                   "give one weight for each class");
  }
  // Written so that a NaN fails. A batch of nothing but weights of 0 would have no mean.
  const auto is_weight = [](double weight) { return weight > 0 && weight <= kClassWeightMax; };
  if (!std::all_of(weights.begin(), weights.end(), is_weight)) {
    return invalid(
        fmt::format("train.class_weights must be above 0 and at most {}", kClassWeightMax),
        "1 for each class is the same as leaving it out");
  }
  return {};
}

}  // namespace

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const auto& row : kLosses) {
    names.emplace_back(row.name);
  }
  return names;
}

std::int64_t classes_of(Loss loss, std::int64_t outputs) {
  switch (loss) {
    case Loss::cross_entropy:
      return outputs;
    case Loss::hinge:
      return outputs == 1 ? 2 : outputs;
    case Loss::bce:
      return outputs == 1 ? 2 : 0;
    case Loss::mse:
    case Loss::l1:
      return 0;
  }
  return 0;
}

bool learns(Loss loss, Target target) {
  switch (loss) {
    case Loss::cross_entropy:
    case Loss::hinge:
      return target == Target::its_class;
    case Loss::bce:
      return true;
    case Loss::mse:
    case Loss::l1:
      return target == Target::numbers;
  }
  return false;
}

Expected<void> check_loss(Loss loss, const std::vector<double>& class_weights,
                          const Shape& output) {
  if (output.size() != 1) {
    return refuse("model_invalid",
                  fmt::format("train.loss \"{}\" needs {}, the last layer gives {}",
                              to_string(loss), needs(loss), to_string(output)),
                  "end the model with a flatten and a linear layer", Scope::job);
  }
  return check_class_weights(loss, class_weights, output[0]);
}

}  // namespace entente
