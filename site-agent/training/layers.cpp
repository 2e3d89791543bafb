#include "site-agent/training/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/quote.h"

namespace entente::agent {
namespace {

namespace nn = torch::nn;

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

struct Builder {
  std::string_view kind;
  nn::AnyModule (*build)(const ResolvedLayer& layer);
};

constexpr std::array kBuilders{
    Builder{"linear",
            [](const ResolvedLayer& layer) {
              return nn::AnyModule(nn::Linear(
                  nn::LinearOptions(integer(layer, "in_features"), integer(layer, "out_features"))
                      .bias(boolean(layer, "bias"))));
            }},
    Builder{"conv2d",
            [](const ResolvedLayer& layer) {
              return nn::AnyModule(nn::Conv2d(nn::Conv2dOptions(integer(layer, "in_channels"),
                                                                integer(layer, "out_channels"),
                                                                integer(layer, "kernel_size"))
                                                  .stride(integer(layer, "stride"))
                                                  .padding(integer(layer, "padding"))
                                                  .bias(boolean(layer, "bias"))));
            }},
    Builder{"max_pool2d",
            [](const ResolvedLayer& layer) {
              return nn::AnyModule(nn::MaxPool2d(nn::MaxPool2dOptions(integer(layer, "kernel_size"))
                                                     .stride(integer(layer, "stride"))
                                                     .padding(integer(layer, "padding"))));
            }},
    Builder{"relu", [](const ResolvedLayer&) { return nn::AnyModule(nn::ReLU()); }},
    Builder{"flatten", [](const ResolvedLayer&) { return nn::AnyModule(nn::Flatten()); }},
    Builder{"dropout",
            [](const ResolvedLayer& layer) {
              return nn::AnyModule(nn::Dropout(nn::DropoutOptions(number(layer, "p"))));
            }},
};

}  // namespace

Expected<torch::nn::AnyModule> build_layer(const ResolvedLayer& layer) {
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

}  // namespace entente::agent
