// A broker, its sites and a watching coordinator, run to the end by the messages they exchange.
//
// The sites do what site agents promise: they keep a result until its verdict, and announce it
// again after a reconnect. The broker can be ended at any step, before or after its last words have
// left. Everything follows from `seed`, which picks whose message arrives next.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "broker/core/broker_core.h"
#include "tests/unit/broker_core/memory_store.h"

namespace entente::broker {

enum class Crash {
  before_speaking,  // the rows are committed, the actions are not carried out
  after_speaking,   // what was sent has arrived, its answers are lost
};

class World {
 public:
  explicit World(std::uint64_t seed);

  // Runs until the job has ended; the broker process ends once at `crash_step`. Fails the test when
  // the job does not end.
  void run(std::optional<std::size_t> crash_step = std::nullopt,
           Crash crash = Crash::before_speaking);

  [[nodiscard]] std::size_t steps() const { return steps_; }
  [[nodiscard]] const MemoryStore& store() const { return store_; }
  // Every StartMerge, in order, those that were repeated after a crash left out.
  [[nodiscard]] const std::vector<std::string>& merges() const { return merges_; }
  // The numbers of the events that the coordinator was shown, in order.
  [[nodiscard]] const std::vector<std::uint64_t>& seen() const { return seen_; }

  static JobSpec spec();
  static const JobId kJob;

 private:
  struct SimulatedSite {
    SessionId session = 0;
    std::map<TaskKey, TaskResult> outbox;
  };

  void start();
  void end_process();
  void connect_everybody();
  [[nodiscard]] Event take_next();
  void commit(const Effects& effects);
  void carry_out(const Effects& effects);
  void say(const std::string& from, Event event);
  void say(const std::string& from, SessionId session, msg::Control message);

  void handle(const Send& send);
  void handle(const StartMerge& merge);
  void handle(const SendEvents& query);
  template <class Other>
  void handle(const Other&) {}

  void hear(const std::string& site, const msg::JobOffer& offer);
  void hear(const std::string& site, const msg::TaskOffer& offer);
  void hear(const std::string& site, const msg::ResultGrant& grant);
  void hear(const std::string& site, const msg::ResultVerdict& verdict);
  template <class Message>
  void hear(const std::string&, const Message&) {}
  void see(const std::vector<JobEvent>& events);

  std::mt19937_64 random_;
  Now now_{Monotonic{Millis(1'000'000)}, 1'700'000'000'000};
  MemoryStore store_;
  std::optional<BrokerCore> core_;
  SessionId last_session_ = 0;
  SessionId coordinator_ = 0;
  std::map<std::string, SimulatedSite> sites_;
  std::map<std::string, std::deque<Event>> under_way_;  // by sender, in order
  std::size_t steps_ = 0;
  std::vector<std::string> merges_;
  std::vector<std::uint64_t> seen_;
};

}  // namespace entente::broker
