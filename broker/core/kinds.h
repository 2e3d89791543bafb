// What the kinds of jobs decide about their rounds, one file a kind (kind_*.cpp).
//
// rounds.cpp holds the rules that all of them share: quorum, stall, places, rest, preemption, the
// order of rounds. A kind says what a site does in a round, which sites have a turn in it, how many
// answers it takes, and what becomes of them. common/domain/job_kind.h has what its spec may hold.
//
// Pure; used by the loop thread.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

// Of the sites that hold places: how many a round asks, how many answers it takes, and how many it
// needs at least.
struct Turnout {
  std::size_t asked = 0;
  std::size_t wanted = 0;
  std::size_t quorum = 0;
};

struct KindRules {
  TaskKind (*task)(Round);  // what a site does in a round
  bool makes_model;         // round 0 makes a model, unless the job starts from another one's

  // Whether a round asks some of the sites only. Then nobody loses a place for failing in one: the
  // next in turn is asked instead.
  bool (*draws)(const Job&);
  Turnout (*turnout)(const Job&);
  // The sites at work that hold places and may be asked in this round, the first to be asked first.
  std::vector<SiteId> (*in_turn)(const State&, const Job&, Round);
  // What begins at the sites, after "round 2 of 5: ", when these are asked.
  std::string (*describe)(const Job&, const std::vector<SiteId>& asked);
  // The round has its answers (round_answers); their number is saved. Leaves its state at `merging`
  // when the rest is to come as an event, at `done` when it is finished.
  void (*close)(Step&, Job&, RoundRow&);

  // How many rounds there are to be; as far as that can be told while it still changes.
  Round (*rounds)(const Job&) = [](const Job& job) -> Round { return job.spec().rounds; };
  // The version that the updates of a merge change.
  Round (*base)(Round version) = [](Round version) -> Round { return version - 1; };
  // Whether others may take vacant places, when the job allows it.
  bool (*gives_places_away)(const Job&) = [](const Job&) { return true; };
  // Whether a round takes updates as they come, whenever their sites began: buffering.h has the
  // rules of such rounds.
  bool is_buffered = false;
};

// Of tasks whose results are merged.
[[nodiscard]] inline bool is_merged(TaskKind kind) {
  return kind == TaskKind::train || kind == TaskKind::predict;
}

// A job that trains asynchronously has rules of its own.
[[nodiscard]] const KindRules& rules_of(const JobSpec& spec);
[[nodiscard]] inline const KindRules& rules_of(const Job& job) { return rules_of(job.spec()); }

[[nodiscard]] inline TaskKind task_in(const Job& job, Round round) {
  return rules_of(job).task(round);
}
[[nodiscard]] inline Round rounds_of(const Job& job) { return rules_of(job).rounds(job); }

// Of a kind whose rounds are all alike: `task`.
template <TaskKind kind>
[[nodiscard]] TaskKind always(Round) {
  return kind;
}

// The round that has taken the result, or takes it.
[[nodiscard]] inline Round round_of(const TaskRow& task) {
  return task.merged_in != 0 ? task.merged_in : task.key.round;
}

// The answers that a round has taken, by site; those of one site in the order of its tasks.
[[nodiscard]] std::vector<const Task*> round_answers(const Job& job, Round round);

// Means over the sites' metrics, weighted by examples; only metrics that every answer has.
[[nodiscard]] Metrics mean_metrics(const std::vector<const Task*>& answers);

// Of a kind whose rounds ask every site that holds a place: `draws`, `turnout` and `in_turn`.
[[nodiscard]] bool asks_all(const Job& job);
[[nodiscard]] Turnout turnout_of_all(const Job& job);
[[nodiscard]] std::vector<SiteId> all_in_turn(const State& state, const Job& job, Round round);

// Of a kind that trains: `close`.
void merge_updates(Step& step, Job& job, RoundRow& round);

// The kinds.
extern const KindRules kTrainKind;
extern const KindRules kStatisticsKind;
extern const KindRules kEvaluateKind;
extern const KindRules kCyclicKind;
// A job of the kind "train" that has an [async] table.
extern const KindRules kAsyncKind;
extern const KindRules kCrossEvaluateKind;
extern const KindRules kPredictKind;

}  // namespace entente::broker
