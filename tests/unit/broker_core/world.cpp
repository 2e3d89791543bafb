#include "tests/unit/broker_core/world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "tests/unit/broker_core/committed.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

constexpr std::size_t kStepsMax = 2000;

// Stands for a digest: different texts, different blobs.
BlobId blob_of(const std::string& text) {
  BlobId id;
  std::mt19937_64 bytes(std::hash<std::string>{}(text));
  for (auto& byte : id.bytes) {
    byte = static_cast<std::uint8_t>(bytes());
  }
  return id;
}

std::string describe(const StartMerge& merge) {
  auto text = fmt::format("round {} of {}", merge.round, merge.model.short_hex());
  for (const auto& input : merge.updates) {
    text += fmt::format(" {}={}*{}", input.site.str(), input.update.short_hex(), input.weight);
  }
  return text;
}

}  // namespace

const JobId World::kJob = JobId::literal("lung-1");

JobSpec World::spec() {
  auto spec = small_spec(3);
  spec.sites.min = 3;
  spec.evaluate = EvaluateSpec{"scans", 2};
  return spec;
}

World::World(std::uint64_t seed) : random_(seed) {
  for (const auto* site : {"east", "north", "south"}) {
    sites_[site] = {};
  }
}

void World::run(std::optional<std::size_t> crash_step, Crash crash) {
  start();
  while (!under_way_.empty()) {
    ASSERT_LT(++steps_, kStepsMax) << "the job does not end";
    const Event event = take_next();
    now_.monotonic += Millis(1);
    now_.unix_ms += 1;
    const auto effects = core_->step(event, now_);
    commit(effects);
    const bool crashes = steps_ == crash_step;
    if (!crashes || crash == Crash::after_speaking) {
      carry_out(effects);
    }
    if (crashes) {
      end_process();
      start();
    }
  }
  const auto* job = store_.job(kJob);
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->state, JobState::completed) << job->reason;
}

Event World::take_next() {
  const auto sender =
      std::next(under_way_.begin(), static_cast<std::ptrdiff_t>(random_() % under_way_.size()));
  Event event = std::move(sender->second.front());
  sender->second.pop_front();
  if (sender->second.empty()) {
    under_way_.erase(sender);
  }
  return event;
}

void World::start() {
  core_.emplace(BrokerInfo{"hub", "0.1.0"}, store_.snapshot(), now_);
  const auto effects = core_->resume(now_);
  commit(effects);
  carry_out(effects);
  connect_everybody();
}

void World::end_process() {
  under_way_.clear();
  core_.reset();
}

void World::connect_everybody() {
  for (auto& [name, site] : sites_) {
    site.session = ++last_session_;
    say(name, SessionOpened{site.session, identity(Role::site, name)});
    say(name, site.session, msg::Hello{});
    say(name, site.session, msg::Advert{advert()});
    for (const auto& [task, result] : site.outbox) {
      say(name, site.session, msg::ResultAnnounce{task, result});
    }
  }
  coordinator_ = ++last_session_;
  say("alice", SessionOpened{coordinator_, identity(Role::coordinator, "alice")});
  say("alice", coordinator_, msg::Hello{});
  if (store_.job(kJob) == nullptr) {
    // A job for a broker that knows no site would be refused: everybody connects first.
    std::deque<Event> in_order;
    for (const auto& [name, queue] : under_way_) {
      in_order.insert(in_order.end(), queue.begin(), queue.end());
    }
    under_way_.clear();
    under_way_["alice"] = std::move(in_order);
    say("alice", coordinator_, msg::Request{1, msg::SubmitJob{spec(), {}}});
  }
  say("alice", coordinator_, msg::Request{2, msg::WatchJob{kJob, seen_.size()}});
}

void World::commit(const Effects& effects) {
  store_.write(effects.rows);
  for (const auto& action : effects.actions) {
    expect_committed(store_, action);
  }
}

void World::carry_out(const Effects& effects) {
  for (const auto& action : effects.actions) {
    std::visit([this](const auto& one) { handle(one); }, action);
  }
}

void World::say(const std::string& from, Event event) {
  under_way_[from].push_back(std::move(event));
}

void World::say(const std::string& from, SessionId session, msg::Control message) {
  say(from, MessageReceived{session, std::move(message), Scenario::kSpecDigest});
}

void World::handle(const Send& send) {
  if (const auto* update = std::get_if<msg::JobUpdate>(&send.message)) {
    see(update->events);
    return;
  }
  for (const auto& [name, site] : sites_) {
    if (site.session == send.session) {
      std::visit([&, to = name](const auto& message) { hear(to, message); }, send.message);
      return;
    }
  }
}

void World::handle(const StartMerge& merge) {
  const auto text = describe(merge);
  if (std::find(merges_.begin(), merges_.end(), text) == merges_.end()) {
    merges_.push_back(text);
  }
  say("merges", MergeFinished{merge.job, merge.round, MergedModel{blob_of(text), 300}});
}

void World::handle(const SendEvents& query) {
  const auto& events = store_.events(query.summary.id);
  see({events.begin() + static_cast<std::ptrdiff_t>(query.after_seq),
       events.begin() + static_cast<std::ptrdiff_t>(query.up_to_seq)});
}

void World::see(const std::vector<JobEvent>& events) {
  for (const auto& event : events) {
    seen_.push_back(event.seq);
  }
}

void World::hear(const std::string& site, const msg::JobOffer& offer) {
  say(site, sites_.at(site).session, msg::JobReply{offer.job, offer.spec_digest, std::nullopt});
}

void World::hear(const std::string& name, const msg::TaskOffer& offer) {
  auto& site = sites_.at(name);
  const auto& task = offer.order.key;
  TaskResult result{std::nullopt, 0, 100 + name.size(), 10, {{"loss", 1.0 / (task.round + 1)}}};
  if (task.kind != TaskKind::evaluate) {
    result.blob = blob_of(fmt::format("{} {} {}", offer.order.seed, task.round,
                                      offer.order.model ? offer.order.model->hex() : ""));
    result.blob_bytes = 200;
  }
  site.outbox.emplace(task, result);
  say(name, site.session, msg::ResultAnnounce{task, result});
}

void World::hear(const std::string& site, const msg::ResultGrant& grant) {
  say(site, UpdateArrived{"site/" + site, grant.blob, 1.0});
}

void World::hear(const std::string& site, const msg::ResultVerdict& verdict) {
  EXPECT_TRUE(!verdict.refusal || verdict.refusal->code == "stale") << verdict.refusal->message;
  sites_.at(site).outbox.erase(verdict.key);
}

}  // namespace entente::broker
