// The table of encodings: what a job may write under [update], and what a file of each holds.
//
// An encoding says how an update is written down between site and broker, never what it means:
// whoever reads it gets float32 values, and every check and every rule of a strategy works on
// those. The agent encodes, so that a trainer need not know. docs/encodings.md has the formats for
// people; common/tensors the code that reads and writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/strategy_spec.h"
#include "common/domain/tensor_layout.h"
#include "common/domain/update_spec.h"

namespace entente {

enum class Encoding : std::uint8_t {
  float32,  // as it is
  f16,      // each value rounded to IEEE 754 binary16
  bf16,     // each value rounded to bfloat16
  int8,     // whole multiples of a scale that each block of a tensor has for itself
  topk,     // the largest values only; the site adds the others to its next update
};

// Values that share one scale of int8; the last block of a tensor may be shorter.
constexpr std::size_t kScaleBlockValues = 2048;

// Values of topk that are sent when the job does not say: a tenth of the bytes of float32.
constexpr double kFractionDefault = 0.05;

[[nodiscard]] std::vector<std::string> encoding_names();

// Of a spec that has passed check_update_spec().
[[nodiscard]] Encoding encoding_of(const UpdateSpec& spec);

// Values that topk sends of a model with so many: at least one, never more than all.
[[nodiscard]] std::uint64_t values_sent(const UpdateSpec& spec, std::uint64_t values);

// Exactly the tensors that a file of such an update holds, in their order:
//
//   float32, f16, bf16   the model's own, of that dtype
//   int8                 for each tensor of the model "<name>:scale", F32 [blocks]; then the
//                        model's own as I8
//   topk                 "indices", I32 [k] (I64 when a place does not fit), strictly increasing
//                        places in the flat vector; "values", F32 [k]
[[nodiscard]] TensorLayout encoded_layout(const TensorLayout& model, const UpdateSpec& spec);

// Refuses with "job_invalid" what is wrong with the spec, or with its use under this strategy.
[[nodiscard]] Expected<void> check_update_spec(const UpdateSpec& spec,
                                               const StrategySpec& strategy);

}  // namespace entente
