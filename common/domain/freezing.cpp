#include "common/domain/freezing.h"

#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/domain/name_patterns.h"

namespace entente {
namespace {

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

}  // namespace

Expected<std::vector<bool>> frozen_tensors(const std::vector<std::string>& patterns,
                                           const ResolvedModel& model) {
  if (patterns.size() > limits::kFreezePatternsMax) {
    return invalid(fmt::format("train.freeze has {} patterns, may have {}", patterns.size(),
                               limits::kFreezePatternsMax),
                   "a * stands for any characters: \"features.*\"");
  }
  const auto& tensors = model.layout.tensors;
  std::vector<bool> frozen(tensors.size());
  for (const auto& pattern : patterns) {
    bool is_used = false;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (matches(pattern, tensors[i].name)) {
        frozen[i] = is_used = true;
      }
    }
    if (!is_used) {
      return invalid(
          fmt::format("train.freeze has {}, which no tensor of the model matches", quote(pattern)),
          "see the tensors' names with: entente model describe FILE");
    }
  }
  auto trained = parameter_names(model);
  std::erase_if(trained, [&](const std::string& name) { return matches_any(patterns, name); });
  if (trained.empty()) {
    return invalid("train.freeze leaves no parameter to train",
                   "freeze fewer: the last layer is usually trained");
  }
  return frozen;
}

}  // namespace entente
