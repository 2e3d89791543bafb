// Builds the LibTorch module of one layer from what common/domain/layers.h has checked and
// completed.
//
// To add a layer: a row in common/domain/layer_kinds.cpp and a builder here, in layers.cpp.
#pragma once

#include <torch/torch.h>

#include "common/domain/layers.h"

namespace entente::agent {

// Its parameters carry LibTorch's default initial values, drawn from the global generator. Refuses
// with "model_invalid" a kind that this trainer has no builder for.
[[nodiscard]] Expected<torch::nn::AnyModule> build_layer(const ResolvedLayer& layer);

}  // namespace entente::agent
