// Varies pictures while they are trained on, as common/domain/augmentation.h describes it.
#pragma once

#include <torch/torch.h>

#include <span>

#include "common/domain/augmentation.h"
#include "site-agent/data/seeded_random.h"

namespace entente::agent {

// What becomes of one picture.
struct Variation {
  bool flip_horizontal = false;
  bool flip_vertical = false;
  std::int64_t top = 0;  // the window that is cropped, in pixels
  std::int64_t left = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t down = 0;  // the move, in pixels; negative: up
  std::int64_t right = 0;
};

// `shape` is {channels, height, width}. Draws as often whatever comes out.
[[nodiscard]] Variation draw_variation(const AugmentSpec& augment, const Shape& shape,
                                       SeededRandom& random);

// Of one picture, channel by channel, row by row: `from` and `to` have channels * height * width
// values. A window is scaled bilinearly, as torch.nn.functional.interpolate does it without
// align_corners.
void vary_picture(const Variation& variation, const Shape& shape, std::span<const float> from,
                  std::span<float> to);

// Of each picture of a batch {count, channels, height, width} of float32. The result follows from
// the pictures and the state of `random` alone: it is computed on the host, whatever device the
// batch lies on.
[[nodiscard]] torch::Tensor varied(const torch::Tensor& pictures, const AugmentSpec& augment,
                                   SeededRandom& random);

}  // namespace entente::agent
