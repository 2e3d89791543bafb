// Sets a model's smallest weights to zero: magnitude pruning over all layers at once (Han et al.
// 2015, arXiv:1506.02626).
//
// Weights are the tensors of two or more dimensions. Biases, scales and running statistics have one
// and stay as they are: they are few, and a model breaks without them. The shape of the model stays
// too, so that it can be trained on; its file packs well, since most of it is zeros.
#pragma once

#include <cstdint>
#include <filesystem>

#include "common/base/refusal.h"
#include "common/tensors/safetensors.h"

namespace entente {

struct Pruned {
  std::uint64_t weights = 0;
  std::uint64_t zeros = 0;  // of them, those that were zero before among them
};

// Writes `from` to `to`, the `sparsity` share of its weights with the smallest magnitudes set to
// zero; of equal ones the first. Refuses with "sparsity_invalid" what is not at least 0 and below
// 1, and with "nothing_to_prune" a file without weights. Memory does not grow with the model.
// Throws std::system_error when `to` cannot be written.
[[nodiscard]] Expected<Pruned> prune_tensors(const TensorFile& from, double sparsity,
                                             const std::filesystem::path& to);

}  // namespace entente
