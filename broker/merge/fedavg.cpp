#include "broker/merge/fedavg.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "common/base/check.h"

// Highway compiles what follows once per instruction set and picks the best at run time. Every
// operation is rounded on its own (see CMakeLists.txt), so that each of them gives the same bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "broker/merge/fedavg.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace entente::broker::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// sums[i] += weight * values[i]
void add_weighted(const float* HWY_RESTRICT values, double weight, std::size_t count,
                  double* HWY_RESTRICT sums) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;
  const auto factor = hn::Set(wide, weight);
  const std::size_t lanes = hn::Lanes(wide);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto value = hn::PromoteTo(wide, hn::LoadU(narrow, values + i));
    hn::StoreU(hn::Add(hn::LoadU(wide, sums + i), hn::Mul(factor, value)), wide, sums + i);
  }
  for (; i < count; ++i) {
    sums[i] += weight * static_cast<double>(values[i]);
  }
}

// result[i] = model[i] + sums[i] / weight_sum
void add_mean(const float* HWY_RESTRICT model, const double* HWY_RESTRICT sums, double weight_sum,
              std::size_t count, float* HWY_RESTRICT result) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;
  const auto divisor = hn::Set(wide, weight_sum);
  const std::size_t lanes = hn::Lanes(wide);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto mean = hn::Div(hn::LoadU(wide, sums + i), divisor);
    const auto value = hn::Add(hn::PromoteTo(wide, hn::LoadU(narrow, model + i)), mean);
    hn::StoreU(hn::DemoteTo(narrow, value), narrow, result + i);
  }
  for (; i < count; ++i) {
    result[i] = static_cast<float>(static_cast<double>(model[i]) + sums[i] / weight_sum);
  }
}

}  // namespace entente::broker::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace entente::broker {
namespace {

HWY_EXPORT(add_weighted);
HWY_EXPORT(add_mean);

// Sums, one update's values and the result: 32 KiB, about what a first-level cache holds.
constexpr std::size_t kBlock = 2048;

}  // namespace

void fedavg(std::span<const float> model, std::span<const WeightedUpdate> updates,
            const std::function<void(std::span<const float>)>& emit) {
  ENTENTE_CHECK(!updates.empty());
  double weight_sum = 0;
  for (const WeightedUpdate& update : updates) {
    ENTENTE_CHECK(update.weight > 0 && update.delta.size() == model.size());
    weight_sum += update.weight;
  }
  const auto accumulate = HWY_DYNAMIC_DISPATCH(add_weighted);
  const auto finish = HWY_DYNAMIC_DISPATCH(add_mean);
  std::array<double, kBlock> sums;
  std::array<float, kBlock> result;
  for (std::size_t start = 0; start < model.size(); start += kBlock) {
    const std::size_t count = std::min(kBlock, model.size() - start);
    std::fill_n(sums.begin(), count, 0.0);
    for (const WeightedUpdate& update : updates) {
      accumulate(update.delta.data() + start, update.weight, count, sums.data());
    }
    finish(model.data() + start, sums.data(), weight_sum, count, result.data());
    emit(std::span(result).first(count));
  }
}

}  // namespace entente::broker
#endif  // HWY_ONCE
