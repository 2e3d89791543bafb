// Kinds of layers for sequences, [length, features]: texts as vectors of their tokens, time series.
#include <fmt/format.h>

#include <array>
#include <optional>

#include "common/domain/layer_kinds.h"
#include "common/domain/layers.h"

namespace entente {
namespace {

// More layers in one stack are a mistake, and their tensors stay few.
constexpr double kStackMax = 64;

// Attention compares every position with every other: 65536 squared values are gigabytes.
constexpr std::int64_t kAttentionLengthMax = 1 << 16;

std::optional<LayerFault> check_sequence(const Shape& input) {
  if (input.size() == 2) {
    return std::nullopt;
  }
  return LayerFault{fmt::format("expects [length, features], gets {}", to_string(input)),
                    "begin with an embedding layer, or give model.input as [length, features]"};
}

LayerInference infer_embedding(LayerAttributes attributes, const Shape& input) {
  if (input.size() != 1) {
    return layer_fault(fmt::format("expects [length], gets {}", to_string(input)),
                       "give model.input as [length], the tokens of one example");
  }
  const auto features = attributes.integer("embedding_dim");
  return Inference{{input[0], features},
                   {{"weight", {attributes.integer("num_embeddings"), features}}}};
}

// The tensors of torch's recurrent modules, in their order; each gate has its rows in every one.
LayerInference infer_recurrent(LayerAttributes attributes, const Shape& input, std::int64_t gates) {
  if (auto wrong = check_sequence(input)) {
    return tl::unexpected(*wrong);
  }
  if (auto wrong = check_inferred(attributes, "input_size", input[1], input)) {
    return tl::unexpected(*wrong);
  }
  const auto hidden = attributes.integer("hidden_size");
  const std::int64_t directions = attributes.boolean("bidirectional") ? 2 : 1;
  Inference inference;
  for (std::int64_t layer = 0; layer < attributes.integer("num_layers"); ++layer) {
    const auto features = layer == 0 ? input[1] : hidden * directions;
    for (std::int64_t direction = 0; direction < directions; ++direction) {
      const auto suffix = fmt::format("_l{}{}", layer, direction == 0 ? "" : "_reverse");
      inference.parameters.push_back({"weight_ih" + suffix, {gates * hidden, features}});
      inference.parameters.push_back({"weight_hh" + suffix, {gates * hidden, hidden}});
      inference.parameters.push_back({"bias_ih" + suffix, {gates * hidden}});
      inference.parameters.push_back({"bias_hh" + suffix, {gates * hidden}});
    }
  }
  inference.output = {hidden * directions};
  if (attributes.boolean("return_sequences")) {
    inference.output.insert(inference.output.begin(), input[0]);
  }
  return inference;
}

LayerInference infer_lstm(LayerAttributes attributes, const Shape& input) {
  return infer_recurrent(attributes, input, 4);
}

LayerInference infer_gru(LayerAttributes attributes, const Shape& input) {
  return infer_recurrent(attributes, input, 3);
}

LayerInference infer_self_attention(LayerAttributes attributes, const Shape& input) {
  if (auto wrong = check_sequence(input)) {
    return tl::unexpected(*wrong);
  }
  const auto features = input[1];
  if (const auto heads = attributes.integer("num_heads"); features % heads != 0) {
    return layer_fault(fmt::format("num_heads is {}, which does not divide the {} features of {}",
                                   heads, features, to_string(input)),
                       fmt::format("set num_heads to a divisor of {}", features));
  }
  if (input[0] > kAttentionLengthMax) {
    return layer_fault(fmt::format("its input {} is longer than {}, and every position is compared "
                                   "with every other",
                                   to_string(input), kAttentionLengthMax),
                       "make the sequence shorter");
  }
  return Inference{input,
                   {{"in_proj_weight", {3 * features, features}},
                    {"in_proj_bias", {3 * features}},
                    {"out_proj.weight", {features, features}},
                    {"out_proj.bias", {features}}}};
}

LayerInference infer_positional_encoding(LayerAttributes, const Shape& input) {
  if (auto wrong = check_sequence(input)) {
    return tl::unexpected(*wrong);
  }
  return Inference{input, {}};
}

LayerInference infer_mean_pool(LayerAttributes, const Shape& input) {
  if (auto wrong = check_sequence(input)) {
    return tl::unexpected(*wrong);
  }
  return Inference{{input[1]}, {}};
}

constexpr std::array kEmbedding{required_size("num_embeddings"), required_size("embedding_dim")};
constexpr std::array kRecurrent{
    required_size("hidden_size"),       integer_or("num_layers", 1, 1, kStackMax),
    flag_or("bidirectional", false),    share_or("dropout", 0),
    flag_or("return_sequences", false), inferred_size("input_size"),
};
constexpr std::array kSelfAttention{required_size("num_heads"), share_or("dropout", 0)};

constexpr std::array kKinds{
    LayerKind{"embedding", kEmbedding, infer_embedding, /*takes_tokens=*/true},
    LayerKind{"lstm", kRecurrent, infer_lstm},
    LayerKind{"gru", kRecurrent, infer_gru},
    LayerKind{"self_attention", kSelfAttention, infer_self_attention},
    LayerKind{"positional_encoding", {}, infer_positional_encoding},
    LayerKind{"mean_pool", {}, infer_mean_pool},
};

}  // namespace

std::span<const LayerKind> sequence_layer_kinds() { return kKinds; }

}  // namespace entente
