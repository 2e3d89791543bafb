#include "broker/merge/strategies/distances.h"

#include <algorithm>
#include <array>
#include <functional>

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "broker/merge/strategies/distances.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace entente::broker::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Sum k has the values at k, k + 16, k + 32 and so on, however wide a register is.
constexpr std::size_t kSums = 16;

// One distance: as many registers as hold kSums doubles.
template <class Load>
HWY_INLINE double sum_of_squares(const float* x, const Load& other, std::size_t count) {
  const hn::CappedTag<double, kSums> wide;
  const hn::Rebind<float, decltype(wide)> narrow;
  constexpr std::size_t kLanes = hn::MaxLanes(wide);
  constexpr std::size_t kRegisters = kSums / kLanes;
  hn::Vec<decltype(wide)> sums[kRegisters];
  for (auto& sum : sums) {
    sum = hn::Zero(wide);
  }
  std::size_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (std::size_t r = 0; r < kRegisters; ++r) {
      const std::size_t at = i + r * kLanes;
      const auto difference =
          hn::Sub(hn::PromoteTo(wide, hn::LoadU(narrow, x + at)), other.vector(wide, at));
      sums[r] = hn::Add(sums[r], hn::Mul(difference, difference));
    }
  }
  std::array<double, kSums> all;
  for (std::size_t r = 0; r < kRegisters; ++r) {
    hn::StoreU(sums[r], wide, all.data() + r * kLanes);
  }
  for (std::size_t k = 0; i < count; ++i, ++k) {
    const double difference = static_cast<double>(x[i]) - other.value(i);
    all[k] += difference * difference;
  }
  for (std::size_t half = kSums / 2; half > 0; half /= 2) {
    for (std::size_t k = 0; k < half; ++k) {
      all[k] += all[k + half];
    }
  }
  return all[0];
}

struct Doubles {
  const double* values;
  template <class Tag>
  HWY_INLINE auto vector(Tag wide, std::size_t at) const {
    return hn::LoadU(wide, values + at);
  }
  [[nodiscard]] double value(std::size_t at) const { return values[at]; }
};

struct Origin {
  template <class Tag>
  HWY_INLINE auto vector(Tag wide, std::size_t) const {
    return hn::Zero(wide);
  }
  [[nodiscard]] double value(std::size_t) const { return 0; }
};

double to_center(const float* x, const double* center, std::size_t count) {
  return sum_of_squares(x, Doubles{center}, count);
}

double from_origin(const float* x, std::size_t count) { return sum_of_squares(x, Origin{}, count); }

}  // namespace entente::broker::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace entente::broker {
namespace {

HWY_EXPORT(to_center);
HWY_EXPORT(from_origin);

}  // namespace

double squared_distance(const float* x, const double* center, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(to_center)(x, center, count);
}

std::vector<double> squared_norms(Updates updates, Sweep& sweep) {
  ENTENTE_CHECK(!updates.empty());
  return sweep.sum(updates.front()->size(), updates.size(),
                   [updates](Range range, std::span<double> sums) {
                     for_each_block(updates, range, [&](Rows rows, std::size_t, std::size_t count) {
                       for (std::size_t i = 0; i < rows.size(); ++i) {
                         sums[i] += HWY_DYNAMIC_DISPATCH(from_origin)(rows[i], count);
                       }
                     });
                   });
}

}  // namespace entente::broker
#endif  // HWY_ONCE
