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
  Use use;

  [[nodiscard]] bool has_numbers() const { return dataset.targets != 0; }
  [[nodiscard]] std::int64_t outputs() const { return resolved.output[0]; }
  [[nodiscard]] std::int64_t classes() const { return classes_of(loss, outputs()); }
};

std::string_view what_it_takes(bool tokens) { return tokens ? "tokens" : "numbers"; }

std::int64_t largest(const std::vector<std::int64_t>& values) {
  return *std::max_element(values.begin(), values.end());
}

// Written so that a NaN is none.
bool is_share(float value) { return value >= 0 && value <= 1; }

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
    Rule{[](const Subject& s) {
           return (s.dataset.vocabulary != 0) == s.resolved.vocabulary().has_value();
         },
         [](const Subject& s) {
           return fmt::format("has {}, the model takes {}",
                              what_it_takes(s.dataset.vocabulary != 0),
                              what_it_takes(s.resolved.vocabulary().has_value()));
         },
         "begin a model of tokens with an embedding, and no other model"},
    Rule{[](const Subject& s) {
           return s.dataset.tokens.empty() || largest(s.dataset.tokens) < *s.resolved.vocabulary();
         },
         [](const Subject& s) {
           return fmt::format("has tokens up to {}, the model knows those from 0 to {}",
                              largest(s.dataset.tokens), *s.resolved.vocabulary() - 1);
         },
         "give the embedding one row for each token of the vocabulary: num_embeddings"},
    Rule{[](const Subject& s) {
           return learns(s.loss, s.has_numbers() ? Target::numbers : Target::its_class);
         },
         [](const Subject& s) {
           return s.has_numbers()
                      ? std::string("has numbers to predict, the loss needs class labels")
                      : std::string("has class labels, the loss needs numbers to predict");
         },
         "choose another train.loss"},
    Rule{[](const Subject& s) { return s.resolved.output.size() == 1; },
         [](const Subject& s) {
           return fmt::format("has one label for each example, the model ends in {}",
                              to_string(s.resolved.output));
         },
         "end the model with a linear layer that has one output for each class"},
    Rule{[](const Subject& s) { return !s.has_numbers() || s.dataset.targets == s.outputs(); },
         [](const Subject& s) {
           return fmt::format("has {} numbers to predict, the model has {} outputs",
                              s.dataset.targets, s.outputs());
         },
         "give the last linear layer one output for each of the dataset's targets"},
    Rule{[](const Subject& s) {
           return s.loss != Loss::bce ||
                  std::all_of(s.dataset.values.begin(), s.dataset.values.end(), is_share);
         },
         [](const Subject&) -> std::string {
           return "has numbers to predict that are not from 0 to 1, which the loss needs";
         },
         "choose another train.loss: mse, for example"},
    Rule{[](const Subject& s) { return s.has_numbers() || s.classes() > 0; },
         [](const Subject& s) {
           return fmt::format("has one label for each example, the model answers {} questions",
                              s.outputs());
         },
         "give the model one output for bce, or use cross_entropy"},
    Rule{
        [](const Subject& s) { return s.has_numbers() || largest(s.dataset.labels) < s.classes(); },
        [](const Subject& s) {
          return fmt::format(
              "has labels up to {}, the model has {} outputs for labels from 0 to {}",
              largest(s.dataset.labels), s.outputs(), s.classes() - 1);
        },
        "give the last linear layer one output for each class"},
    Rule{[](const Subject& s) {
           return s.use == Use::evaluation || s.dataset.size() > 1 || !s.resolved.needs_pairs();
         },
         [](const Subject&) -> std::string {
           return "has one example at this site, and batch_norm compares examples";
         },
         "use group_norm or layer_norm"},
};

}  // namespace

Expected<void> check_data_contract(std::string_view name, const Dataset& dataset,
                                   const ModelSpec& model, const ResolvedModel& resolved, Loss loss,
                                   Use use) {
  const Subject subject{dataset, model, resolved, loss, use};
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
