#include "common/domain/layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "common/domain/layer_kinds.h"

namespace entente {
namespace {

constexpr std::size_t kLayerNameBytesMax = 63;

bool is_layer_name(std::string_view text) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return !text.empty() && text.size() <= kLayerNameBytesMax && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

// Nothing unless all dimensions are positive and their product is within what a model may have:
// then later arithmetic on them cannot overflow.
std::optional<std::uint64_t> bounded_elements(const Shape& shape) {
  const bool positive =
      std::all_of(shape.begin(), shape.end(), [](std::int64_t d) { return d >= 1; });
  const auto elements = TensorInfo{{}, shape}.elements();
  return positive && elements <= limits::kModelParametersMax ? std::optional(elements)
                                                             : std::nullopt;
}

std::string_view type_words(AttributeType type) {
  switch (type) {
    case AttributeType::boolean:
      return "true or false";
    case AttributeType::integer:
      return "an integer";
    case AttributeType::number:
      return "a number";
  }
  return "";
}

std::optional<double> as_number(const Attribute& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return static_cast<double>(*integer);
  }
  if (const auto* number = std::get_if<double>(&value)) {
    return *number;
  }
  return std::nullopt;
}

// Checks a given value, and turns an integer into the number that the row wants.
std::optional<LayerFault> check_value(const AttributeRow& row, Attribute& value) {
  const auto hint = [&] {
    return row.type == AttributeType::boolean
               ? std::string("write true or false without quotes")
               : fmt::format("set {} to a value from {} to {}", row.name, row.min, row.max);
  };
  const bool fits = row.type == AttributeType::boolean ? std::holds_alternative<bool>(value)
                    : row.type == AttributeType::integer
                        ? std::holds_alternative<std::int64_t>(value)
                        : as_number(value).has_value();
  if (!fits) {
    return LayerFault{fmt::format("{} must be {}", row.name, type_words(row.type)), hint()};
  }
  if (row.type == AttributeType::boolean) {
    return std::nullopt;
  }
  const double number = *as_number(value);
  // Written so that a NaN is out of range.
  if (!(number >= row.min && number <= row.max)) {
    return LayerFault{
        fmt::format("{} is {}, must be from {} to {}", row.name, number, row.min, row.max), hint()};
  }
  if (row.type == AttributeType::number) {
    value = number;
  }
  return std::nullopt;
}

Attribute default_of(const AttributeRow& row) {
  switch (row.type) {
    case AttributeType::boolean:
      return row.fallback != 0;
    case AttributeType::integer:
      return static_cast<std::int64_t>(row.fallback);
    case AttributeType::number:
      return row.fallback;
  }
  return row.fallback;
}

// Checks what is given and fills in what has a default.
std::optional<LayerFault> complete_attributes(const LayerKind& kind,
                                              std::map<std::string, Attribute>& values) {
  for (const auto& [name, value] : values) {
    if (std::none_of(kind.attributes.begin(), kind.attributes.end(),
                     [&, &name = name](const AttributeRow& row) { return row.name == name; })) {
      return LayerFault{fmt::format("unknown attribute {}{}", quote(name),
                                    suggestion(name, layer_attributes(kind.name))),
                        "docs/job-file.md lists the attributes of each layer"};
    }
  }
  for (const auto& row : kind.attributes) {
    const auto given = values.find(std::string(row.name));
    if (given != values.end()) {
      if (auto wrong = check_value(row, given->second)) {
        return wrong;
      }
    } else if (row.absent == Absent::is_an_error) {
      return LayerFault{fmt::format("{} is missing", row.name),
                        fmt::format("add a line {} = ... to the layer", row.name)};
    } else if (row.absent == Absent::takes_default) {
      values.emplace(row.name, default_of(row));
    }
  }
  return std::nullopt;
}

// Resolves layer by layer; remembers the names and the parameters so far.
class Resolver {
 public:
  // Sets what it finds wrong, or appends the layer.
  std::optional<LayerFault> add(const LayerSpec& spec, ResolvedModel& model) {
    const LayerKind* kind = find_layer_kind(spec.kind);
    if (kind == nullptr) {
      return LayerFault{"there is no such kind of layer" + suggestion(spec.kind, layer_kinds()),
                        "docs/job-file.md lists the kinds of layers"};
    }
    ResolvedLayer layer;
    layer.spec = spec;
    layer.input = model.output;
    if (auto wrong = give_name(layer.spec)) {
      return wrong;
    }
    if (auto wrong = complete_attributes(*kind, layer.spec.attributes)) {
      return wrong;
    }
    auto inferred = kind->infer(LayerAttributes(layer.spec.attributes), layer.input);
    if (!inferred) {
      return inferred.error();
    }
    if (!bounded_elements(inferred->output)) {
      return LayerFault{fmt::format("its output {} is larger than {} values",
                                    to_string(inferred->output), limits::kModelParametersMax),
                        "make the layer smaller"};
    }
    layer.output = std::move(inferred->output);
    layer.parameters = std::move(inferred->parameters);
    if (auto wrong = count_parameters(layer)) {
      return wrong;
    }
    model.output = layer.output;
    model.layout.tensors.insert(model.layout.tensors.end(), layer.parameters.begin(),
                                layer.parameters.end());
    model.layers.push_back(std::move(layer));
    return std::nullopt;
  }

