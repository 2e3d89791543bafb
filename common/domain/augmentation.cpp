#include "common/domain/augmentation.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/domain/layers.h"

namespace entente {

Expected<void> check_augment(const AugmentSpec& augment, const Shape& input) {
  if (augment == AugmentSpec()) {
    return {};
  }
  const auto invalid = [](std::string message, std::string hint) {
    return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
  };
  if (input.size() != 3) {
    return invalid(fmt::format("train.augment varies pictures, and model.input is {}",
                               entente::to_string(input)),
                   "take train.augment out: a picture's shape is [channels, height, width]");
  }
  // Written so that a NaN fails.
  if (!(augment.crop > 0 && augment.crop <= 1)) {
    return invalid(
        fmt::format("train.augment.crop is {}, must be above 0 and at most 1", augment.crop),
        "0.8 keeps at least so much of height and width; 1 turns it off");
  }
  const auto least = std::min(input[1], input[2]);
  if (augment.shift >= least) {
    return invalid(fmt::format("train.augment.shift is {}, and the pictures have {} pixels",
                               augment.shift, least),
                   "a tenth of the size is usual");
  }
  return {};
}

}  // namespace entente
