// Enumerations of the schemas and of the domain have the same numbers. Each pair is held together
// here, so that a new enumerator on one side alone does not compile.
#pragma once

#include <fmt/format.h>
#include <schemas/coordinator.capnp.h>
#include <schemas/job.capnp.h>
#include <schemas/refusal.capnp.h>
#include <schemas/task.capnp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/refusal.h"
#include "common/domain/explanation.h"
#include "common/domain/job_spec.h"
#include "common/domain/job_state.h"
#include "common/domain/job_view.h"
#include "common/domain/task.h"
#include "common/wire/checks.h"

namespace entente::wire {

// The domain's enumerators in the order of the schema's numbers.
template <class Domain>
struct Mirror;

template <>
struct Mirror<Scope> {
  using Wire = schema::Scope;
  static constexpr std::array kValues{Scope::task, Scope::site, Scope::job, Scope::broker};
  static_assert(Wire::BROKER == Wire{kValues.size() - 1});
};

template <>
struct Mirror<Loss> {
  using Wire = schema::Loss;
  static constexpr std::array kValues{Loss::cross_entropy, Loss::bce, Loss::mse, Loss::l1,
                                      Loss::hinge};
  static_assert(Wire::HINGE == Wire{kValues.size() - 1});
};

template <>
struct Mirror<Weighting> {
  using Wire = schema::Weighting;
  static constexpr std::array kValues{Weighting::examples, Weighting::steps, Weighting::uniform,
                                      Weighting::given};
  static_assert(Wire::GIVEN == Wire{kValues.size() - 1});
};

template <>
struct Mirror<SampleBy> {
  using Wire = schema::SampleBy;
  static constexpr std::array kValues{SampleBy::uniform, SampleBy::samples, SampleBy::preference};
  static_assert(Wire::PREFERENCE == Wire{kValues.size() - 1});
};

template <>
struct Mirror<Keep> {
  using Wire = schema::Keep;
  static constexpr std::array kValues{Keep::all, Keep::best_and_last};
  static_assert(Wire::BEST_AND_LAST == Wire{kValues.size() - 1});
};

template <>
struct Mirror<JobKind> {
  using Wire = schema::JobKind;
  static constexpr std::array kValues{JobKind::train,  JobKind::evaluate,       JobKind::statistics,
                                      JobKind::cyclic, JobKind::cross_evaluate, JobKind::predict};
  static_assert(Wire::PREDICT == Wire{kValues.size() - 1});
};

template <>
struct Mirror<TaskKind> {
  using Wire = schema::TaskKind;
  static constexpr std::array kValues{TaskKind::initialize, TaskKind::train, TaskKind::evaluate,
                                      TaskKind::statistics, TaskKind::predict};
  static_assert(Wire::PREDICT == Wire{kValues.size() - 1});
};

template <>
struct Mirror<JobState> {
  using Wire = schema::JobState;
  static constexpr std::array kValues{JobState::queued,    JobState::matching, JobState::running,
                                      JobState::completed, JobState::failed,   JobState::aborted,
                                      JobState::paused};
  static_assert(Wire::PAUSED == Wire{kValues.size() - 1});
};

template <>
struct Mirror<RoundState> {
  using Wire = schema::RoundState;
  static constexpr std::array kValues{RoundState::selecting, RoundState::training,
                                      RoundState::merging, RoundState::done};
  static_assert(Wire::DONE == Wire{kValues.size() - 1});
};

template <>
struct Mirror<SiteStanding> {
  using Wire = schema::SiteStanding;
  static constexpr std::array kValues{
      SiteStanding::taking_part, SiteStanding::asked,    SiteStanding::free,    SiteStanding::busy,
      SiteStanding::away,        SiteStanding::declined, SiteStanding::excluded};
  static_assert(Wire::EXCLUDED == Wire{kValues.size() - 1});
};

template <>
struct Mirror<Enrolment> {
  using Wire = schema::Enrolment;
  static constexpr std::array kValues{Enrolment::offered, Enrolment::accepted, Enrolment::declined};
  static_assert(Wire::DECLINED == Wire{kValues.size() - 1});
};

template <>
struct Mirror<TaskState> {
  using Wire = schema::TaskState;
  static constexpr std::array kValues{TaskState::pending, TaskState::running, TaskState::uploading,
                                      TaskState::done,    TaskState::failed,  TaskState::lost};
  static_assert(Wire::LOST == Wire{kValues.size() - 1});
};

template <>
struct Mirror<JobEventKind> {
  using Wire = schema::JobEventKind;
  static constexpr std::array kValues{
      JobEventKind::submitted,      JobEventKind::site_accepted, JobEventKind::site_declined,
      JobEventKind::started,        JobEventKind::round_started, JobEventKind::update_accepted,
      JobEventKind::update_refused, JobEventKind::task_failed,   JobEventKind::task_lost,
      JobEventKind::round_merged,   JobEventKind::evaluated,     JobEventKind::completed,
      JobEventKind::failed,         JobEventKind::aborted,       JobEventKind::site_replaced,
      JobEventKind::site_returned,  JobEventKind::site_draining, JobEventKind::site_waits,
      JobEventKind::paused,         JobEventKind::resumed,       JobEventKind::queued,
      JobEventKind::initialized};
  static_assert(Wire::INITIALIZED == Wire{kValues.size() - 1});
};

template <class Domain>
constexpr bool numbers_agree() {
  for (std::size_t i = 0; i < Mirror<Domain>::kValues.size(); ++i) {
    if (static_cast<std::size_t>(Mirror<Domain>::kValues[i]) != i) {
      return false;
    }
  }
  return true;
}

template <class Domain>
typename Mirror<Domain>::Wire write_enum(Domain value) {
  static_assert(numbers_agree<Domain>());
  return static_cast<typename Mirror<Domain>::Wire>(value);
}

template <class Domain>
Domain read_enum(typename Mirror<Domain>::Wire value, std::string_view what) {
  const auto number = static_cast<std::uint16_t>(value);
  if (number >= Mirror<Domain>::kValues.size()) {
    illegal(what, fmt::format("is {}, which means nothing here", number));
  }
  return Mirror<Domain>::kValues[number];
}

}  // namespace entente::wire
