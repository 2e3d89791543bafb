#include "site-agent/training/data_contract.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "common/base/quote.h"

namespace entente::agent {
namespace {

struct Subject {
  const Dataset& dataset;
  const ModelSpec& model;
  const ResolvedModel& resolved;
};

std::int64_t largest_label(const Dataset& dataset) {
  return *std::max_element(dataset.labels.begin(), dataset.labels.end());
}

// `sentence` goes on after `dataset "digits" `. Rules are tried in order: later ones may rely on
// what earlier ones have established.
struct Rule {
  bool (*holds)(const Subject& subject);
  std::string (*sentence)(const Subject& subject);
  const char* hint;
};

constexpr std::array kRules{
    Rule{[](const Subject& s) { return s.dataset.size() > 0; },
         [](const Subject&) -> std::string { return "has no examples at this site"; },
         "check the dataset's files and partition in agent.toml"},
    Rule{[](const Subject& s) { return s.dataset.shape == s.model.input; },
         [](const Subject& s) {
           return fmt::format("has examples of shape {}, the model takes {}",
                              to_string(s.dataset.shape), to_string(s.model.input));
         },
         "set model.input to the shape of the data"},
    Rule{[](const Subject& s) { return s.resolved.output.size() == 1; },
         [](const Subject& s) {
           return fmt::format("has one label for each example, the model ends in {}",
                              to_string(s.resolved.output));
         },
         "end the model with a linear layer that has one output for each class"},
    Rule{[](const Subject& s) { return largest_label(s.dataset) < s.resolved.output[0]; },
         [](const Subject& s) {
           return fmt::format(
               "has labels up to {}, the model has {} outputs for labels from 0 to {}",
               largest_label(s.dataset), s.resolved.output[0], s.resolved.output[0] - 1);
         },
         "give the last linear layer one output for each class"},
};

}  // namespace

Expected<void> check_data_contract(std::string_view name, const Dataset& dataset,
                                   const ModelSpec& model, const ResolvedModel& resolved) {
  const Subject subject{dataset, model, resolved};
  for (const Rule& rule : kRules) {
    if (!rule.holds(subject)) {
      return refuse("data_contract_violated",
                    fmt::format("dataset {} {}", quote(name), rule.sentence(subject)), rule.hint,
                    Scope::site);
    }
  }
  return {};
}

}  // namespace entente::agent
