#include "common/config/quantity.h"

#include <array>
#include <charconv>

namespace entente {
namespace {

struct Unit {
  std::string_view suffix;
  std::int64_t factor;
};

constexpr std::array kTimes{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}, Unit{"h", 3'600'000},
                            Unit{"d", 86'400'000}};

constexpr std::array kSizes{Unit{"B", 1},
                            Unit{"KB", 1000},
                            Unit{"MB", 1'000'000},
                            Unit{"GB", 1'000'000'000},
                            Unit{"TB", 1'000'000'000'000},
                            Unit{"KiB", std::int64_t{1} << 10},
                            Unit{"MiB", std::int64_t{1} << 20},
                            Unit{"GiB", std::int64_t{1} << 30},
                            Unit{"TiB", std::int64_t{1} << 40}};

// A count and one of `units`; nothing when the text is anything else or the product overflows.
template <std::size_t size>
std::optional<std::int64_t> parse(std::string_view text, const std::array<Unit, size>& units) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || count < 0) {
    return std::nullopt;
  }
  const auto suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& unit : units) {
    std::int64_t product = 0;
    if (suffix == unit.suffix && !__builtin_mul_overflow(count, unit.factor, &product)) {
      return product;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Millis> parse_duration(std::string_view text) {
  const auto millis = parse(text, kTimes);
  return millis ? std::optional(Millis{*millis}) : std::nullopt;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bytes = parse(text, kSizes);
  return bytes ? std::optional(static_cast<std::uint64_t>(*bytes)) : std::nullopt;
}

}  // namespace entente
