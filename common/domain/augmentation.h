// How pictures are varied while they are trained on: what a job may write as `augment` under
// [train], in the words of torchvision. Never when a model is evaluated.
//
//   flip    each picture is mirrored with probability 1/2 (RandomHorizontalFlip, -VerticalFlip)
//   crop    a window of that share of height and width, or more, at a random place, is scaled
//           back to the whole size (RandomResizedCrop, ratio kept)
//   shift   a move by up to so many pixels either way; 0 where nothing is left (RandomCrop with
//           that padding)
//
// They come in this order, each drawn anew for each picture whenever it comes up.
// site-agent/training does the work.
#pragma once

#include <cstdint>

#include "common/base/refusal.h"
#include "common/domain/model_spec.h"

namespace entente {

struct AugmentSpec {
  bool flip_horizontal = false;  // left becomes right
  bool flip_vertical = false;
  double crop = 1;          // least share of height and of width; 1: none is cropped
  std::uint32_t shift = 0;  // pixels; 0: none is moved
  bool operator==(const AugmentSpec&) const = default;
};

// Whether it suits examples of this shape, [channels, height, width]. Refuses with "job_invalid",
// naming the key at fault by its path in a job file.
[[nodiscard]] Expected<void> check_augment(const AugmentSpec& augment, const Shape& input);

}  // namespace entente
