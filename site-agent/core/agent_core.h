// The agent's decisions: which jobs a site takes part in, what runs when, what is sent and what is
// kept.
//
//  - A job is taken on in two steps: the site's policy allows it, then a trainer has checked that
//    the data fits. Only after the promise is in the journal does the broker hear of it.
//  - Tasks run in the order of their offers, at most `slots` at the same time and one per job: a
//    job's warm trainer handles one command at a time. Models are fetched while a task waits.
//  - Where the machine's agents share a pool of trainers, whatever computes (checking the data too)
//    waits for a place of the pool first, and to the broker that is waiting for a slot. A place
//    is given back when its trainer has no work left; a trainer without work that finds no place
//    among the warm ones ends at once.
//  - A later round, or a later attempt, ends what runs for an earlier one of the same kind: the
//    broker has given that up. A finished result of the same order is announced under the new
//    attempt instead of being computed again.
//  - A result is in the outbox (journal and blob store) before it is announced, and stays there
//    until the broker's verdict. Losing the session or the process therefore loses no work.
//  - What a site keeps of a round for the next one (what topk leaves out, tensors of its own, its
//    control variate, its personal model) is kept with the update, in the same step, and counts
//    once the broker has accepted it. So a round starts from the state of the last accepted round
//    before it, also when it is trained again, and waits until there is no doubt which that is.
//  - A job that the broker pauses is halted: its trainer and its tasks end, what was promised and
//    what is finished stays. It goes on with its next task.
//  - Training goes on while the session is down. After Welcome everything open is said again;
//    every message is idempotent by its key.
//  - Nothing sent while the session is down is queued: the broker repeats its offers.
//  - What the policy does not allow now, but may later (hours, the day's rounds, people's
//    approval), waits: an offer unanswered, a task unstarted. The broker hears why. A task that
//    runs is not interrupted when its hours end.
//  - An approval binds one spec's digest and expires; the journal has who gave it and why. Without
//    a readable one there is none.
//  - While the site is paused nothing is computed and nothing leaves but the word that it is.
//    Pausing drops running tasks, keeps promises and finished results, and outlives a restart.
//
// Pure: `step` is a function of the state, the event and `now`; jitter comes from a seed. Used by
// the agent's loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/time.h"
#include "site-agent/core/backoff.h"
#include "site-agent/core/events.h"
#include "site-agent/policy/policy.h"

namespace entente::agent {

// A warm trainer without work is stopped after this long: it holds 65-70 MB and the job's data.
constexpr std::chrono::minutes kTrainerIdleMax{2};
// A trainer that is not done with checking the data by then never will be.
constexpr std::chrono::minutes kPrepareMax{10};
// Trainers beside those that compute: being prepared for an offer, or warm for the next round.
constexpr std::size_t kSpareTrainersMax = 4;
// Jobs under way at one site; a consortium has a handful.
constexpr std::size_t kJobsMax = 256;
// Tasks of one job at one time: an initialize or a train, and as many late evaluations as a broker
// leaves open, which are eight. A slow site of an asynchronous job has them all.
constexpr std::size_t kTasksPerJobMax = 10;
// Declined offers that are answered from memory.
constexpr std::size_t kDeclinesKeptMax = 256;
// A task is reported at most this often.
constexpr std::chrono::seconds kReportEvery{1};
// A task that waits for a slot says this often that it is not forgotten: its turn comes.
constexpr std::chrono::seconds kWaitingReportEvery{5};
// Models found in the blob store after a restart wait this long for a task that wants them.
constexpr std::chrono::minutes kUnclaimedModelsKept{10};

struct AgentSettings {
  SiteId site;
  std::uint64_t instance = 0;  // random per installation
  SiteAdvert advert;           // also says which datasets, slots and version this site has
  Policy policy;
  std::uint64_t jitter_seed = 0;
  bool shares_trainer_pool = false;  // with the other agents of this machine
};

class AgentCore {
 public:
  AgentCore(AgentSettings settings, Recovered recovered);

  [[nodiscard]] Effects step(const Event& event, Now now);

  // When `Woke` is due next; nothing when only other events matter.
  [[nodiscard]] std::optional<Monotonic> wake_at() const;

  [[nodiscard]] bool connected() const { return link_ == Link::up; }

  // For the site's people.
  struct JobStanding {
    const Promise* promise = nullptr;
    bool accepted = false;
    bool awaits_approval = false;
    std::string waits;  // why it waits; empty when it does not
  };
  [[nodiscard]] std::vector<JobStanding> jobs() const;
  [[nodiscard]] const std::optional<Pause>& pause() const { return paused_; }
  [[nodiscard]] std::size_t running_tasks() const;
  [[nodiscard]] std::size_t unsent_results() const { return outbox_.size(); }

