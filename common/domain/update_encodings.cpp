#include "common/domain/update_encodings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "common/domain/enum_names.h"
#include "common/domain/strategy_kinds.h"

namespace entente {
namespace {

constexpr std::array kEncodings{
    EnumName<Encoding>{Encoding::float32, "float32"}, EnumName<Encoding>{Encoding::f16, "f16"},
    EnumName<Encoding>{Encoding::bf16, "bf16"}, EnumName<Encoding>{Encoding::int8, "int8"},
    EnumName<Encoding>{Encoding::topk, "topk"}};
static_assert(in_order(kEncodings));

// A value of topk takes its place beside it: half of the values take the bytes of all.
constexpr double kFractionMax = 0.5;

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

TensorLayout with_dtype(TensorLayout layout, DType dtype) {
  for (TensorInfo& tensor : layout.tensors) {
    tensor.dtype = dtype;
  }
  return layout;
}

TensorLayout int8_layout(const TensorLayout& model) {
  TensorLayout layout;
  for (const TensorInfo& tensor : model.tensors) {
    const auto blocks = (tensor.elements() + kScaleBlockValues - 1) / kScaleBlockValues;
    layout.tensors.push_back({tensor.name + ":scale", {static_cast<std::int64_t>(blocks)}});
  }
  const auto values = with_dtype(model, DType::i8);
  layout.tensors.insert(layout.tensors.end(), values.tensors.begin(), values.tensors.end());
  return layout;
}

TensorLayout topk_layout(const TensorLayout& model, const UpdateSpec& spec) {
  const auto values = model.elements();
  const auto sent = static_cast<std::int64_t>(values_sent(spec, values));
  const bool is_wide = values > std::numeric_limits<std::int32_t>::max();
  return {{{"indices", {sent}, is_wide ? DType::i64 : DType::i32}, {"values", {sent}}}};
}

}  // namespace

std::vector<std::string> encoding_names() {
  std::vector<std::string> names;
  for (const auto& row : kEncodings) {
    names.emplace_back(row.name);
  }
  return names;
}

Encoding encoding_of(const UpdateSpec& spec) {
  const auto encoding = value_of(kEncodings, spec.encoding);
  ENTENTE_CHECK(encoding.has_value());
  return *encoding;
}

std::uint64_t values_sent(const UpdateSpec& spec, std::uint64_t values) {
  const double share = spec.fraction.value_or(kFractionDefault) * static_cast<double>(values);
  const auto sent = static_cast<std::uint64_t>(std::ceil(share));
  return std::min(std::max<std::uint64_t>(sent, 1), values);
}

TensorLayout encoded_layout(const TensorLayout& model, const UpdateSpec& spec) {
  switch (encoding_of(spec)) {
    case Encoding::float32:
      return model;
    case Encoding::f16:
      return with_dtype(model, DType::f16);
    case Encoding::bf16:
      return with_dtype(model, DType::bf16);
    case Encoding::int8:
      return int8_layout(model);
    case Encoding::topk:
      return topk_layout(model, spec);
  }
  return {};
}

Expected<void> check_update_spec(const UpdateSpec& spec, const StrategySpec& strategy) {
  const auto encoding = value_of(kEncodings, spec.encoding);
  if (!encoding) {
    const auto known = encoding_names();
    return invalid(fmt::format("update.encoding is {}, which is unknown{}", quote(spec.encoding),
                               suggestion(spec.encoding, known)),
                   fmt::format("set update.encoding to \"{}\"",
                               nearest(spec.encoding, known).value_or(known.front())));
  }
  if (encoding != Encoding::topk) {
    return !spec.fraction ? Expected<void>()
                          : invalid(fmt::format("update.fraction has no effect: {} sends every "
                                                "value",
                                                spec.encoding),
                                    "leave it out, or set update.encoding to \"topk\"");
  }
  // Written so that a NaN is in no range.
  if (spec.fraction && !(*spec.fraction > 0 && *spec.fraction <= kFractionMax)) {
    return invalid(fmt::format("update.fraction is {}, must be above 0 and at most {}: a value "
                               "that is sent takes the bytes of two",
                               *spec.fraction, kFractionMax),
                   fmt::format("{} is the default", kFractionDefault));
  }
  if (is_robust(strategy)) {
    return invalid(
        fmt::format("update.encoding \"topk\" voids what strategy.kind \"{}\" promises: it judges "
                    "updates by how alike they are, and of each the values left out would count "
                    "as zeros",
                    strategy.kind),
        "choose another encoding, such as \"int8\", or strategy.kind \"fedavg\" with clip_norm");
  }
  return {};
}

}  // namespace entente
