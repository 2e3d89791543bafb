// The broker's mind: one deterministic function from (state, event, now) to effects.
//
// No clock, thread, file, socket, log or random device; the shell (broker/service) feeds events and
// carries effects out. Rows of an effect are committed before its actions are carried out, and
// actions keep their order. Used by the loop thread only.
#pragma once

#include <optional>
#include <string>

#include "broker/core/effect.h"
#include "broker/core/event.h"
#include "broker/core/rows.h"
#include "broker/core/state.h"
#include "common/base/time.h"

namespace entente::broker {

struct BrokerInfo {
  std::string name;
  std::string version;
};

class BrokerCore {
 public:
  // Takes over what the database remembers. Every open task gets a full stall window.
  BrokerCore(BrokerInfo info, Snapshot snapshot, Now now);

  // The first step after construction: restarts what was under way (merges).
  [[nodiscard]] Effects resume(Now now);

  [[nodiscard]] Effects step(const Event& event, Now now);

  // When the next Tick is due (perhaps in the past: then at once); nothing when only messages can
  // change anything.
  [[nodiscard]] std::optional<Monotonic> next_wakeup() const;

  [[nodiscard]] const State& state() const { return state_; }

 private:
  State state_;
  Monotonic last_tick_{};
};

}  // namespace entente::broker
