#include "common/domain/site_tensors.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/domain/name_patterns.h"
#include "common/domain/strategy_kinds.h"

namespace entente {
namespace {

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

bool stays(const TrainSpec& train, std::string_view name) {
  return matches_any(train.exclude, name) || matches_any(train.private_tensors, name);
}

Expected<void> check_patterns(std::string_view key, const std::vector<std::string>& patterns,
                              const TensorLayout& model) {
  if (patterns.size() > limits::kFreezePatternsMax) {
    return invalid(fmt::format("{} has {} patterns, may have {}", key, patterns.size(),
                               limits::kFreezePatternsMax),
                   "a * stands for any characters: \"head.*\"");
  }
  for (const std::string& pattern : patterns) {
    if (std::none_of(model.tensors.begin(), model.tensors.end(),
                     [&](const TensorInfo& tensor) { return matches(pattern, tensor.name); })) {
      return invalid(
          fmt::format("{} has {}, which no tensor of the model matches", key, quote(pattern)),
          "see the tensors' names with: entente model describe FILE");
    }
  }
  return {};
}

void append(TensorLayout& layout, TensorLayout more) {
  layout.tensors.insert(layout.tensors.end(), more.tensors.begin(), more.tensors.end());
}

}  // namespace

std::vector<bool> site_tensors(const TrainSpec& train, const TensorLayout& model) {
  std::vector<bool> stay;
  for (const TensorInfo& tensor : model.tensors) {
    stay.push_back(stays(train, tensor.name));
  }
  return stay;
}

TensorLayout shared_layout(const TrainSpec& train, const TensorLayout& model) {
  TensorLayout shared = model;
  std::erase_if(shared.tensors,
                [&](const TensorInfo& tensor) { return stays(train, tensor.name); });
  return shared;
}

TensorLayout with_suffix(TensorLayout layout, std::string_view suffix) {
  for (TensorInfo& tensor : layout.tensors) {
    tensor.name += suffix;
  }
  return layout;
}

TensorLayout update_layout(const TrainSpec& train, bool control, const TensorLayout& model) {
  TensorLayout layout = shared_layout(train, model);
  if (control) {
    append(layout, with_suffix(layout, kControlSuffix));
  }
  return layout;
}

TensorLayout update_layout(const JobSpec& spec, const TensorLayout& model) {
  return update_layout(spec.train, has_control(spec.strategy), model);
}

TensorLayout site_layout(const TrainSpec& train, bool control, const TensorLayout& model) {
  TensorLayout layout;
  for (const TensorInfo& tensor : model.tensors) {
    if (stays(train, tensor.name)) {
      layout.tensors.push_back(tensor);
    }
  }
  if (control) {
    append(layout, with_suffix(shared_layout(train, model), kControlSuffix));
  }
  if (train.personal) {
    append(layout, with_suffix(model, kPersonalSuffix));
  }
  return layout;
}

TensorLayout site_layout(const JobSpec& spec, const TensorLayout& model) {
  return site_layout(spec.train, has_control(spec.strategy), model);
}

Expected<void> check_site_tensors(const TrainSpec& train, const ResolvedModel& model) {
  if (auto sound = check_patterns("train.exclude", train.exclude, model.layout); !sound) {
    return sound;
  }
  if (auto sound = check_patterns("train.private", train.private_tensors, model.layout); !sound) {
    return sound;
  }
  auto trained = parameter_names(model);
  std::erase_if(trained, [&](const std::string& name) { return matches_any(train.freeze, name); });
  const auto is_private = [&](const std::string& name) {
    return matches_any(train.private_tensors, name);
  };
  if (train.private_epochs > 0 && std::none_of(trained.begin(), trained.end(), is_private)) {
    return invalid("train.private_epochs has no effect: train.private names no trained parameter",
                   "name the model's last layer in train.private, or leave private_epochs out");
  }
  if (std::all_of(trained.begin(), trained.end(),
                  [&](const std::string& name) { return stays(train, name); })) {
    return invalid("train.exclude and train.private leave no trained parameter to exchange",
                   "keep fewer at the sites: the last layer, or the batch_norm layers");
  }
  return {};
}

}  // namespace entente
