// One step in progress: the state, the time, and the effects gathered so far. Every decision file
// works through it, so that a change of state and its row cannot part ways.
#pragma once

#include <string>
#include <string_view>

#include "broker/core/effect.h"
#include "broker/core/job_transitions.h"
#include "broker/core/state.h"

namespace entente::broker {

class Step {
 public:
  Step(State& broker_state, Now time, Effects& effects)
      : state(broker_state), now(time), effects_(effects) {}

  State& state;
  const Now now;

  void save(const Site& site) { effects_.rows.emplace_back(site.row); }
  // Notes how much of its deadline has passed, too.
  void save(Job& job);
  void save(const Part& part) { effects_.rows.emplace_back(part.row); }
  void save(const RoundRow& round) { effects_.rows.emplace_back(round); }
  void save(const Task& task) { effects_.rows.emplace_back(task.row); }
  void save(UsageRow usage) { effects_.rows.emplace_back(std::move(usage)); }
  void save(FileRow file) { effects_.rows.emplace_back(std::move(file)); }
  void save(ModelRow model) { effects_.rows.emplace_back(std::move(model)); }

  void act(Action action) { effects_.actions.push_back(std::move(action)); }
  void send(SessionId session, msg::Control message) { act(Send{session, std::move(message)}); }
  // False when the site is not connected or has not advertised yet; it is then told when it does.
  bool send(const SiteId& site, msg::Control message);

  // Numbers the event, saves it with the job's row, and passes it to the job's watchers.
  void tell(Job& job, JobEvent event);
  // The detail is kept as prose (common/base/prose.h).
  void audit(std::string actor, std::string action, std::string object,
             std::string_view detail = {});
  // The clock of its deadline.
  void stop_clock(Job& job);
  void start_clock(Job& job);
  // Moves the job along the transition table and saves it. A missing row is a bug.
  void move(Job& job, JobTrigger trigger, std::string reason);

 private:
  Effects& effects_;
};

}  // namespace entente::broker
