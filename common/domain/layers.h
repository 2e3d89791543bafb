// What each kind of layer accepts, does to a shape, and owns as parameters.
//
// Names: a layer's name is 1 to 63 bytes of [a-z0-9_-] starting with a letter, unique in its list;
// by default its kind and a running number of that kind ("conv2d1"). Its tensors are called as
// torch calls them: "<name>.weight" ([out, in] or [out, in, k, k]), "<name>.bias" ([out]), and so
// on. Of a layer within a block the name is "<block>.<layer>", or "<block>.shortcut.<layer>".
//
// Pure shape and parameter-count inference, used when a job is submitted (to name the layer at
// fault) and by the trainer (to build exactly what was checked). To add a layer: a row in
// dense_layers.cpp, image_layers.cpp or sequence_layers.cpp, and a builder in
// site-agent/training/layers.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/model_spec.h"
#include "common/domain/tensor_layout.h"

namespace entente {

// One layer with every attribute filled in and its shapes known.
struct ResolvedLayer {
  LayerSpec spec;  // defaults filled in, name set; without the layers of a block, which are below
  Shape input;
  Shape output;
  std::vector<TensorInfo> parameters;
  std::vector<TensorInfo> buffers{};  // running statistics: exchanged, but moved by no optimizer
  std::vector<ResolvedLayer> layers{};
  std::vector<ResolvedLayer> shortcut{};
};

struct ResolvedModel {
  std::vector<ResolvedLayer> layers;
  Shape output;
  TensorLayout layout;  // the exchanged tensors: of each layer in order its parameters, its buffers
  std::uint64_t buffer_elements = 0;  // of the layout

  [[nodiscard]] std::uint64_t parameters() const { return layout.elements() - buffer_elements; }
  // Tokens that the model knows, 0 to one less, if it takes such; otherwise it takes numbers.
  [[nodiscard]] std::optional<std::int64_t> vocabulary() const;
  // Whether a batch of one example cannot be trained on, since a layer compares examples.
  [[nodiscard]] bool needs_pairs() const { return buffer_elements > 0; }
};

// Checks every layer against its kind and the shape that reaches it. Refuses with code
// "model_invalid" and a sentence that names the layer at fault, for example
// `layer 3 "linear" (fc1): expects a flat input, gets [16, 12, 12]` with hint `put a flatten layer
// before it`; within a block `layer 4 "residual": its layer 2 "conv2d": ...`.
[[nodiscard]] Expected<ResolvedModel> resolve_model(const ModelSpec& model);

// Every kind of layer that a model may use, in the order of the documentation.
[[nodiscard]] std::vector<std::string> layer_kinds();

// The attributes of a kind by name; empty for an unknown kind.
[[nodiscard]] std::vector<std::string> layer_attributes(std::string_view kind);

// "[16, 12, 12]"
[[nodiscard]] std::string to_string(const Shape& shape);

}  // namespace entente
