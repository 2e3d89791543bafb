// A small problem that a small model learns at once: images of 8 by 8 noisy pixels with a bright
// pair of columns, whose position is the label. Written as IDX files, the same bytes for the same
// seed.
#pragma once

#include <cstdint>
#include <filesystem>

namespace entente::integration {

constexpr std::uint32_t kStripesSide = 8;
constexpr std::uint32_t kStripesClasses = 3;

// Writes `images` and `labels`.
void write_stripes(const std::filesystem::path& images, const std::filesystem::path& labels,
                   std::uint32_t examples, std::uint64_t seed);

}  // namespace entente::integration
