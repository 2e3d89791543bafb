#include "tests/support/idx_data.h"

#include <initializer_list>
#include <string>

#include "tests/support/temp_folder.h"

namespace entente::integration {
namespace {

// SplitMix64: a generator whose numbers are the same with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint32_t below(std::uint32_t bound) {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<std::uint32_t>((z ^ (z >> 31)) % bound);
  }

 private:
  std::uint64_t state_;
};

std::string header(std::initializer_list<std::uint32_t> dimensions) {
  constexpr char kUnsignedByte = 0x08;
  std::string bytes{0, 0, kUnsignedByte, static_cast<char>(dimensions.size())};
  for (const auto dimension : dimensions) {
    for (const int shift : {24, 16, 8, 0}) {
      bytes += static_cast<char>(dimension >> shift);
    }
  }
  return bytes;
}

}  // namespace

void write_stripes(const std::filesystem::path& images, const std::filesystem::path& labels,
                   std::uint32_t examples, std::uint64_t seed) {
  constexpr std::uint32_t kNoise = 100;
  constexpr std::uint32_t kBright = 150;
  Random random(seed);
  auto pixels = header({examples, kStripesSide, kStripesSide});
  auto classes = header({examples});
  for (std::uint32_t i = 0; i < examples; ++i) {
    const auto label = random.below(kStripesClasses);
    classes += static_cast<char>(label);
    for (std::uint32_t pixel = 0; pixel < kStripesSide * kStripesSide; ++pixel) {
      const bool is_bright = pixel % kStripesSide / 2 == label;
      pixels += static_cast<char>((is_bright ? kBright : 0) + random.below(kNoise));
    }
  }
  write_text(images, pixels);
  write_text(labels, classes);
}

}  // namespace entente::integration
