// A model as a coordinator declares it: the shape of one input example and a list of layers.
//
// A layer is a kind ("conv2d") with named attributes; which kinds and attributes exist, and what
// they do to a shape, is in layers.h. Keeping attributes generic means that a new layer needs no
// change of the wire schema: it is one row in a table of kinds and one builder in the trainer. A
// block ("residual") is a layer that has layers of its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace entente {

using Attribute = std::variant<bool, std::int64_t, double, std::string>;

struct LayerSpec {
  std::string kind;  // lower case, the field's name: linear, conv2d, max_pool2d, relu, ...
  std::string name;  // prefix of its tensors, unique in its list; by default kind and position
  std::map<std::string, Attribute> attributes;
  std::vector<LayerSpec> layers{};    // of a block: what its input passes through
  std::vector<LayerSpec> shortcut{};  // of a block: the way beside them; empty: the input itself

  bool operator==(const LayerSpec&) const = default;
};

// Dimensions of one example, without the batch dimension: {1, 28, 28} is channels, height, width.
using Shape = std::vector<std::int64_t>;

struct ModelSpec {
  Shape input;
  std::vector<LayerSpec> layers;

  bool operator==(const ModelSpec&) const = default;
};

// Every kind of layer that the model has, those within blocks too; each once, in ascending order.
[[nodiscard]] std::vector<std::string> layer_kinds_of(const ModelSpec& model);

}  // namespace entente
