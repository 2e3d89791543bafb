#include "common/domain/job_kind.h"

#include <fmt/format.h>

#include <array>

#include "common/base/check.h"
#include "common/domain/enum_names.h"
#include "common/domain/job_spec.h"

namespace entente {
namespace {

constexpr std::array kJobKinds{
    EnumName{JobKind::train, "train"},
    EnumName{JobKind::evaluate, "evaluate"},
    EnumName{JobKind::statistics, "statistics"},
    EnumName{JobKind::cyclic, "cyclic"},
    EnumName{JobKind::cross_evaluate, "cross_evaluate"},
    EnumName{JobKind::predict, "predict"},
};
static_assert(in_order(kJobKinds));

constexpr auto kNo = Need::absent;
constexpr auto kMay = Need::optional;
constexpr auto kMust = Need::required;

// kind; model, rounds, train, strategy, update, quorum, sample, evaluate, stop, keep,
// init, statistics; rounds of its own; async, predict
constexpr std::array kParts{
    KindParts{JobKind::train,  //
              kMust, kMust, kMust, kMay, kMay, kMay, kMay, kMay, kMay, kMay, kMay, kNo, 1, kMay},
    KindParts{JobKind::evaluate,  //
              kMust, kNo, kNo, kNo, kNo, kMay, kNo, kMust, kNo, kNo, kMust},
    KindParts{JobKind::statistics,  //
              kNo, kNo, kNo, kNo, kNo, kMay, kNo, kNo, kNo, kNo, kNo, kMust, 2},
    KindParts{JobKind::cyclic,  //
              kMust, kMust, kMust, kNo, kMay, kNo, kNo, kMay, kMay, kMay, kMay},
    KindParts{JobKind::cross_evaluate,  //
              kMust, kNo, kMust, kNo, kMay, kMay, kNo, kMust, kNo, kNo, kMay},
    KindParts{JobKind::predict,  //
              kMust, kNo, kNo, kMay, kNo, kMay, kNo, kNo, kNo, kNo, kMust, kNo, 1, kNo, kMust},
};

// Of a job that trains nothing, [train] holds what its examples are and how a model is judged.
bool says_how_to_train(const JobSpec& spec) {
  TrainSpec judged;
  judged.dataset = spec.train.dataset;
  judged.loss = spec.train.loss;
  judged.class_weights = spec.train.class_weights;
  if (has_model(spec.kind)) {
    judged.normalise = spec.train.normalise;
    judged.trainer = spec.train.trainer;
  }
  return spec.train != judged;
}

// A part of a job file: where it is, and whether a spec has it.
struct Part {
  std::string_view key;
  Need KindParts::*need;
  bool (*is_given)(const JobSpec&);
};
constexpr std::array kPartsOfFiles{
    Part{"[model]", &KindParts::model,
         [](const JobSpec& spec) {
           return !spec.model.input.empty() || !spec.model.layers.empty();
         }},
    Part{"rounds", &KindParts::rounds,
         [](const JobSpec& spec) { return spec.rounds != parts_of(spec.kind).own_rounds; }},
    Part{"[train]", &KindParts::train, [](const JobSpec& spec) { return says_how_to_train(spec); }},
    Part{"[strategy]", &KindParts::strategy,
         [](const JobSpec& spec) { return spec.strategy != StrategySpec(); }},
    Part{"[update]", &KindParts::update,
         [](const JobSpec& spec) { return spec.update != UpdateSpec(); }},
    Part{"sites.quorum", &KindParts::quorum,
         [](const JobSpec& spec) { return spec.sites.quorum != 0; }},
    Part{"[sites.sample]", &KindParts::sample,
         [](const JobSpec& spec) { return spec.sites.sample.has_value(); }},
    Part{"[evaluate]", &KindParts::evaluate,
         [](const JobSpec& spec) { return spec.evaluate.has_value(); }},
    Part{"[stop]", &KindParts::stop, [](const JobSpec& spec) { return spec.stop.has_value(); }},
    Part{"keep", &KindParts::keep, [](const JobSpec& spec) { return spec.keep != Keep::all; }},
    Part{"init", &KindParts::init, [](const JobSpec& spec) { return spec.init.has_value(); }},
    Part{"[statistics]", &KindParts::statistics,
         [](const JobSpec& spec) { return spec.statistics.has_value(); }},
    Part{"[async]", &KindParts::async, [](const JobSpec& spec) { return spec.async.has_value(); }},
    Part{"[predict]", &KindParts::predict,
         [](const JobSpec& spec) { return spec.predict.has_value(); }},
};

}  // namespace

std::string_view to_string(JobKind kind) { return name_of(kJobKinds, kind); }

std::optional<JobKind> parse_job_kind(std::string_view text) { return value_of(kJobKinds, text); }

std::vector<std::string> job_kind_names() {
  std::vector<std::string> names;
  for (const auto& row : kJobKinds) {
    names.emplace_back(row.name);
  }
  return names;
}

const KindParts& parts_of(JobKind kind) {
  const auto& parts = kParts.at(static_cast<std::size_t>(kind));
  ENTENTE_CHECK(parts.kind == kind);
  return parts;
}

bool has_task(JobKind job, TaskKind task) {
  switch (task) {
    case TaskKind::initialize:
    case TaskKind::train:
      return trains(job);
    case TaskKind::evaluate:
      return has_model(job) && job != JobKind::predict;
    case TaskKind::statistics:
      return job == JobKind::statistics;
    case TaskKind::predict:
      return job == JobKind::predict;
  }
  return false;
}

Expected<void> check_parts(const JobSpec& spec) {
  const auto& parts = parts_of(spec.kind);
  for (const auto& part : kPartsOfFiles) {
    // What every such job must have is asked for where it is checked: here only what would have no
    // effect, and what nobody else asks for.
    if (parts.*part.need == Need::absent && part.is_given(spec)) {
      return refuse(
          "job_invalid",
          fmt::format("a job of the kind \"{}\" has no {}", to_string(spec.kind), part.key),
          fmt::format("take {} out, or choose another kind", part.key), Scope::job);
    }
    const bool is_asked_for_elsewhere = part.need == &KindParts::model ||
                                        part.need == &KindParts::train ||
                                        part.need == &KindParts::rounds;
    if (parts.*part.need == Need::required && !is_asked_for_elsewhere && !part.is_given(spec)) {
      return refuse(
          "job_invalid",
          fmt::format("a job of the kind \"{}\" needs {}", to_string(spec.kind), part.key),
          "docs/job-file.md says what it holds", Scope::job);
    }
  }
  return {};
}

}  // namespace entente
