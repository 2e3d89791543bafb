// Drives a BrokerCore by hand: events in, effects out, a clock that moves when told to. The rows of
// every step go to a store from which the broker can be started again, and every action is held
// against them.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "broker/core/broker_core.h"
#include "tests/unit/broker_core/memory_store.h"

namespace entente::broker {

BlobId blob(std::uint8_t number);
JobSpec small_spec(std::uint32_t rounds = 2);
SiteAdvert advert(const std::string& dataset = "scans", Shape shape = {4},
                  std::uint32_t classes = 2);
Identity identity(Role role, const std::string& name);

struct Scenario {
  Effects on(const Event& event);
  Effects hear(SessionId session, msg::Control message);
  // Lets time pass as the shell does, with a Tick whenever one is due and one at the end.
  Effects wait(Millis by);
  // Lets time pass without the broker running, then ticks once.
  Effects sleep(Millis by);
  // The process ends and starts again with what is committed; every session is gone.
  Effects restart();

  SessionId open(Role role, const std::string& name);
  Effects hello(SessionId session, std::uint64_t instance = 1);
  // Opens a session, greets and advertises.
  SessionId connect(const std::string& site, const SiteAdvert& what = advert(),
                    std::uint64_t instance = 1);
  SessionId connect(Role role, const std::string& name);

  Effects ask(SessionId session, msg::RequestBody body);
  // Asks as `session` and returns the answer; fails the test when there is none.
  msg::ReplyBody answer(SessionId session, msg::RequestBody body);
  Refusal refusal(SessionId session, msg::RequestBody body);
  JobId submit(const JobSpec& spec);

  Effects accept(SessionId site, const JobId& job);
  Effects decline(SessionId site, const JobId& job, const std::string& words);
  Effects announce(SessionId site, const TaskKey& key, std::optional<BlobId> result,
                   std::uint64_t examples = 100);
  // Announces and uploads.
  Effects deliver(SessionId site, const TaskKey& key, const BlobId& update,
                  std::uint64_t examples = 100);
  Effects arrive(const TaskKey& key, const BlobId& update);
  Effects merged(const JobId& job, Round round, const BlobId& model,
                 std::optional<BlobId> server_state = std::nullopt);

  const Job& job(const JobId& id) const { return core.state().jobs.at(id); }
  JobState state(const JobId& id) const { return job(id).row.state; }

  static const Digest kSpecDigest;
  Now now{Monotonic{Millis(1'000'000)}, 1'700'000'000'000};
  MemoryStore store;
  BrokerCore core{{"hub", "0.1.0"}, {}, now};
  SessionId last_session = 0;
  std::uint64_t last_request = 0;
};

// A job of three sites in its first training round.
struct RunningJob : Scenario {
  explicit RunningJob(JobSpec spec = three_site_spec());
  static JobSpec three_site_spec();
  TaskKey train(const std::string& site, Round round = 1, Attempt attempt = 1) const;

  SessionId alice = connect(Role::coordinator, "alice");
  SessionId east = connect("east");
  SessionId north = connect("north");
  SessionId south = connect("south");
  JobId id;
};

TaskKey key(const JobId& job, Round round, TaskKind kind, const std::string& site,
            Attempt attempt = 1);

template <class T>
std::vector<T> all(const Effects& effects) {
  std::vector<T> found;
  for (const auto& action : effects.actions) {
    if (const auto* it = std::get_if<T>(&action)) {
      found.push_back(*it);
    }
  }
  return found;
}

// The messages of type M to `session`.
template <class M>
std::vector<M> sent(const Effects& effects, SessionId session) {
  std::vector<M> found;
  for (const auto& send : all<Send>(effects)) {
    if (const auto* it = std::get_if<M>(&send.message); it != nullptr && send.session == session) {
      found.push_back(*it);
    }
  }
  return found;
}

}  // namespace entente::broker
