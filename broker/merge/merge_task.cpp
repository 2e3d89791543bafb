#include "broker/merge/merge_task.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <functional>
#include <span>
#include <string_view>
#include <utility>

#include "broker/merge/fedavg.h"
#include "common/base/check.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente::broker {
namespace {

using Strategy = void (*)(std::span<const float> model, std::span<const WeightedUpdate> updates,
                          const std::function<void(std::span<const float>)>& emit);

struct NamedStrategy {
  std::string_view name;
  Strategy run;
};

constexpr std::array kStrategies{NamedStrategy{"fedavg", &fedavg}};

Expected<Strategy> find_strategy(const std::string& name) {
  for (const NamedStrategy& strategy : kStrategies) {
    if (strategy.name == name) {
      return strategy.run;
    }
  }
  return refuse("strategy_unknown", fmt::format("there is no strategy {}{}", quote(name),
                                                suggestion(name, merge_strategies())));
}

// A mapped file and its tensors as one vector; the span lives as long as the file.
struct FlatFile {
  TensorFile file;
  std::span<const float> values;
};

Expected<FlatFile> open_flat(const std::filesystem::path& path, const TensorLayout& layout) {
  auto file = TensorFile::open(path);
  if (!file) {
    return tl::unexpected(std::move(file.error()));
  }
  auto values = file->flat(layout);
  if (!values) {
    return tl::unexpected(std::move(values.error()));
  }
  return FlatFile{.file = std::move(*file), .values = *values};
}

Expected<void> check_updates(const std::vector<SpooledUpdate>& updates) {
  if (updates.empty()) {
    return refuse("no_updates", "there is no accepted update to merge");
  }
  for (std::size_t i = 0; i < updates.size(); ++i) {
    // The order of the sums, and with it the bits of the model, is the order of the sites.
    ENTENTE_CHECK(i == 0 || updates[i - 1].site < updates[i].site);
    if (!(updates[i].weight > 0) || !std::isfinite(updates[i].weight)) {
      return refuse("weight_invalid",
                    fmt::format("the update of site {} has the weight {}, it has to be positive",
                                updates[i].site.str(), updates[i].weight),
                    {}, Scope::site);
    }
  }
  return {};
}

}  // namespace

std::vector<std::string> merge_strategies() {
  std::vector<std::string> names;
  for (const NamedStrategy& strategy : kStrategies) {
    names.emplace_back(strategy.name);
  }
  return names;
}

Expected<MergeResult> merge(const MergeRequest& request) {
  const auto strategy = find_strategy(request.strategy);
  if (!strategy) {
    return tl::unexpected(strategy.error());
  }
  if (auto sound = check_updates(request.updates); !sound) {
    return tl::unexpected(std::move(sound.error()));
  }
  const auto model = open_flat(request.model, request.layout);
  if (!model) {
    Refusal reason = model.error();
    reason.message = "the model to start from: " + reason.message;
    reason.scope = Scope::job;
    return tl::unexpected(std::move(reason));
  }
  MergeResult result;
  std::vector<FlatFile> files;
  std::vector<WeightedUpdate> updates;
  for (const SpooledUpdate& update : request.updates) {
    auto file = open_flat(update.file, request.layout);
    if (!file) {
      Refusal reason = std::move(file.error());
      reason.message = fmt::format("update of site {}: {}", update.site.str(), reason.message);
      return tl::unexpected(std::move(reason));
    }
    updates.push_back({.delta = file->values, .weight = update.weight});
    files.push_back(std::move(*file));
    result.weight_sum += update.weight;
  }
  TensorFileWriter writer(request.output, request.layout, request.metadata);
  (*strategy)(model->values, updates,
              [&writer](std::span<const float> block) { writer.append(block); });
  result.bytes = writer.close();
  return result;
}

}  // namespace entente::broker
