#include "broker/core/broker_core.h"

#include <algorithm>
#include <utility>

#include "broker/core/buffering.h"
#include "broker/core/claims.h"
#include "broker/core/evaluations.h"
#include "broker/core/files.h"
#include "broker/core/following.h"
#include "broker/core/jobs.h"
#include "broker/core/kinds.h"
#include "broker/core/queue.h"
#include "broker/core/requests.h"
#include "broker/core/rounds.h"
#include "broker/core/sessions.h"
#include "broker/core/tasks.h"
#include "broker/core/waiting.h"
#include "common/base/check.h"
#include "common/domain/layers.h"

namespace entente::broker {
namespace {

// How often a job's elapsed time is saved while nothing else happens to it.
constexpr Millis kSaveEvery = std::chrono::minutes{1};

// How often to look at the clock at the least while stall windows run; the shortest of them
// decides.
constexpr Millis kLookEveryMax{5000};
constexpr int kLooksPerWindow = 4;
// A gap between two steps is the broker's own sleep when it has missed that many looks and is
// longer than a busy moment.
constexpr int kLooksMissedMax = 2;
constexpr Millis kBusyMax{500};

// Hands an event to the file that decides about it.
class Dispatch {
 public:
  explicit Dispatch(Step& step) : step_(step) {}

  void operator()(const SessionOpened& opened) { on_session_opened(step_, opened); }
  void operator()(const SessionClosed& closed) { on_session_closed(step_, closed.session); }
  void operator()(const UpdateArrived& arrived) {
    if (!on_file_arrived(step_, arrived)) {
      on_update_arrived(step_, arrived);
    }
  }
  void operator()(const TransferMoved& moved) { on_transfer_moved(step_, moved); }
  void operator()(const MergeFinished& merge) { on_merge_finished(step_, merge); }

  void operator()(const Tick&) {
    for (auto& [id, job] : step_.state.jobs) {
      if (job.ended()) {
        continue;
      }
      if (job.deadline && step_.now.monotonic >= *job.deadline) {
        fail(step_, job, "its deadline has passed");
        continue;
      }
      if (job.deadline && step_.now.monotonic - job.saved_at >= kSaveEvery) {
        step_.save(job);
      }
      release_unanswered(step_, job);
      advance(step_, job);
    }
    save_usage(step_);
    push_progress(step_);
  }

  void operator()(const MessageRejected& rejected) {
    const auto session = step_.state.sessions.find(rejected.session);
    // A kind of message that is not known here comes from a newer peer and may be ignored.
    if (session == step_.state.sessions.end() || rejected.reason.code == "message_unknown") {
      return;
    }
    violated(session->second, rejected.reason);
  }

  void operator()(const MessageReceived& received) {
    const auto found = step_.state.sessions.find(received.session);
    if (found == step_.state.sessions.end()) {
      return;
    }
    auto& session = found->second;
    if (const auto* hello = std::get_if<msg::Hello>(&received.message)) {
      on_hello(step_, session, *hello);
    } else if (!session.greeted) {
      violated(session, {"protocol_violated", "the first message was not Hello", "", Scope::site});
    } else if (const auto* request = std::get_if<msg::Request>(&received.message)) {
      on_request(step_, session, *request, received.spec_digest);
    } else if (!from_site(session, received.message)) {
      violated(session, {"protocol_violated", "a message that this peer has no business to send",
                         "", Scope::site});
    }
  }

 private:
  // False when the message is not one that a site sends, or the peer is no site.
  bool from_site(const Session& session, const msg::Control& message) {
    if (session.identity.role != Role::site) {
      return false;
    }
    const auto site = SiteId::parse(session.identity.name);
    ENTENTE_CHECK(site.has_value());
    if (const auto* advert = std::get_if<msg::Advert>(&message)) {
      on_advert(step_, *site, *advert);
    } else if (const auto* reply = std::get_if<msg::JobReply>(&message)) {
      on_job_reply(step_, *site, *reply);
    } else if (const auto* waits = std::get_if<msg::JobWaits>(&message)) {
      on_job_waits(step_, *site, *waits);
    } else if (const auto* report = std::get_if<msg::TaskReport>(&message)) {
      on_task_report(step_, *site, *report);
    } else if (const auto* announce = std::get_if<msg::ResultAnnounce>(&message)) {
      on_result_announce(step_, *site, *announce);
    } else if (const auto* failed = std::get_if<msg::TaskFailed>(&message)) {
      on_task_failed(step_, *site, *failed);
    } else {
      return false;
    }
    return true;
  }

  void violated(const Session& session, Refusal reason) {
    const auto id = session.id;
    const auto why = reason.message;
    step_.audit(session.identity.path(), "session.violate", "broker", why);
    step_.send(id, msg::Refused{std::move(reason)});
    step_.act(CloseSession{id, why});
  }

