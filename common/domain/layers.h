// What each kind of layer accepts, does to a shape, and owns as parameters.
//
// Names: a layer's name is 1 to 63 bytes of [a-z0-9_-] starting with a letter, unique in the model;
// by default its kind and a running number of that kind ("conv2d1"). Its tensors are
// "<name>.weight" ([out, in] or [out, in, k, k]) and "<name>.bias" ([out]).
//
// Pure shape and parameter-count inference, used when a job is submitted (to name the layer at
// fault) and by the trainer (to build exactly what was checked). To add a layer: a row in
// layer_kinds.cpp and a builder in site-agent/training/layers.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/model_spec.h"
#include "common/domain/tensor_layout.h"

namespace entente {

// One layer with every attribute filled in and its shapes known.
struct ResolvedLayer {
  LayerSpec spec;  // defaults filled in, name set
  Shape input;
  Shape output;
  std::vector<TensorInfo> parameters;
};

struct ResolvedModel {
  std::vector<ResolvedLayer> layers;
  Shape output;
  TensorLayout layout;  // the exchanged tensors: parameters of all layers in order
  [[nodiscard]] std::uint64_t parameters() const { return layout.elements(); }
};

// Checks every layer against its kind and the shape that reaches it. Refuses with code
// "model_invalid" and a sentence that names the layer at fault, for example
// `layer 3 "linear" (fc1): expects a flat input, gets [16, 12, 12]` with hint `put a flatten layer
// before it`.
[[nodiscard]] Expected<ResolvedModel> resolve_model(const ModelSpec& model);

// Every kind of layer that a model may use, in the order of the documentation.
[[nodiscard]] std::vector<std::string> layer_kinds();

// The attributes of a kind by name; empty for an unknown kind.
[[nodiscard]] std::vector<std::string> layer_attributes(std::string_view kind);

// "[16, 12, 12]"
[[nodiscard]] std::string to_string(const Shape& shape);

}  // namespace entente
