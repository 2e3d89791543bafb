// Writes an update down in the encoding that its job has chosen; update_file.h reads it.
//
// The result is a function of the request's content: the same update gives the same bytes. Values
// are read and written block by block, so that memory stays bounded. Any thread.
//
// topk sends the largest values of the update and of what earlier rounds have left out, added up;
// what is left out now is the next residual (error feedback: Seide et al. 2014, "1-bit SGD";
// Stich et al. 2018, arXiv:1809.07599). So every value is sent in the end, some of them later.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "common/base/refusal.h"
#include "common/domain/tensor_layout.h"
#include "common/domain/update_spec.h"

namespace entente {

struct EncodeRequest {
  std::filesystem::path update;  // float32; has passed check_tensors()
  TensorLayout model;
  UpdateSpec spec;         // has passed check_update_spec()
  std::uint64_t seed = 0;  // of the task; what int8 rounds by
  std::filesystem::path output;
  // Of topk: float32 files of the model's layout. None before the first round.
  std::optional<std::filesystem::path> residual_before;
  std::filesystem::path residual_after;
};

// Refuses with "value_too_large" what f16 has no number for, and what TensorFile says of the files.
// Throws std::system_error when the disk fails. Leaves no files unless it succeeds.
[[nodiscard]] Expected<void> encode_update(const EncodeRequest& request);

}  // namespace entente
