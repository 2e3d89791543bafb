#include "tests/unit/broker_core/scenario.h"

#include <algorithm>
#include <iterator>

#include "tests/unit/broker_core/committed.h"

namespace entente::broker {

const Digest Scenario::kSpecDigest = blob(250);

BlobId blob(std::uint8_t number) {
  BlobId id;
  id.bytes.fill(number);
  return id;
}

JobSpec small_spec(std::uint32_t rounds) {
  JobSpec spec;
  spec.name = "lung";
  spec.rounds = rounds;
  spec.deadline = std::chrono::hours(1);
  spec.stall_window = std::chrono::minutes(5);
  spec.model.input = {4};
  spec.model.layers = {LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{2}}}}};
  spec.train.dataset = "scans";
  return spec;
}

SiteAdvert advert(const std::string& dataset, Shape shape, std::uint32_t classes) {
  SiteAdvert advert;
  advert.datasets = {{dataset, "idx", 640, std::move(shape), classes}};
  advert.slots = 2;
  advert.version = "0.1.0";
  return advert;
}

Identity identity(Role role, const std::string& name) {
  return {ConsortiumId::literal("health"), role, name};
}

TaskKey key(const JobId& job, Round round, TaskKind kind, const std::string& site,
            Attempt attempt) {
  return {job, round, kind, SiteId::literal(site), attempt};
}

static void append(Effects& effects, Effects more) {
  std::move(more.rows.begin(), more.rows.end(), std::back_inserter(effects.rows));
  std::move(more.actions.begin(), more.actions.end(), std::back_inserter(effects.actions));
}

Effects Scenario::on(const Event& event) {
  auto effects = core.step(event, now);
  store.write(effects.rows);
  for (const auto& action : effects.actions) {
    expect_committed(store, action);
  }
  return effects;
}

Effects Scenario::hear(SessionId session, msg::Control message) {
  return on(MessageReceived{session, std::move(message), kSpecDigest});
}

Effects Scenario::wait(Millis by) {
  const auto until = now.monotonic + by;
  Effects effects;
  for (auto due = core.next_wakeup(); due && *due < until; due = core.next_wakeup()) {
    append(effects, sleep(std::max(*due, now.monotonic) - now.monotonic));
  }
  append(effects, sleep(until - now.monotonic));
  return effects;
}

Effects Scenario::sleep(Millis by) {
  now.monotonic += by;
  now.unix_ms += by.count();
  return on(Tick{});
}

Effects Scenario::restart() {
  core = BrokerCore({"hub", "0.1.0"}, store.snapshot(), now);
  auto effects = core.resume(now);
  store.write(effects.rows);
  return effects;
}

SessionId Scenario::open(Role role, const std::string& name) {
  on(SessionOpened{++last_session, identity(role, name)});
  return last_session;
}

Effects Scenario::hello(SessionId session, std::uint64_t instance) {
  msg::Hello hello;
  hello.version = "0.1.0";
  hello.instance = instance;
  return hear(session, hello);
}

SessionId Scenario::connect(const std::string& site, const SiteAdvert& what,
                            std::uint64_t instance) {
  const auto session = open(Role::site, site);
  hello(session, instance);
  hear(session, msg::Advert{what});
  return session;
}

SessionId Scenario::connect(Role role, const std::string& name) {
  const auto session = open(role, name);
  hello(session);
  return session;
}

Effects Scenario::ask(SessionId session, msg::RequestBody body) {
  return hear(session, msg::Request{++last_request, std::move(body)});
}

msg::ReplyBody Scenario::answer(SessionId session, msg::RequestBody body) {
  const auto replies = sent<msg::Reply>(ask(session, std::move(body)), session);
  EXPECT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies.at(0).id, last_request);
  return replies.at(0).body;
}

Refusal Scenario::refusal(SessionId session, msg::RequestBody body) {
  const auto reply = answer(session, std::move(body));
  EXPECT_TRUE(std::holds_alternative<Refusal>(reply));
  return std::get<Refusal>(reply);
}

JobId Scenario::submit(const JobSpec& spec) {
  const auto reply = answer(connect(Role::coordinator, "alice"), msg::SubmitJob{spec, {}});
  EXPECT_TRUE(std::holds_alternative<JobSummary>(reply));
  return std::get<JobSummary>(reply).id;
}

Effects Scenario::accept(SessionId site, const JobId& job) {
  return hear(site, msg::JobReply{job, kSpecDigest, std::nullopt});
}

Effects Scenario::decline(SessionId site, const JobId& job, const std::string& words) {
  return hear(site, msg::JobReply{job, kSpecDigest, Refusal{"policy_denies", words, "", {}}});
}

Effects Scenario::announce(SessionId site, const TaskKey& key, std::optional<BlobId> result,
                           std::uint64_t examples) {
  TaskResult what{result, result ? 200U : 0U, examples, 10, {{"loss", 0.5}}};
  return hear(site, msg::ResultAnnounce{key, std::move(what)});
}

Effects Scenario::deliver(SessionId site, const TaskKey& key, const BlobId& update,
                          std::uint64_t examples) {
  announce(site, key, update, examples);
  return arrive(key, update);
}

Effects Scenario::arrive(const TaskKey& key, const BlobId& update) {
  return on(UpdateArrived{"site/" + key.site.str(), update, 1.0});
}

Effects Scenario::merged(const JobId& job, Round round, const BlobId& model,
                         std::optional<BlobId> server_state) {
  return on(MergeFinished{job, round, MergedModel{model, 300, server_state, 600}});
}

JobSpec RunningJob::three_site_spec() {
  auto spec = small_spec();
  spec.sites.min = 3;
  spec.sites.quorum = 2;
  return spec;
}

RunningJob::RunningJob(JobSpec spec) : id(submit(spec)) {
  for (const auto site : {east, north, south}) {
    accept(site, id);
  }
  deliver(east, key(id, 0, TaskKind::initialize, "east"), blob(100));
}

TaskKey RunningJob::train(const std::string& site, Round round, Attempt attempt) const {
  return key(id, round, TaskKind::train, site, attempt);
}

}  // namespace entente::broker
