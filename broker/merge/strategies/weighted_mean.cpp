#include "broker/merge/strategies/weighted_mean.h"

#include "common/base/check.h"

// Highway compiles what follows once per instruction set and picks the best at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "broker/merge/strategies/weighted_mean.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace entente::broker::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Vectors in flight: the additions of one vector wait for each other, those of several do not.
constexpr std::size_t kUnroll = 4;

void mean_block(const float* const* rows, const double* weights, std::size_t sites, double divisor,
                double* HWY_RESTRICT merged, std::size_t count) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;
  const std::size_t lanes = hn::Lanes(wide);
  const auto by = hn::Set(wide, divisor);
  std::size_t i = 0;
  for (; i + kUnroll * lanes <= count; i += kUnroll * lanes) {
    auto sum0 = hn::Zero(wide);
    auto sum1 = hn::Zero(wide);
    auto sum2 = hn::Zero(wide);
    auto sum3 = hn::Zero(wide);
    for (std::size_t site = 0; site < sites; ++site) {
      const float* const values = rows[site] + i;
      const auto weight = hn::Set(wide, weights[site]);
      const auto value = [&](std::size_t at) HWY_ATTR {
        return hn::Mul(weight, hn::PromoteTo(wide, hn::LoadU(narrow, values + at * lanes)));
      };
      sum0 = hn::Add(sum0, value(0));
      sum1 = hn::Add(sum1, value(1));
      sum2 = hn::Add(sum2, value(2));
      sum3 = hn::Add(sum3, value(3));
    }
    hn::StoreU(hn::Div(sum0, by), wide, merged + i);
    hn::StoreU(hn::Div(sum1, by), wide, merged + i + lanes);
    hn::StoreU(hn::Div(sum2, by), wide, merged + i + 2 * lanes);
    hn::StoreU(hn::Div(sum3, by), wide, merged + i + 3 * lanes);
  }
  for (; i < count; ++i) {
    double sum = 0;
    for (std::size_t site = 0; site < sites; ++site) {
      sum += weights[site] * static_cast<double>(rows[site][i]);
    }
    merged[i] = sum / divisor;
  }
}

}  // namespace entente::broker::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace entente::broker {
namespace {

HWY_EXPORT(mean_block);

}  // namespace

void weighted_mean(Rows rows, std::span<const double> weights, double divisor,
                   std::span<double> merged) {
  ENTENTE_CHECK(rows.size() == weights.size());
  // Dispatched anew for each block: a stored first result would detect the processor at each call.
  HWY_DYNAMIC_DISPATCH(mean_block)
  (rows.data(), weights.data(), rows.size(), divisor, merged.data(), merged.size());
}

}  // namespace entente::broker
#endif  // HWY_ONCE
