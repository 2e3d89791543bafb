#include "broker/core/draw.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <tuple>

#include "common/domain/seeds.h"

namespace entente::broker {
namespace {

constexpr int kFractionBits = 32;

// -log2(number / 2^64) in units of 2^-32, for a number above 0. At most 2^38: exact as a double.
std::uint64_t negative_log2(std::uint64_t number) {
  const auto exponent = static_cast<std::uint64_t>(std::bit_width(number)) - 1;
  // In [1, 2) with 31 bits behind the point.
  std::uint64_t mantissa = number << (63 - exponent) >> 32;
  std::uint64_t log2 = exponent;
  for (int bit = 0; bit < kFractionBits; ++bit) {
    const auto square = mantissa * mantissa;  // in [1, 4) with 62 bits
    const bool is_two_or_more = (square >> 63) != 0;
    mantissa = square >> (is_two_or_more ? 32 : 31);
    log2 = log2 << 1 | (is_two_or_more ? 1 : 0);
  }
  return (std::uint64_t{64} << kFractionBits) - log2;
}

struct Turn {
  bool is_last = false;
  double key = 0;  // the smallest is drawn first
  SiteId site;
};

}  // namespace

std::vector<SiteId> draw_order(std::uint64_t job_seed, Round round, const std::vector<Lot>& lots) {
  std::vector<Turn> turns;
  turns.reserve(lots.size());
  for (const auto& [site, weight] : lots) {
    const auto number = std::max<std::uint64_t>(1, draw_number(job_seed, round, site.str()));
    const bool has_weight = weight > 0 && std::isfinite(weight);
    turns.push_back({!has_weight,
                     static_cast<double>(negative_log2(number)) / (has_weight ? weight : 1), site});
  }
  std::sort(turns.begin(), turns.end(), [](const Turn& a, const Turn& b) {
    return std::tie(a.is_last, a.key, a.site) < std::tie(b.is_last, b.key, b.site);
  });
  std::vector<SiteId> order;
  order.reserve(turns.size());
  for (auto& turn : turns) {
    order.push_back(std::move(turn.site));
  }
  return order;
}

}  // namespace entente::broker
