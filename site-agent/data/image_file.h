// One picture from a PNG or JPEG file, told apart by their first bytes, as numbers from 0 to 1.
//
// A picture's size is known from its header and bounded before memory is taken for it, so that no
// small file can ask for a large picture. Transparent PNG pixels are laid over black; colour
// becomes grey, or grey colour, as the caller asks. JPEG is decoded with the accurate DCT, which
// gives the same bits on every processor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/refusal.h"

namespace entente::agent {

struct Picture {
  std::uint32_t channels = 0;  // 1: grey, 3: red, green, blue
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::vector<float> values{};  // {channels, height, width}
};

// Refuses with "dataset_missing" or "dataset_invalid", calling the picture `name`: that of its file
// may be a patient's.
[[nodiscard]] Expected<Picture> read_picture(const std::filesystem::path& path,
                                             const std::string& name, std::uint32_t channels);

// The picture in another size: each new pixel is a mean of those below it, weighted by a triangle
// that is as wide as the reduction asks for, and two pixels where the picture grows (what Pillow
// calls BILINEAR).
[[nodiscard]] Picture resized(const Picture& picture, std::uint32_t height, std::uint32_t width);

}  // namespace entente::agent
