#include "common/domain/freezing.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente {
namespace {

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

// Only the last * ever has to be widened, so the time is at most the product of both lengths.
bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_ends = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_ends = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_ends;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

void collect_parameters(const std::vector<ResolvedLayer>& layers, std::vector<std::string>& names) {
  for (const auto& layer : layers) {
    for (const auto& parameter : layer.parameters) {
      names.push_back(parameter.name);
    }
    collect_parameters(layer.layers, names);
    collect_parameters(layer.shortcut, names);
  }
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
  std::vector<std::string> trained;
  collect_parameters(model.layers, trained);
  std::erase_if(trained, [&](const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches(pattern, name); });
  });
  if (trained.empty()) {
    return invalid("train.freeze leaves no parameter to train",
                   "freeze fewer: the last layer is usually trained");
  }
  return frozen;
}

}  // namespace entente
