// Named architectures: well-known models as a line in a job file instead of a list of layers.
//
// A name is a shorthand and nothing else. It is expanded into layers when a job file is read, so
// that a site sees, and its policy judges, exactly the layers that it will compute. Every tensor is
// named, so that a `freeze` pattern or another job can rely on the name.
//
//   linear, logistic      one linear layer: regression, or classification with bce/cross_entropy
//   mlp                   linear layers with relu between them
//   lenet                 LeNet-5 with relu and max pooling (LeCun et al. 1998; d2l.ai, 7.6)
//   resnet8               three residual blocks of two 3x3 convolutions (He et al. 2015,
//                         arXiv:1512.03385)
//   lstm_classifier, gru_classifier   embedding, recurrent layers, linear
//   transformer_encoder   embedding, positions, pre-norm encoder blocks, mean pooling, linear
//                         (Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020,
//                         arXiv:2002.04745)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/attributes.h"
#include "common/domain/model_spec.h"

namespace entente {

struct ArchitectureSpec {
  std::string name;
  Attributes attributes{};
  std::vector<std::int64_t> hidden{};  // of mlp: the width of each hidden layer
};

[[nodiscard]] std::vector<std::string> architecture_names();
// The attributes of an architecture by name, without `hidden`; empty for an unknown one.
[[nodiscard]] std::vector<std::string> architecture_attributes(std::string_view name);

// The layers of an architecture for examples of shape `input`. Refuses with "model_invalid" an
// unknown name and attributes that are wrong; whether the layers fit is for resolve_model to say.
[[nodiscard]] Expected<std::vector<LayerSpec>> expand_architecture(
    const ArchitectureSpec& architecture, const Shape& input);

}  // namespace entente
