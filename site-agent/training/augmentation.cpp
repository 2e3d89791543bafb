#include "site-agent/training/augmentation.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace entente::agent {
namespace {

// Where the pixel at `place` of a line lies in a window of it, and how it is mixed from the two
// pixels around that point.
struct Mix {
  std::int64_t first = 0;
  std::int64_t second = 0;
  float second_share = 0;
};

std::vector<Mix> mixes(std::int64_t size, std::int64_t begin, std::int64_t window, bool flip) {
  std::vector<Mix> line(static_cast<std::size_t>(size));
  const double scale = static_cast<double>(window) / static_cast<double>(size);
  for (std::int64_t place = 0; place < size; ++place) {
    const double at = std::max((static_cast<double>(place) + 0.5) * scale - 0.5, 0.0);
    const auto first = std::min(static_cast<std::int64_t>(at), window - 1);
    const auto second = std::min(first + 1, window - 1);
    // Of a mirrored line the window is cut from the other end.
    const auto in_line = [&](std::int64_t in_window) {
      return flip ? size - 1 - (begin + in_window) : begin + in_window;
    };
    line[static_cast<std::size_t>(place)] = {in_line(first), in_line(second),
                                             static_cast<float>(at - static_cast<double>(first))};
  }
  return line;
}

std::int64_t window_of(std::int64_t size, double share) {
  return std::clamp<std::int64_t>(std::llround(static_cast<double>(size) * share), 1, size);
}

std::int64_t draw_below(std::int64_t bound, SeededRandom& random) {
  return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(bound)));
}

}  // namespace

Variation draw_variation(const AugmentSpec& augment, const Shape& shape, SeededRandom& random) {
  Variation drawn;
  drawn.flip_horizontal = random.below(2) == 1 && augment.flip_horizontal;
  drawn.flip_vertical = random.below(2) == 1 && augment.flip_vertical;
  const double share = augment.crop + (1 - augment.crop) * random.uniform();
  drawn.height = window_of(shape[1], share);
  drawn.width = window_of(shape[2], share);
  drawn.top = draw_below(shape[1] - drawn.height + 1, random);
  drawn.left = draw_below(shape[2] - drawn.width + 1, random);
  const auto shift = std::int64_t{augment.shift};
  drawn.down = draw_below(2 * shift + 1, random) - shift;
  drawn.right = draw_below(2 * shift + 1, random) - shift;
  return drawn;
}

void vary_picture(const Variation& variation, const Shape& shape, std::span<const float> from,
                  std::span<float> to) {
  const auto channels = shape[0];
  const auto height = shape[1];
  const auto width = shape[2];
  const auto rows = mixes(height, variation.top, variation.height, variation.flip_vertical);
  const auto columns = mixes(width, variation.left, variation.width, variation.flip_horizontal);
  std::fill(to.begin(), to.end(), 0.0F);
  const auto row_begin = std::max<std::int64_t>(variation.down, 0);
  const auto row_end = std::min(height, height + variation.down);
  const auto column_begin = std::max<std::int64_t>(variation.right, 0);
  const auto column_end = std::min(width, width + variation.right);
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    const float* plane = from.data() + channel * height * width;
    float* varied_plane = to.data() + channel * height * width;
    for (std::int64_t row = row_begin; row < row_end; ++row) {
      const Mix& down = rows[static_cast<std::size_t>(row - variation.down)];
      const float* upper = plane + down.first * width;
      const float* lower = plane + down.second * width;
      for (std::int64_t column = column_begin; column < column_end; ++column) {
        const Mix& across = columns[static_cast<std::size_t>(column - variation.right)];
        const auto between = [&](const float* line) {
          return line[across.first] +
                 across.second_share * (line[across.second] - line[across.first]);
        };
        const float above = between(upper);
        varied_plane[row * width + column] = above + down.second_share * (between(lower) - above);
      }
    }
  }
}

torch::Tensor varied(const torch::Tensor& pictures, const AugmentSpec& augment,
                     SeededRandom& random) {
  const auto from = pictures.to(torch::kCPU).contiguous();
  auto to = torch::empty_like(from);
  const Shape shape(from.sizes().begin() + 1, from.sizes().end());
  const auto size = static_cast<std::size_t>(shape[0] * shape[1] * shape[2]);
  for (std::int64_t i = 0; i < from.size(0); ++i) {
    const auto offset = static_cast<std::size_t>(i) * size;
    vary_picture(draw_variation(augment, shape, random), shape,
                 {from.data_ptr<float>() + offset, size}, {to.data_ptr<float>() + offset, size});
  }
  return to.to(pictures.device());
}

}  // namespace entente::agent
