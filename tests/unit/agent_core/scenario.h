// Drives an AgentCore by hand: events in, effects out, a clock that moves when told to.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "site-agent/core/agent_core.h"

namespace entente::agent {

inline BlobId blob(std::uint8_t number) {
  BlobId id;
  id.bytes.fill(number);
  return id;
}

inline JobSpec small_spec() {
  JobSpec spec;
  spec.name = "lung";
  spec.rounds = 3;
  spec.deadline = std::chrono::hours(1);
  spec.stall_window = std::chrono::minutes(5);
  spec.model.input = {4};
  spec.model.layers = {LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{2}}}}};
  spec.train.dataset = "scans";
  return spec;
}

struct Scenario {
  explicit Scenario(AgentSettings with = defaults(), Recovered recovered = {})
      : settings(std::move(with)), core(settings, std::move(recovered)) {}

  static AgentSettings defaults() {
    AgentSettings settings;
    settings.site = SiteId::literal("north");
    settings.instance = 77;
    settings.advert.datasets = {{"scans", "idx", 640, {4}, 2}};
    settings.advert.slots = 1;
    settings.advert.version = "0.1.0";
    settings.policy = {{"alice"}, {"scans"}, {"train"}};
    settings.jitter_seed = 1;
    return settings;
  }

  Effects on(const Event& event) { return core.step(event, now); }
  Effects hear(msg::Control message) { return on(event::Received{std::move(message)}); }
  void advance(Millis by) {
    now.monotonic += by;
    now.unix_ms += by.count();
  }
  // To the moment the core asked to be woken at.
  Effects sleep() {
    EXPECT_TRUE(core.wake_at().has_value());
    now.monotonic = std::max(now.monotonic, *core.wake_at());
    return on(event::Woke{});
  }

  Effects connect() {
    on(event::SessionOpened{});
    return hear(msg::Welcome{});
  }
  Effects start() {
    on(event::Started{});
    return connect();
  }
  Effects lose_session() { return on(event::SessionEnded{{"cut", "the line is cut", "", {}}}); }
  Effects reconnect() {
    sleep();
    return connect();
  }

  static msg::JobOffer offer(const std::string& job = "lung-1", std::string coordinator = "alice") {
    return {JobId::literal(job), std::move(coordinator), small_spec(), blob(200)};
  }
  // Offer, trainer, promise: the job is accepted; returns its trainer.
  TrainerId enrol(const std::string& job = "lung-1");

  static TaskOrder train(Round round, Attempt attempt = 1, const std::string& job = "lung-1") {
    TaskOrder order;
    order.key = {JobId::literal(job), round, TaskKind::train, SiteId::literal("north"), attempt};
    order.seed = 1000 + round;
    order.model = blob(static_cast<std::uint8_t>(round));
    order.model_bytes = 100;
    return order;
  }
  static TaskOrder initialize(const std::string& job = "lung-1") {
    TaskOrder order;
    order.key = {JobId::literal(job), 0, TaskKind::initialize, SiteId::literal("north"), 1};
    order.seed = 5;
    return order;
  }
  // From the offer of a task to its trainer's work.
  Effects begin(const TaskOrder& order);
  // From the trainer's answer to the announcement.
  Effects complete(const TaskOrder& order, TrainerId trainer, BlobId update);

  Now now{Monotonic{Millis(1'000'000)}, 1'700'000'000'000};
  AgentSettings settings;
  AgentCore core;
};

template <class T>
std::vector<T> all(const Effects& effects) {
  std::vector<T> found;
  for (const Effect& effect : effects) {
    if (const T* it = std::get_if<T>(&effect)) {
      found.push_back(*it);
    }
  }
  return found;
}

template <class M>
std::vector<M> sent(const Effects& effects) {
  std::vector<M> found;
  for (const auto& send : all<effect::Send>(effects)) {
    if (const M* it = std::get_if<M>(&send.message)) {
      found.push_back(*it);
    }
  }
  return found;
}

template <class T>
bool has(const Effects& effects) {
  return !all<T>(effects).empty();
}

inline TrainerId Scenario::enrol(const std::string& job) {
  const auto starts = all<effect::StartTrainer>(hear(offer(job)));
  EXPECT_EQ(starts.size(), 1U);
  const TrainerId trainer = starts.at(0).trainer;
  EXPECT_EQ(sent<msg::JobReply>(on(event::TrainerPrepared{trainer})).size(), 1U);
  return trainer;
}

inline Effects Scenario::begin(const TaskOrder& order) {
  Effects effects = hear(msg::TaskOffer{order});
  if (has<effect::Download>(effects)) {
    effects = on(event::DownloadEnded{*order.model, std::nullopt});
  }
  return effects;
}

inline Effects Scenario::complete(const TaskOrder& order, TrainerId trainer, BlobId update) {
  const Effects stored = on(event::TrainerFinished{trainer, 640, 20, {{"loss", 0.5}}});
  EXPECT_TRUE(has<effect::StoreOutput>(stored));
  return on(event::OutputStored{order.key, update, 4096});
}

}  // namespace entente::agent
