// The conversions from and to binary16 follow Fabian Giesen's float_to_half_fast3_rtne and
// half_to_float (public domain, https://gist.github.com/rygorous/2156668): Highway's own round
// differently from one instruction set to the next.
#include "common/tensors/half_floats.h"

#include "common/base/check.h"

// Highway compiles what follows once per instruction set and picks the best at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/tensors/half_floats.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace entente::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::uint32_t kSign = 0x80000000;
constexpr std::uint32_t kInfinity = 0x7f800000;

constexpr std::uint32_t exponent(int power) {
  return static_cast<std::uint32_t>(127 + power) << 23;
}

// `convert` takes as many values as a register holds, from one type to the other; the rest goes
// through the same code in a register of its own.
template <class From, class To, class Convert>
HWY_INLINE void each_register(const From* from, To* to, std::size_t count, const Convert& convert) {
  const hn::ScalableTag<std::uint32_t> words;
  const hn::Rebind<From, decltype(words)> narrow_from;
  const hn::Rebind<To, decltype(words)> narrow_to;
  const std::size_t lanes = hn::Lanes(words);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(convert(words, hn::LoadU(narrow_from, from + i)), narrow_to, to + i);
  }
  if (i < count) {
    HWY_ALIGN From last_from[hn::MaxLanes(words)] = {};
    HWY_ALIGN To last_to[hn::MaxLanes(words)];
    for (std::size_t k = 0; i + k < count; ++k) {
      last_from[k] = from[i + k];
    }
    hn::StoreU(convert(words, hn::LoadU(narrow_from, last_from)), narrow_to, last_to);
    for (std::size_t k = 0; i + k < count; ++k) {
      to[i + k] = last_to[k];
    }
  }
}

// Two bytes of each word, which holds no more.
template <class Words, class Vector>
HWY_INLINE auto low_halves(Words, Vector vector) {
  const hn::Rebind<std::int32_t, Words> integers;
  return hn::DemoteTo(hn::Rebind<std::uint16_t, Words>(), hn::BitCast(integers, vector));
}

struct ToF16 {
  template <class Words, class Floats>
  HWY_INLINE auto operator()(Words words, Floats values) const {
    const hn::RebindToFloat<Words> floats;
    const auto bits = hn::BitCast(words, values);
    const auto sign = hn::And(bits, hn::Set(words, kSign));
    const auto size = hn::Xor(bits, sign);
    // From 2^16 on: an infinity, or a NaN.
    const auto huge = hn::IfThenElse(hn::Gt(size, hn::Set(words, kInfinity)),
                                     hn::Set(words, 0x7e00), hn::Set(words, 0x7c00));
    // Below 2^-14: adding 0.5 lets the processor round to a multiple of 2^-24.
    const auto half = hn::Set(words, exponent(-1));
    const auto tiny = hn::Sub(
        hn::BitCast(words, hn::Add(hn::BitCast(floats, size), hn::BitCast(floats, half))), half);
    // In between: the exponent is biased anew and the 13 bits that go are rounded, with a carry.
    const auto is_odd = hn::And(hn::ShiftRight<13>(size), hn::Set(words, 1));
    const auto rebias = hn::Set(words, exponent(-112 - 127) + 0xfff);
    const auto usual = hn::ShiftRight<13>(hn::Add(hn::Add(size, rebias), is_odd));
    auto result = hn::IfThenElse(hn::Lt(size, hn::Set(words, exponent(-14))), tiny, usual);
    result = hn::IfThenElse(hn::Lt(size, hn::Set(words, exponent(16))), result, huge);
    return low_halves(words, hn::Or(result, hn::ShiftRight<16>(sign)));
  }
};

struct ToBF16 {
  template <class Words, class Floats>
  HWY_INLINE auto operator()(Words words, Floats values) const {
    const auto bits = hn::BitCast(words, values);
    const auto size = hn::AndNot(hn::Set(words, kSign), bits);
    const auto is_odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(words, 0x7fff)), is_odd));
    // Rounding could take a NaN to an infinity or beyond its sign; a quiet one it is.
    const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(words, 0x40));
    return low_halves(words,
                      hn::IfThenElse(hn::Gt(size, hn::Set(words, kInfinity)), quiet, rounded));
  }
};

struct FromF16 {
  template <class Words, class Halves>
  HWY_INLINE auto operator()(Words words, Halves halves) const {
    const hn::RebindToFloat<Words> floats;
    const auto bits = hn::PromoteTo(words, halves);
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(words, 0x8000)));
    const auto size = hn::ShiftLeft<13>(hn::And(bits, hn::Set(words, 0x7fff)));
    // The product is exact, and normalises what was too small to be.
    const auto scaled = hn::BitCast(
        words,
        hn::Mul(hn::BitCast(floats, size), hn::BitCast(floats, hn::Set(words, exponent(112)))));
    const auto whole = hn::IfThenElse(hn::Lt(scaled, hn::Set(words, exponent(16))), scaled,
                                      hn::Or(scaled, hn::Set(words, kInfinity)));
    return hn::BitCast(floats, hn::Or(whole, sign));
  }
};

struct FromBF16 {
  template <class Words, class Halves>
  HWY_INLINE auto operator()(Words words, Halves halves) const {
    return hn::BitCast(hn::RebindToFloat<Words>(), hn::ShiftLeft<16>(hn::PromoteTo(words, halves)));
  }
};

void floats_to_f16(const float* from, std::uint16_t* to, std::size_t count) {
  each_register(from, to, count, ToF16());
}
void floats_to_bf16(const float* from, std::uint16_t* to, std::size_t count) {
  each_register(from, to, count, ToBF16());
}
void floats_from_f16(const std::uint16_t* from, float* to, std::size_t count) {
  each_register(from, to, count, FromF16());
}
void floats_from_bf16(const std::uint16_t* from, float* to, std::size_t count) {
  each_register(from, to, count, FromBF16());
}

}  // namespace entente::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace entente {
namespace {

HWY_EXPORT(floats_to_f16);
HWY_EXPORT(floats_to_bf16);
HWY_EXPORT(floats_from_f16);
HWY_EXPORT(floats_from_bf16);

}  // namespace

void to_f16(std::span<const float> from, std::span<std::uint16_t> to) {
  ENTENTE_CHECK(from.size() == to.size());
  HWY_DYNAMIC_DISPATCH(floats_to_f16)(from.data(), to.data(), from.size());
}

void to_bf16(std::span<const float> from, std::span<std::uint16_t> to) {
  ENTENTE_CHECK(from.size() == to.size());
  HWY_DYNAMIC_DISPATCH(floats_to_bf16)(from.data(), to.data(), from.size());
}

void from_f16(std::span<const std::uint16_t> from, std::span<float> to) {
  ENTENTE_CHECK(from.size() == to.size());
  HWY_DYNAMIC_DISPATCH(floats_from_f16)(from.data(), to.data(), from.size());
}

void from_bf16(std::span<const std::uint16_t> from, std::span<float> to) {
  ENTENTE_CHECK(from.size() == to.size());
  HWY_DYNAMIC_DISPATCH(floats_from_bf16)(from.data(), to.data(), from.size());
}

}  // namespace entente
#endif  // HWY_ONCE
