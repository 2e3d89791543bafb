// Where a trainer computes, and the settings under which it computes the same bits again.
//
// Equal bits are promised for the same build, machine type and number of threads: LibTorch splits
// sums by thread. oneDNN stays on: with one thread its results repeat, and a convolution is twice
// as fast as LibTorch's own.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>

#include "common/base/refusal.h"

namespace entente::agent {

// "cpu", "cuda:N", or "auto" for the first GPU if there is one. Refuses with "device_unavailable".
[[nodiscard]] Expected<torch::Device> choose_device(const std::string& name);

// Process-wide, before the first computation.
void use_threads(std::uint32_t threads);
void use_deterministic_algorithms();

}  // namespace entente::agent
