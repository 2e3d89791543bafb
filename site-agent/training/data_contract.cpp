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
  Loss loss;
};

bool learns_classes(Loss loss) {
  switch (loss) {
    case Loss::cross_entropy:
      return true;
  }
  return false;
}

bool takes_tokens(const ModelSpec& model) { return model.layers.front().kind == "embedding"; }

std::string_view what_it_takes(bool tokens) { return tokens ? "tokens" : "numbers"; }

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
    Rule{[](const Subject& s) { return (s.dataset.vocabulary != 0) == takes_tokens(s.model); },
         [](const Subject& s) {
           return fmt::format("has {}, the model takes {}",
                              what_it_takes(s.dataset.vocabulary != 0),
                              what_it_takes(takes_tokens(s.model)));
         },
         "begin a model of tokens with an embedding, and no other model"},
    Rule{[](const Subject& s) { return (s.dataset.targets == 0) == learns_classes(s.loss); },
         [](const Subject& s) {
           return s.dataset.targets == 0
                      ? std::string("has class labels, the loss needs numbers to predict")
                      : std::string("has numbers to predict, the loss needs class labels");
         },
         "choose another train.loss"},
    Rule{[](const Subject& s) { return s.resolved.output.size() == 1; },
         [](const Subject& s) {
           return fmt::format("has one label for each example, the model ends in {}",
                              to_string(s.resolved.output));
         },
         "end the model with a linear layer that has one output for each class"},
    Rule{[](const Subject& s) {
           return s.dataset.targets == 0 || s.dataset.targets == s.resolved.output[0];
         },
         [](const Subject& s) {
           return fmt::format("has {} numbers to predict, the model has {} outputs",
                              s.dataset.targets, s.resolved.output[0]);
         },
         "give the last linear layer one output for each of the dataset's targets"},
    Rule{[](const Subject& s) {
           return s.dataset.targets != 0 || largest_label(s.dataset) < s.resolved.output[0];
         },
         [](const Subject& s) {
           return fmt::format(
               "has labels up to {}, the model has {} outputs for labels from 0 to {}",
               largest_label(s.dataset), s.resolved.output[0], s.resolved.output[0] - 1);
         },
         "give the last linear layer one output for each class"},
};

}  // namespace

Expected<void> check_data_contract(std::string_view name, const Dataset& dataset,
                                   const ModelSpec& model, const ResolvedModel& resolved,
                                   Loss loss) {
  const Subject subject{dataset, model, resolved, loss};
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