 private:
  std::optional<LayerFault> give_name(LayerSpec& spec) {
    ++position_;
    const auto number = ++of_kind_[spec.kind];
    if (spec.name.empty()) {
      spec.name = fmt::format("{}{}", spec.kind, number);
    }
    if (!is_layer_name(spec.name)) {
      return LayerFault{fmt::format("{} is not a legal layer name", quote(spec.name)),
                        fmt::format("use 1 to {} of a-z, 0-9, _ and -, starting with a letter",
                                    kLayerNameBytesMax)};
    }
    const auto [earlier, is_first] = position_of_.emplace(spec.name, position_);
    if (!is_first) {
      return LayerFault{
          fmt::format("layer {} is called \"{}\" as well", earlier->second, spec.name),
          "give one of the two another name"};
    }
    return std::nullopt;
  }

  // Prefixes the parameters with the layer's name and keeps the sum within the limit.
  std::optional<LayerFault> count_parameters(ResolvedLayer& layer) {
    for (auto& parameter : layer.parameters) {
      parameter.name = fmt::format("{}.{}", layer.spec.name, parameter.name);
      const auto elements = bounded_elements(parameter.shape);
      if (!elements || parameters_ + *elements > limits::kModelParametersMax) {
        return LayerFault{
            fmt::format("with {} {} the model has more than {} parameters", parameter.name,
                        to_string(parameter.shape), limits::kModelParametersMax),
            "make the layer smaller"};
      }
      parameters_ += *elements;
    }
    return std::nullopt;
  }

  std::size_t position_ = 0;
  std::map<std::string, std::size_t> of_kind_;
  std::map<std::string, std::size_t> position_of_;
  std::uint64_t parameters_ = 0;
};

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("model_invalid", std::move(message), std::move(hint));
}

}  // namespace

Expected<ResolvedModel> resolve_model(const ModelSpec& model) {
  if (model.input.empty() || model.input.size() > limits::kTensorDimensionsMax) {
    return invalid(fmt::format("model.input has {} dimensions, must have 1 to {}",
                               model.input.size(), limits::kTensorDimensionsMax),
                   "give the shape of one example, for example input = [1, 28, 28]");
  }
  if (!bounded_elements(model.input)) {
    return invalid(fmt::format("model.input is {}, must have positive dimensions and at most {} "
                               "values",
                               to_string(model.input), limits::kModelParametersMax),
                   "give the shape of one example, for example input = [1, 28, 28]");
  }
  if (model.layers.empty() || model.layers.size() > limits::kLayersMax) {
    return invalid(fmt::format("model.layers has {} layers, must have 1 to {}", model.layers.size(),
                               limits::kLayersMax),
                   "describe each layer in a [[model.layers]] table");
  }
  ResolvedModel resolved;
  resolved.output = model.input;
  Resolver resolver;
  for (const auto& layer : model.layers) {
    if (auto wrong = resolver.add(layer, resolved)) {
      const auto name = layer.name.empty() || !is_layer_name(layer.name)
                            ? std::string()
                            : fmt::format(" ({})", layer.name);
      return invalid(fmt::format("layer {} {}{}: {}", resolved.layers.size() + 1, quote(layer.kind),
                                 name, wrong->cause),
                     std::move(wrong->hint));
    }
  }
  if (resolved.layout.tensors.empty()) {
    return invalid("model.layers has no layer with parameters, there is nothing to train",
                   "add a linear or conv2d layer");
  }
  return resolved;
}

std::vector<std::string> layer_kinds() {
  std::vector<std::string> names;
  for (const auto& kind : all_layer_kinds()) {
    names.emplace_back(kind.name);
  }
  return names;
}

std::vector<std::string> layer_attributes(std::string_view kind) {
  std::vector<std::string> names;
  if (const LayerKind* found = find_layer_kind(kind)) {
    for (const auto& row : found->attributes) {
      names.emplace_back(row.name);
    }
  }
  return names;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace entente