 private:
  enum class Link : std::uint8_t { down, dialing, greeting, up };

  struct Job {
    Promise promise;
    bool accepted = false;
    std::optional<TrainerId> trainer;
    std::vector<BlobId> models;  // wanted or stored for this job, the newest last
    std::map<Round, SiteState> states;
    std::string waits{};           // why, as the broker was told last
    bool keeps_own = false;        // its trainer writes what stays at the site
    std::optional<Sums> ranges{};  // of statistics, as the second round was first asked for
  };

  enum class TrainerState : std::uint8_t { preparing, idle, busy };
  struct Trainer {
    JobId job;
    TrainerState state = TrainerState::preparing;
    Monotonic since{};       // in this state
    bool has_place = false;  // to compute in, of the pool
  };

  // Trained: the result waits for the residual that its update starts from.
  enum class Stage : std::uint8_t { waiting, running, trained, storing };
  struct Task {
    TaskOrder order;
    Stage stage = Stage::waiting;
    bool held = false;  // by the policy, for now
    TaskProgress progress;
    std::optional<Monotonic> reported_at;
    Monotonic heard_at{};  // when the broker heard of it last, or ordered it
    TaskResult result;     // while storing
  };
  using Tasks = std::list<Task>;  // in the order of their offers

  struct Outgoing {
    OutboxEntry entry;
    std::optional<Departure> recorded;  // how far the ledger knows it
    bool granted = false;               // in this session
    bool uploading = false;
    Backoff backoff;
    std::optional<Monotonic> retry_at;
    std::optional<Monotonic> reported_at;
  };

  struct Fetch {
    bool running = false;
    Backoff backoff;
    std::optional<Monotonic> retry_at;
  };

  // agent_core.cpp: events, the session, wake-ups
  void on(const event::Started&);
  void on(const event::Woke&);
  void on(const event::DialFailed& event);
  void on(const event::SessionOpened&);
  void on(const event::SessionEnded& event);
  void on(const event::Received& event);
  void welcome(const msg::Welcome& message);
  // Says everything open: after Welcome, and after a pause.
  void greet();
  void retreat(const Refusal& reason);
  // Connected and not paused.
  [[nodiscard]] bool at_work() const { return connected() && !paused_; }
  void say(msg::Control message);
  void note(std::string event, std::string sentence, std::string job = {});
  void warn(std::string event, std::string sentence, std::string job = {});

  // agent_core_jobs.cpp: offers and trainers
  [[nodiscard]] std::optional<Refusal> objection(const std::string& coordinator,
                                                 const JobSpec& spec) const;
  [[nodiscard]] bool has_dataset(const std::string& name) const;
  void consider(const msg::JobOffer& offer, bool digest_matches);
  [[nodiscard]] static Job known_job(Promise promise, bool accepted);
  void accept(Job& job);
  void decline(const JobId& job, const Digest& digest, Refusal refusal, bool remember);
  void close(const JobId& job, const std::string& reason);
  void halt(const JobId& job, const std::string& reason);
  void forget(const JobId& job);
  void on(const event::TrainerPrepared& event);
  void on(const event::TrainerRefused& event);
  void on(const event::TrainerGone& event);
  void prepare_failed(const JobId& job, const TaskFailure& failure);
  void start_trainer(Job& job);
  void run(const Task& task, const Job& job);
  [[nodiscard]] bool make_room_for_trainer();
  void stop_trainer(TrainerId id);
  void stop_stale_trainers();
  // Gives free trainers and slots to whoever waits longest. Called at the end of every step.
  void schedule();

  // Starts trainers and tasks as far as policy, slots and places allow.
  void give_turns();

  // agent_core_places.cpp: the pool that the machine's agents share
  void on(const event::PlaceTaken&);
  void on(const event::WarmPlacesFull& event);
  [[nodiscard]] bool may_compute(const Trainer& trainer);
  void compute_in_place(Trainer& trainer);
  void settle_places();

  // agent_core_people.cpp: the policy's patience, people's decisions, pauses
  void on(const event::Decided& event);
  void on(const event::Paused& event);
  void on(const event::Resumed& event);
  void on(const event::Reconfigured& event);
  void withdraw_uncovered();
  void withdraw(const JobId& job, const Refusal& refusal);
  [[nodiscard]] std::optional<Refusal> denial(const JobId& job, const Digest& digest) const;
  [[nodiscard]] bool approved(const Promise& promise) const;
  [[nodiscard]] std::optional<Wait> must_wait_now(const Promise& promise, bool starts_round) const;
  [[nodiscard]] bool starts_round(const TaskOrder& order) const;
  void spend_round(const TaskOrder& order);
  void tell_waits(const std::map<JobId, Wait>& waiting);
  [[nodiscard]] SiteAdvert advert() const;