  Step& step_;
};

// Nothing when no stall window runs.
std::optional<Millis> look_every(const State& state) {
  std::optional<Millis> every;
  for (const auto& [id, job] : state.jobs) {
    const bool is_watched =
        (job.runs() && std::any_of(job.tasks.begin(), job.tasks.end(),
                                   [](const auto& entry) { return is_open(entry.second); })) ||
        (!job.ended() && std::any_of(job.parts.begin(), job.parts.end(),
                                     [](const auto& entry) { return is_thinking(entry.second); }));
    if (is_watched) {
      every = std::min(every.value_or(kLookEveryMax), job.spec().stall_window / kLooksPerWindow);
    }
  }
  return every;
}

std::optional<Monotonic> earliest_after(const State& state, Monotonic last_tick) {
  auto next = next_push(state);
  const auto consider = [&](Monotonic due) {
    if (due > last_tick) {
      next = next ? std::min(*next, due) : due;
    }
  };
  for (const auto& [id, job] : state.jobs) {
    if (job.ended()) {
      continue;
    }
    if (job.deadline) {
      consider(*job.deadline);
      consider(job.saved_at + kSaveEvery);
    }
    for (const auto& [site, part] : job.parts) {
      if (is_thinking(part)) {
        consider(part.offered_at + job.spec().stall_window);
      }
    }
    for (const auto& [key, task] : job.tasks) {
      if (job.runs() && is_open(task)) {
        consider(task.last_progress + job.spec().stall_window);
      }
    }
  }
  return next;
}

}  // namespace

BrokerCore::BrokerCore(BrokerInfo info, Snapshot snapshot, Now now) {
  state_.broker_name = std::move(info.name);
  state_.version = std::move(info.version);
  state_.queue.settings = info.queue;
  state_.evaluator = info.evaluator;
  for (auto& row : snapshot.sites) {
    know_site(state_, row.site).row = std::move(row);
  }
  for (auto& row : snapshot.jobs) {
    auto& job = state_.jobs[row.job];
    auto model = model_of(row.spec);
    ENTENTE_CHECK(model.has_value());  // it was checked before the row was written
    set_layout(job, row.spec, std::move(model->layout));
    job.saved_at = now.monotonic;
    job.row = std::move(row);
  }
  for (const auto& row : snapshot.files) {
    state_.jobs.at(row.job).files.insert(row.blob);
  }
  for (auto& [id, job] : state_.jobs) {
    if (job.row.state != JobState::paused && !is_held_up(state_, job)) {
      job.deadline = now.monotonic + std::max(Millis{0}, job.spec().deadline - job.row.elapsed);
    }
  }
  for (auto& row : snapshot.parts) {
    auto& part = state_.jobs.at(row.job).parts[row.site];
    part.offered_at = now.monotonic;
    part.row = std::move(row);
  }
  for (auto& row : snapshot.rounds) {
    const auto number = row.round;
    state_.jobs.at(row.job).rounds[number] = std::move(row);
  }
  // So that of a site's accepted updates the last one comes last.
  std::ranges::stable_sort(snapshot.tasks, {}, [](const TaskRow& row) {
    return std::pair(row.accepted_seq, row.key.round);
  });
  for (auto& row : snapshot.tasks) {
    auto& job = state_.jobs.at(row.key.job);
    const auto current = job.rounds.empty() ? 0 : job.rounds.rbegin()->first;
    Task task{std::move(row), now.monotonic};
    if (task.row.state == TaskState::done &&
        task.row.key.kind == task_in(job, task.row.key.round)) {
      auto& part = job.parts.at(task.row.key.site);
      part.accepted_key = task.row.key;
      part.accepted_update = task.row.result.blob;
    }
    job.accepted = std::max(job.accepted, task.row.accepted_seq);
    // Who has answered in an evaluation that is still open counts; who failed is not asked again.
    const bool is_tried = task.row.key.kind == TaskKind::evaluate &&
                          awaits_evaluation(job, job.rounds.at(task.row.key.round));
    const bool may_be_needed = task.row.key.kind == TaskKind::train && rules_of(job).is_buffered;
    if (is_open(task) || round_of(task.row) >= current || is_tried || may_be_needed) {
      const auto key = task.row.key;
      job.tasks.insert_or_assign(key, std::move(task));
    }
  }
  for (auto& [id, job] : state_.jobs) {
    if (rules_of(job).is_buffered) {
      forget_settled(job);
    }
  }
  for (auto& row : snapshot.usage) {
    state_.usage[row.coordinator] = {std::move(row), now.monotonic, 0, 0};
  }
  count_claims(state_, now.monotonic);
}

Effects BrokerCore::resume(Now now) {
  Effects effects;
  Step step(state_, now, effects);
  for (auto& [id, job] : state_.jobs) {
    restart_merges(step, job);
  }
  last_tick_ = now.monotonic;
  last_look_ = now.monotonic;
  std::visit(Dispatch(step), Event(Tick{}));
  run_queue(step);
  return effects;
}

Effects BrokerCore::step(const Event& event, Now now) {
  forgive_own_sleep(now);
  Effects effects;
  Step step(state_, now, effects);
  if (std::holds_alternative<Tick>(event)) {
    last_tick_ = now.monotonic;
  }
  std::visit(Dispatch(step), event);
  run_queue(step);
  return effects;
}

void BrokerCore::forgive_own_sleep(Now now) {
  const auto gap = now.monotonic - std::exchange(last_look_, now.monotonic);
  if (gap <= kBusyMax) {
    return;
  }
  const auto every = look_every(state_);
  if (!every || gap <= kLooksMissedMax * *every) {
    return;
  }
  for (auto& [id, job] : state_.jobs) {
    for (auto& [site, part] : job.parts) {
      part.offered_at = now.monotonic;
    }
    for (auto& [key, task] : job.tasks) {
      if (!job.parts.at(key.site).row.silent) {
        task.last_progress = now.monotonic;
        task.training.reset();  // what it did meanwhile is not known
      }
    }
  }
}

std::optional<Monotonic> BrokerCore::next_wakeup() const {
  auto next = earliest_after(state_, last_tick_);
  if (const auto every = look_every(state_)) {
    const auto look = last_look_ + *every;
    next = next ? std::min(*next, look) : look;
  }
  return next;
}

}  // namespace entente::broker
