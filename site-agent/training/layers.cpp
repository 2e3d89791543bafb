#include "site-agent/training/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "common/base/quote.h"

namespace entente::agent {
namespace {

namespace nn = torch::nn;
using torch::Tensor;

// resolve_model has filled in every attribute with its type, so reading one cannot fail.
std::int64_t integer(const ResolvedLayer& layer, const char* attribute) {
  return std::get<std::int64_t>(layer.spec.attributes.at(attribute));
}

double number(const ResolvedLayer& layer, const char* attribute) {
  return std::get<double>(layer.spec.attributes.at(attribute));
}

bool boolean(const ResolvedLayer& layer, const char* attribute) {
  return std::get<bool>(layer.spec.attributes.at(attribute));
}

template <class Module>
BuiltLayer owned(const Module& module) {
  return {module.ptr(), [of = module.ptr()](const Tensor& values) { return of->forward(values); }};
}

BuiltLayer stateless(Tensor (*forward)(const Tensor&)) { return {nullptr, forward}; }

BuiltLayer linear(const ResolvedLayer& layer) {
  return owned(
      nn::Linear(nn::LinearOptions(integer(layer, "in_features"), integer(layer, "out_features"))
                     .bias(boolean(layer, "bias"))));
}

BuiltLayer batch_norm(const ResolvedLayer& layer) {
  const auto options = nn::BatchNormOptions(layer.input.front())
                           .eps(number(layer, "eps"))
                           .momentum(number(layer, "momentum"));
  return layer.input.size() == 1 ? owned(nn::BatchNorm1d(options))
                                 : owned(nn::BatchNorm2d(options));
}

BuiltLayer conv2d(const ResolvedLayer& layer) {
  return owned(
      nn::Conv2d(nn::Conv2dOptions(integer(layer, "in_channels"), integer(layer, "out_channels"),
                                   integer(layer, "kernel_size"))
                     .stride(integer(layer, "stride"))
                     .padding(integer(layer, "padding"))
                     .bias(boolean(layer, "bias"))));
}

template <class Module, class Options>
BuiltLayer pool2d(const ResolvedLayer& layer) {
  return owned(Module(Options(integer(layer, "kernel_size"))
                          .stride(integer(layer, "stride"))
                          .padding(integer(layer, "padding"))));
}

// The last state of a recurrent module is that of its topmost layer, of each direction where that
// has read everything.
Tensor last_state(const Tensor& states, bool is_bidirectional) {
  return is_bidirectional ? torch::cat({states[-2], states[-1]}, 1) : states[-1];
}

template <class Module, class Options>
Module recurrent(const ResolvedLayer& layer) {
  return Module(Options(integer(layer, "input_size"), integer(layer, "hidden_size"))
                    .num_layers(integer(layer, "num_layers"))
                    .dropout(number(layer, "dropout"))
                    .bidirectional(boolean(layer, "bidirectional"))
                    .batch_first(true));
}

BuiltLayer lstm(const ResolvedLayer& layer) {
  const auto module = recurrent<nn::LSTM, nn::LSTMOptions>(layer);
  const bool gives_all = boolean(layer, "return_sequences");
  const bool is_bidirectional = boolean(layer, "bidirectional");
  return {module.ptr(), [of = module.ptr(), gives_all, is_bidirectional](const Tensor& values) {
            const auto [outputs, states] = of->forward(values);
            return gives_all ? outputs : last_state(std::get<0>(states), is_bidirectional);
          }};
}

BuiltLayer gru(const ResolvedLayer& layer) {
  const auto module = recurrent<nn::GRU, nn::GRUOptions>(layer);
  const bool gives_all = boolean(layer, "return_sequences");
  const bool is_bidirectional = boolean(layer, "bidirectional");
  return {module.ptr(), [of = module.ptr(), gives_all, is_bidirectional](const Tensor& values) {
            const auto [outputs, states] = of->forward(values);
            return gives_all ? outputs : last_state(states, is_bidirectional);
          }};
}

BuiltLayer self_attention(const ResolvedLayer& layer) {
  const nn::MultiheadAttention module(
      nn::MultiheadAttentionOptions(layer.input[1], integer(layer, "num_heads"))
          .dropout(number(layer, "dropout")));
  return {module.ptr(), [of = module.ptr()](const Tensor& values) {
            const auto by_position = values.transpose(0, 1);  // torch's module wants that first
            const auto attended = of->forward(by_position, by_position, by_position,
                                              /*key_padding_mask=*/{}, /*need_weights=*/false);
            return std::get<0>(attended).transpose(0, 1);
          }};
}

// Vaswani et al. 2017 (arXiv:1706.03762), section 3.5.
BuiltLayer positional_encoding(const ResolvedLayer& layer) {
  const auto length = layer.input[0];
  const auto features = layer.input[1];
  auto table = torch::empty({length, features});
  auto cells = table.accessor<float, 2>();
  for (std::int64_t position = 0; position < length; ++position) {
    for (std::int64_t feature = 0; feature < features; ++feature) {
      const auto pair = static_cast<double>(feature / 2 * 2);
      const double angle =
          static_cast<double>(position) / std::pow(10'000.0, pair / static_cast<double>(features));
      cells[position][feature] =
          static_cast<float>(feature % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  }
  return {nullptr, [table](const Tensor& values) { return values + table.to(values.device()); }};
}

struct Builder {
  std::string_view kind;
  BuiltLayer (*build)(const ResolvedLayer& layer);
};

constexpr std::array kBuilders{
    Builder{"linear", linear},
    Builder{"relu", [](const ResolvedLayer&) { return stateless(torch::relu); }},
    Builder{"leaky_relu",
            [](const ResolvedLayer& layer) {
              return owned(nn::LeakyReLU(
                  nn::LeakyReLUOptions().negative_slope(number(layer, "negative_slope"))));
            }},
    Builder{"elu",
            [](const ResolvedLayer& layer) {
              return owned(nn::ELU(nn::ELUOptions().alpha(number(layer, "alpha"))));
            }},
    Builder{"gelu", [](const ResolvedLayer&) { return owned(nn::GELU()); }},
    Builder{"silu", [](const ResolvedLayer&) { return stateless(torch::silu); }},
    Builder{"tanh", [](const ResolvedLayer&) { return stateless(torch::tanh); }},
    Builder{"sigmoid", [](const ResolvedLayer&) { return stateless(torch::sigmoid); }},
    Builder{"flatten",
            [](const ResolvedLayer&) {
              return stateless([](const Tensor& values) { return values.flatten(1); });
            }},
    Builder{"dropout",
            [](const ResolvedLayer& layer) {
              return owned(nn::Dropout(nn::DropoutOptions(number(layer, "p"))));
            }},
    Builder{"batch_norm", batch_norm},
    Builder{"group_norm",
            [](const ResolvedLayer& layer) {
              return owned(nn::GroupNorm(
                  nn::GroupNormOptions(integer(layer, "num_groups"), layer.input.front())
                      .eps(number(layer, "eps"))));
            }},
    Builder{"layer_norm",
            [](const ResolvedLayer& layer) {
              return owned(nn::LayerNorm(
                  nn::LayerNormOptions({layer.input.back()}).eps(number(layer, "eps"))));
            }},
    Builder{"conv2d", conv2d},
    Builder{"max_pool2d", pool2d<nn::MaxPool2d, nn::MaxPool2dOptions>},
    Builder{"avg_pool2d", pool2d<nn::AvgPool2d, nn::AvgPool2dOptions>},
    Builder{"global_max_pool",
            [](const ResolvedLayer&) {
              return stateless([](const Tensor& values) { return values.amax({2, 3}); });
            }},
    Builder{"global_avg_pool",
            [](const ResolvedLayer&) {
              return stateless([](const Tensor& values) { return values.mean({2, 3}); });
            }},
    Builder{"embedding",
            [](const ResolvedLayer& layer) {
              return owned(nn::Embedding(nn::EmbeddingOptions(integer(layer, "num_embeddings"),
                                                              integer(layer, "embedding_dim"))));
            }},
    Builder{"lstm", lstm},
    Builder{"gru", gru},
    Builder{"self_attention", self_attention},
    Builder{"positional_encoding", positional_encoding},
    Builder{"mean_pool",
            [](const ResolvedLayer&) {
              return stateless([](const Tensor& values) { return values.mean(1); });
            }},
};

// The shortcut is registered beside the layers, and is no step of theirs.
Expected<BuiltLayer> build_residual(const ResolvedLayer& block) {
  auto layers = build_layers(block.layers);
  if (!layers) {
    return tl::unexpected(layers.error());
  }
  if (block.shortcut.empty()) {
    return BuiltLayer{
        *layers, [of = *layers](const Tensor& values) { return of->forward(values) + values; }};
  }
  auto shortcut = build_layers(block.shortcut);
  if (!shortcut) {
    return tl::unexpected(shortcut.error());
  }
  (*layers)->register_module("shortcut", *shortcut);
  return BuiltLayer{*layers, [of = *layers, beside = *shortcut](const Tensor& values) {
                      return of->forward(values) + beside->forward(values);
                    }};
}

Expected<BuiltLayer> build_layer(const ResolvedLayer& layer) {
  if (!layer.layers.empty()) {
    return build_residual(layer);
  }
  const auto builder = std::find_if(kBuilders.begin(), kBuilders.end(), [&](const Builder& row) {
    return row.kind == layer.spec.kind;
  });
  if (builder == kBuilders.end()) {
    return refuse("model_invalid",
                  fmt::format("this trainer cannot build layer {}, a {}", quote(layer.spec.name),
                              quote(layer.spec.kind)),
                  "update the site's Entente");
  }
  return builder->build(layer);
}

}  // namespace

void Chain::append(const std::string& name, BuiltLayer layer) {
  if (layer.module != nullptr) {
    register_module(name, std::move(layer.module));
  }
  steps_.push_back(std::move(layer.forward));
}

torch::Tensor Chain::forward(torch::Tensor values) const {
  for (const auto& step : steps_) {
    values = step(values);
  }
  return values;
}

Expected<std::shared_ptr<Chain>> build_layers(const std::vector<ResolvedLayer>& layers) {
  auto chain = std::make_shared<Chain>();
  for (const auto& layer : layers) {
    auto built = build_layer(layer);
    if (!built) {
      return tl::unexpected(built.error());
    }
    chain->append(layer.spec.name, std::move(*built));
  }
  return chain;
}

}  // namespace entente::agent
