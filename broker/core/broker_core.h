// The broker's mind: one deterministic function from (state, event, now) to effects.
//
// No clock, thread, file, socket, log or random device; the shell (broker/service) feeds events and
// carries effects out. Rows of an effect are committed before its actions are carried out, and
// actions keep their order. Used by the loop thread only.
//
// A broker that was itself stopped (SIGSTOP, a suspended machine) blames no site for it. While a
// stall window runs the core looks at the clock in short steps; a gap of several such steps was its
// own sleep, and every window starts anew. Deadlines go on: they are time, not blame.
#pragma once

#include <optional>
#include <string>

#include "broker/core/effect.h"
#include "broker/core/evaluator.h"
#include "broker/core/event.h"
#include "broker/core/rows.h"
#include "broker/core/state.h"
#include "common/base/time.h"

namespace entente::broker {

struct BrokerInfo {
  std::string name;
  std::string version;
  QueueSettings queue{};
  const Evaluator* evaluator = &no_expressions();  // outlives the core
};

class BrokerCore {
 public:
  // Takes over what the database remembers. Every open task gets a full stall window, and every job
  // the rest of its deadline: the wall clock may have jumped meanwhile.
  BrokerCore(BrokerInfo info, Snapshot snapshot, Now now);

  // The first step after construction: restarts what was under way (merges).
  [[nodiscard]] Effects resume(Now now);

  [[nodiscard]] Effects step(const Event& event, Now now);

  // When the next Tick is due (perhaps in the past: then at once); nothing when only messages can
  // change anything.
  [[nodiscard]] std::optional<Monotonic> next_wakeup() const;

  [[nodiscard]] const State& state() const { return state_; }

 private:
  void forgive_own_sleep(Now now);

  State state_;
  Monotonic last_tick_{};
  Monotonic last_look_{};  // the last step of any kind
};

}  // namespace entente::broker