  // agent_core_tasks.cpp: tasks and their models
  void take(const TaskOrder& order);
  [[nodiscard]] std::optional<Refusal> objection(const TaskOrder& order) const;
  [[nodiscard]] bool answer_from_outbox(const TaskOrder& order);
  void supersede(const TaskOrder& order);
  void on(const event::TrainerProgressed& event);
  void on(const event::TrainerFinished& event);
  void on(const event::OutputStored& event);
  void on(const event::OutputLost& event);
  void finish(Tasks::iterator task);
  void fail(Tasks::iterator task, TaskFailure failure);
  void fail(const TaskKey& key, TaskFailure failure);
  void drop(Tasks::iterator task);
  void report(Task& task, bool always);
  // Ready to run, but for a slot or a trainer.
  [[nodiscard]] bool is_waiting_its_turn(const Task& task) const;
  [[nodiscard]] Tasks::iterator find(const TaskKey& key);
  [[nodiscard]] Tasks::iterator running_of(const JobId& job);
  void want_model(Job& job, const BlobId& blob);
  void fetch(const BlobId& blob, Fetch& state);
  [[nodiscard]] bool is_fetching(const Task& task) const;
  [[nodiscard]] bool is_awaited(const BlobId& blob) const;
  [[nodiscard]] bool is_model_of_a_job(const BlobId& blob) const;
  void release_models(Job& job);
  void remove_unless_used(const BlobId& blob);
  void output_settled();
  void on(const event::DownloadMoved& event);
  void on(const event::DownloadEnded& event);

  // agent_core_site_state.cpp: what stays at the site from one round to the next
  void store_output(Task& task);
  [[nodiscard]] const SiteState* state_for(const Job& job, const TaskKey& key) const;
  [[nodiscard]] bool must_await_verdict(const Job& job, const TaskKey& key) const;
  void keep_state(SiteState state);
  void settle_state(const TaskKey& key, bool accepted);
  void drop_old_states(Job& job, Round newest);
  void drop_state(Job& job, Round round);
  void hand_out(const Job& job, const SiteState& state);
  void check_states();
  [[nodiscard]] bool is_site_state(const BlobId& blob) const;

  // agent_core_outbox.cpp: results on their way out
  void keep(OutboxEntry entry);
  void announce(Outgoing& outgoing);
  void upload(Outgoing& outgoing);
  void grant(const msg::ResultGrant& message);
  void conclude(const msg::ResultVerdict& message);
  void give_up(const msg::ResultVerdict& message);
  void record(Outgoing& outgoing, Departure departure);
  void discard(std::map<TaskKey, Outgoing>::iterator outgoing);
  void on(const event::UploadMoved& event);
  void on(const event::UploadEnded& event);
  void retry(Outgoing& outgoing);

  AgentSettings settings_;
  Jitter jitter_;

  Link link_ = Link::down;
  Backoff dial_backoff_;
  std::optional<Monotonic> link_deadline_;  // of the pause while down, of Welcome while greeting

  std::map<JobId, Job> jobs_;
  std::map<TrainerId, Trainer> trainers_;
  TrainerId next_trainer_ = 1;
  std::map<std::pair<JobId, Digest>, Refusal> declines_;
  std::deque<std::pair<JobId, Digest>> declines_by_age_;

  std::map<std::pair<JobId, Digest>, Decision> decisions_;  // the latest of each
  std::map<std::pair<JobId, Round>, SpentRound> spent_;
  std::uint32_t spent_damaged_ = 0;
  std::optional<Pause> paused_;
  enum class Place : std::uint8_t { unasked, sought, taken };
  Place place_ = Place::unasked;            // one that no trainer has yet
  bool place_wanted_ = false;               // by something that found none in the step under way
  std::optional<Monotonic> patience_ends_;  // when to ask the policy again

  Tasks tasks_;
  std::map<TaskKey, Outgoing> outbox_;
  std::map<BlobId, Fetch> fetches_;
  std::set<BlobId> stored_;     // what the blob store holds
  std::set<BlobId> unclaimed_;  // found there at the start, wanted by nobody yet
  std::optional<Monotonic> unclaimed_until_;
  std::uint32_t outputs_being_stored_ = 0;
  std::set<BlobId> removals_postponed_;  // until then

  // Of the step under way.
  Now now_;
  Effects effects_;
};

}  // namespace entente::agent
