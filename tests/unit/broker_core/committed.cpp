#include "tests/unit/broker_core/committed.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "broker/core/kinds.h"

namespace entente::broker {
namespace {

class Committed {
 public:
  explicit Committed(const MemoryStore& store) : store_(store) {}

  void operator()(const Send& send) {
    std::visit([this](const auto& message) { check(message); }, send.message);
  }
  void operator()(const CloseSession&) {}
  void operator()(const Revoke&) {}
  void operator()(const SendEventPage&) {}
  void operator()(const SendModels&) {}
  void operator()(const SendAudit&) {}

  void operator()(const SendEvents& query) {
    EXPECT_NE(store_.job(query.summary.id), nullptr) << "events of a job without a row";
  }
  void operator()(const GrantPut& grant) {
    if (!grant.peer.starts_with("site/")) {
      return;  // files_test.cpp says to whom a file is granted
    }
    EXPECT_TRUE(std::any_of(store_.tasks().begin(), store_.tasks().end(),
                            [&](const auto& entry) {
                              return "site/" + entry.first.site.str() == grant.peer &&
                                     entry.second.state == TaskState::pending;
                            }))
        << grant.peer << " may put a blob for no task";
  }
  void operator()(const GrantGet& grant) {
    EXPECT_TRUE(store_.is_model(grant.blob) || store_.is_server_state(grant.blob) ||
                store_.is_file(grant.blob))
        << "a grant for what has no row";
  }
  void operator()(const StartMerge& merge) {
    const auto* round = store_.round(merge.job, merge.round);
    ASSERT_NE(round, nullptr);
    EXPECT_EQ(round->state, RoundState::merging);
    EXPECT_TRUE(store_.is_model(merge.model));
    for (const auto& input : merge.updates) {
      EXPECT_TRUE(std::any_of(store_.tasks().begin(), store_.tasks().end(),
                              [&](const auto& entry) {
                                return version_of(entry.second) == merge.round &&
                                       entry.first.site == input.site &&
                                       entry.second.state == TaskState::done &&
                                       entry.second.result.blob == input.update;
                              }))
          << "the update of " << input.site.str() << " has no row";
    }
  }
  void operator()(const DropBlob& drop) {
    EXPECT_FALSE(store_.is_model(drop.blob)) << "a model is dropped";
    EXPECT_FALSE(store_.is_file(drop.blob)) << "a coordinator's file is dropped";
    for (const auto& [key, task] : store_.tasks()) {
      const auto* round = store_.round(key.job, version_of(task));
      const bool is_merged = round != nullptr && round->state == RoundState::done;
      EXPECT_FALSE(task.result.blob == drop.blob && !is_merged &&
                   !is_terminal(store_.job(key.job)->state))
          << "an update that is not merged yet is dropped";
    }
  }

 private:
  template <class Message>
  void check(const Message&) {}  // says nothing about a row

  void check(const msg::JobOffer& offer) {
    const auto* job = store_.job(offer.job);
    ASSERT_NE(job, nullptr);
    EXPECT_FALSE(is_terminal(job->state));
    EXPECT_EQ(job->spec_digest, offer.spec_digest);
  }
  void check(const msg::TaskOffer& offer) {
    const auto* task = store_.task(offer.order.key);
    ASSERT_NE(task, nullptr) << "a task without a row is offered";
    EXPECT_EQ(task->state, TaskState::pending);
    EXPECT_TRUE(!offer.order.model || store_.is_model(*offer.order.model));
  }
  void check(const msg::ResultVerdict& verdict) {
    const auto* task = store_.task(verdict.key);
    if (!verdict.refusal) {
      ASSERT_NE(task, nullptr);
      EXPECT_EQ(task->state, TaskState::done) << "accepted before its row was";
    } else if (verdict.refusal->code != "stale" && verdict.refusal->code != "conflict") {
      ASSERT_NE(task, nullptr);
      EXPECT_EQ(task->state, TaskState::failed) << "refused before its row was";
    }
  }
  void check(const msg::Reply& reply) {
    if (const auto* summary = std::get_if<JobSummary>(&reply.body)) {
      const auto* job = store_.job(summary->id);
      ASSERT_NE(job, nullptr) << "a job without a row is confirmed";
      EXPECT_EQ(job->state, summary->state);
    }
  }
  void check(const msg::JobUpdate& update) {
    const auto& committed = store_.events(update.summary.id);
    for (const auto& event : update.events) {
      ASSERT_LE(event.seq, committed.size()) << "an event without a row is shown";
      EXPECT_EQ(committed[event.seq - 1], event);
    }
  }

  const MemoryStore& store_;
};

}  // namespace

void expect_committed(const MemoryStore& store, const Action& action) {
  std::visit(Committed(store), action);
}

}  // namespace entente::broker
