#include "site-agent/journal/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "common/wire/job_codec.h"
#include "site-agent/journal/ledger.h"

namespace entente::agent {
namespace {

class JournalFile : public ::testing::Test {
 protected:
  JournalFile() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "entente-journal-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~JournalFile() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::filesystem::path path() const { return folder_ / "journal.db"; }
  [[nodiscard]] Journal open() const {
    auto journal = Journal::open(path());
    EXPECT_TRUE(journal.has_value()) << (journal ? "" : journal.error().message);
    return std::move(journal).value();
  }

 private:
  std::filesystem::path folder_;
};

BlobId blob(std::uint8_t number) {
  BlobId id;
  id.bytes.fill(number);
  return id;
}

Promise a_promise() {
  Promise promise;
  promise.job = JobId::literal("lung-1");
  promise.coordinator = "alice";
  promise.spec.name = "lung";
  promise.spec.rounds = 3;
  promise.spec.seed = ~std::uint64_t{0};
  promise.spec.deadline = std::chrono::hours(1);
  promise.spec.stall_window = std::chrono::minutes(5);
  promise.spec.model.input = {4};
  promise.spec.model.layers = {LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{2}}}}};
  promise.spec.train.dataset = "scans";
  promise.spec_digest = wire::spec_digest(promise.spec);
  return promise;
}

OutboxEntry a_result(Round round, Attempt attempt = 1) {
  OutboxEntry entry;
  entry.order.key = {JobId::literal("lung-1"), round, TaskKind::train, SiteId::literal("north"),
                     attempt};
  entry.order.seed = ~std::uint64_t{0} - round;
  entry.order.model = blob(1);
  entry.order.model_bytes = 100;
  entry.order.steps = round;
  entry.result.blob = blob(101);
  entry.result.blob_bytes = 4096;
  entry.result.examples = 640;
  entry.result.steps = 20;
  entry.result.metrics = {{"accuracy", 0.1}, {"loss", 1.0 / 3.0}};
  entry.result.sums = {{"count", {640}}, {"loss", {0.1 + 0.2}}};
  return entry;
}

SiteState a_state(Round round, bool settled = true) {
  return {JobId::literal("lung-1"), round, blob(151), blob(171), settled};
}

TEST_F(JournalFile, GivesPromisesAndResultsBackAfterARestartToTheBit) {
  OutboxEntry without_blob = a_result(2);
  without_blob.order.key.kind = TaskKind::evaluate;
  without_blob.result.blob.reset();
  without_blob.result.blob_bytes = 0;
  {
    Journal journal = open();
    journal.commit({effect::SavePromise{a_promise()}, effect::SaveResult{a_result(1)}}, 1);
    journal.commit({effect::SaveResult{without_blob}}, 2);
  }
  const auto recovery = open().recover();
  EXPECT_THAT(recovery.known.promises, ::testing::ElementsAre(a_promise()));
  EXPECT_THAT(recovery.known.outbox, ::testing::ElementsAre(a_result(1), without_blob));
  EXPECT_THAT(recovery.damaged, ::testing::IsEmpty());
}

TEST_F(JournalFile, ForgetsAPromiseWithItsResults) {
  Journal journal = open();
  journal.commit({effect::SavePromise{a_promise()}, effect::SaveResult{a_result(1)}}, 1);
  journal.commit({effect::ForgetPromise{a_promise().job}}, 2);
  const auto recovery = journal.recover();
  EXPECT_TRUE(recovery.known.promises.empty());
  EXPECT_TRUE(recovery.known.outbox.empty());
}

TEST_F(JournalFile, HoldsOneSiteStateForEachRoundUntilItIsDroppedOrItsJobForgotten) {
  Journal journal = open();
  journal.commit({effect::SavePromise{a_promise()}, effect::SaveSiteState{a_state(1)},
                  effect::SaveSiteState{a_state(2, false)}},
                 1);
  journal.commit({effect::SaveSiteState{a_state(2)}, effect::SaveSiteState{a_state(3, false)}}, 2);
  EXPECT_THAT(journal.recover().known.states,
              ::testing::ElementsAre(a_state(1), a_state(2), a_state(3, false)));
  journal.commit({effect::DropSiteState{a_promise().job, 1}}, 3);
  EXPECT_THAT(journal.recover().known.states,
              ::testing::ElementsAre(a_state(2), a_state(3, false)));
  journal.commit({effect::ForgetPromise{a_promise().job}}, 4);
  EXPECT_THAT(journal.recover().known.states, ::testing::IsEmpty());
}

TEST_F(JournalFile, FindsASiteStateThatTheDiskHasChanged) {
  for (const auto* change :
       {"UPDATE site_state SET settled = 1", "UPDATE site_state SET round = 2",
        "UPDATE site_state SET residual = replace(residual, '97', '96')",
        "UPDATE site_state SET residual = NULL", "UPDATE site_state SET own = NULL",
        "UPDATE site_state SET own = replace(own, 'ab', 'aa')",
        "UPDATE site_state SET seal = 'x'"}) {
    Journal journal = open();
    journal.commit({effect::SaveSiteState{a_state(1, false)}}, 1);
    SQLite::Database(path().string(), SQLite::OPEN_READWRITE).exec(change);
    const auto recovery = journal.recover();
    EXPECT_EQ(recovery.damaged.size(), 1U) << change;
    EXPECT_THAT(recovery.known.states, ::testing::IsEmpty()) << change;
  }
}

TEST_F(JournalFile, DropsExactlyOneAttempt) {
  Journal journal = open();
  journal.commit({effect::SaveResult{a_result(1, 1)}, effect::SaveResult{a_result(1, 2)}}, 1);
  journal.commit({effect::DropResult{a_result(1, 1).order.key}}, 2);
  EXPECT_THAT(journal.recover().known.outbox, ::testing::ElementsAre(a_result(1, 2)));
}

TEST_F(JournalFile, AStepIsCommittedWholeOrNotAtAll) {
  {
    Journal journal = open();
    journal.commit({effect::SavePromise{a_promise()}}, 1);
    OutboxEntry illegal = a_result(1);
    // STRICT tables refuse an INTEGER where TEXT is due; here the ledger's CHECK does the refusing.
    EXPECT_THROW(journal.commit(
                     {effect::DropResult{illegal.order.key}, effect::ForgetPromise{a_promise().job},
                      effect::RecordDeparture{illegal, Departure{99}}},
                     2),
                 std::exception);
  }
  EXPECT_EQ(open().recover().known.promises.size(), 1U);
}

TEST_F(JournalFile, KeepsTheInstallationsNumber) {
  EXPECT_EQ(open().instance(0xfedcba9876543210), 0xfedcba9876543210);
  EXPECT_EQ(open().instance(5), 0xfedcba9876543210);
}

TEST_F(JournalFile, IsHeldByOneAgentAtATime) {
  const Journal journal = open();
  const auto second = Journal::open(path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "database_busy");
}

// `change` is what a bit that flips might do: the row stays a legal one.
class DamagedJournal : public JournalFile, public ::testing::WithParamInterface<const char*> {};

TEST_P(DamagedJournal, LosesTheDamagedRowAndNoOther) {
  Journal journal = open();
  Promise other = a_promise();
  other.job = JobId::literal("lung-2");
  journal.commit({effect::SavePromise{a_promise()}, effect::SavePromise{other},
                  effect::SaveResult{a_result(1)}, effect::SaveResult{a_result(2)}},
                 1);
  {
    SQLite::Database disk(path().string(), SQLite::OPEN_READWRITE);
    ASSERT_EQ(disk.exec(GetParam()), 1);
  }
  const auto recovery = journal.recover();
  ASSERT_EQ(recovery.damaged.size(), 1U);
  const bool is_a_promise = recovery.damaged.front().starts_with("the promise");
  EXPECT_EQ(recovery.known.promises.size(), is_a_promise ? 1U : 2U);
  EXPECT_EQ(recovery.known.outbox.size(), is_a_promise ? 2U : 1U);
  EXPECT_THAT(journal.recover().damaged, ::testing::IsEmpty()) << "it is said once";
}

INSTANTIATE_TEST_SUITE_P(
    At, DamagedJournal,
    ::testing::Values("UPDATE promise SET spec = x'00ff' WHERE job = 'lung-1'",
                      "UPDATE promise SET coordinator = 'alicd' WHERE job = 'lung-1'",
                      "UPDATE outbox SET attempt = 3 WHERE round = 1",
                      "UPDATE outbox SET seed = seed + 1 WHERE round = 1",
                      "UPDATE outbox SET model = replace(model, '01', '00') WHERE round = 1",
                      "UPDATE outbox SET blob = replace(blob, '65', '64') WHERE round = 1",
                      "UPDATE outbox SET blob_bytes = 4097 WHERE round = 1",
                      "UPDATE outbox SET examples = 641 WHERE round = 1",
                      "UPDATE outbox SET steps = 21 WHERE round = 1",
                      "UPDATE outbox SET metrics = replace(metrics, '0.1', '0.0') WHERE round = 1",
                      "UPDATE outbox SET metrics = 'x' WHERE round = 1",
                      "UPDATE outbox SET seal = replace(seal, '0', '1') WHERE round = 1"));

TEST_F(JournalFile, OfAnEarlierVersionKeepsItsRows) {
  auto before_steps = a_result(1);
  before_steps.order.steps = 0;
  before_steps.result.sums.clear();
  {
    Journal journal = open();
    journal.commit({effect::SavePromise{a_promise()}, effect::SaveResult{before_steps}}, 1);
  }
  {
    SQLite::Database earlier(path().string(), SQLite::OPEN_READWRITE);
    earlier.exec(
        "ALTER TABLE promise DROP COLUMN seal; ALTER TABLE outbox DROP COLUMN seal;"
        "ALTER TABLE outbox DROP COLUMN asked_steps; ALTER TABLE outbox DROP COLUMN sums;"
        "ALTER TABLE sent DROP COLUMN sums; DROP TABLE site_state;"
        "DROP TABLE decision; DROP TABLE spent; DROP TABLE pause;"
        "PRAGMA user_version = 1");
  }
  const auto recovery = open().recover();
  EXPECT_THAT(recovery.known.promises, ::testing::ElementsAre(a_promise()));
  EXPECT_THAT(recovery.known.outbox, ::testing::ElementsAre(before_steps));
}

// A residual of before has its seal still.
TEST_F(JournalFile, TakesTheResidualsOfAnEarlierVersionForSiteStates) {
  const SiteState before{JobId::literal("lung-1"), 1, blob(151), std::nullopt, true};
  {
    Journal journal = open();
    journal.commit({effect::SaveSiteState{before}}, 1);
  }
  {
    SQLite::Database earlier(path().string(), SQLite::OPEN_READWRITE);
    earlier.exec(
        "CREATE TABLE residual (job TEXT NOT NULL, round INTEGER NOT NULL, blob TEXT NOT NULL,"
        " settled INTEGER NOT NULL, seal TEXT NOT NULL, PRIMARY KEY (job, round)) STRICT;"
        "INSERT INTO residual SELECT job, round, residual, settled, seal FROM site_state;"
        "DROP TABLE site_state; PRAGMA user_version = 6");
  }
  const auto recovery = open().recover();
  EXPECT_THAT(recovery.damaged, ::testing::IsEmpty());
  EXPECT_THAT(recovery.known.states, ::testing::ElementsAre(before));
}

Decision a_decision(bool approved) {
  return {JobId::literal("lung-1"), blob(7), approved, "rosa", "ethics vote 17", 5, 9};
}

SpentRound a_spent_round(Round round) { return {JobId::literal("lung-1"), round, "alice", 20'000}; }

TEST_F(JournalFile, RemembersDecisionsInTheirOrderRoundsAndThePause) {
  const Pause pause{"rosa", "a strange job", 5};
  {
    Journal journal = open();
    journal.commit({effect::SaveDecision{a_decision(true)}, effect::SaveDecision{a_decision(false)},
                    effect::SpendRound{a_spent_round(1)}, effect::SpendRound{a_spent_round(2)},
                    effect::SavePause{pause}},
                   1);
  }
  Journal journal = open();
  const auto recovery = journal.recover();
  EXPECT_THAT(recovery.damaged, ::testing::IsEmpty());
  EXPECT_THAT(recovery.known.decisions,
              ::testing::ElementsAre(a_decision(true), a_decision(false)));
  EXPECT_THAT(recovery.known.spent, ::testing::ElementsAre(a_spent_round(1), a_spent_round(2)));
  EXPECT_EQ(recovery.known.pause, pause);
  journal.commit({effect::ClearPause{}}, 2);
  EXPECT_FALSE(journal.recover().known.pause);
}

TEST_F(JournalFile, TakesNoApprovalFromADamagedRowAndCountsADamagedRoundAgainstTheLimits) {
  Journal journal = open();
  journal.commit({effect::SaveDecision{a_decision(false)}, effect::SpendRound{a_spent_round(1)},
                  effect::SpendRound{a_spent_round(2)}},
                 1);
  {
    SQLite::Database disk(path().string(), SQLite::OPEN_READWRITE);
    disk.exec("UPDATE decision SET word = 'approved'; UPDATE spent SET day = 1 WHERE round = 2");
  }
  const auto recovery = journal.recover();
  EXPECT_EQ(recovery.damaged.size(), 2U);
  EXPECT_THAT(recovery.known.decisions, ::testing::IsEmpty());
  EXPECT_THAT(recovery.known.spent, ::testing::ElementsAre(a_spent_round(1)));
  EXPECT_EQ(recovery.known.spent_damaged, 1U);
}

TEST_F(JournalFile, LedgerIsReadBesideARunningAgentAndOutlivesTheJob) {
  Journal journal = open();
  journal.commit({effect::SavePromise{a_promise()}}, 1);
  journal.commit({effect::RecordDeparture{a_result(1), Departure::announced}}, 10);
  journal.commit({effect::RecordDeparture{a_result(1), Departure::uploading}}, 20);
  journal.commit({effect::RecordDeparture{a_result(1), Departure::accepted}}, 30);
  journal.commit({effect::RecordDeparture{a_result(2), Departure::announced}}, 40);
  journal.commit({effect::ForgetPromise{a_promise().job}}, 50);
  const auto rows = read_ledger(path());
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].state, "accepted");
  EXPECT_EQ((*rows)[0].unix_ms, 30);
  EXPECT_EQ((*rows)[0].coordinator, "alice");
  EXPECT_EQ((*rows)[0].blob, blob(101).hex());
  EXPECT_EQ((*rows)[0].blob_bytes, 4096U);
  EXPECT_EQ((*rows)[0].metrics_json, R"({"accuracy":0.1,"loss":0.3333333333333333})");
  EXPECT_EQ((*rows)[0].sums_json, R"({"count":[640.0],"loss":[0.30000000000000004]})");
  EXPECT_EQ((*rows)[1].state, "announced");
}

TEST_F(JournalFile, LedgerIsReadAfterTheAgentHasStopped) {
  { open().commit({effect::RecordDeparture{a_result(1), Departure::accepted}}, 10); }
  EXPECT_EQ(read_ledger(path())->size(), 1U);
}

TEST_F(JournalFile, LedgerRowNeverGoesBackToAnnounced) {
  Journal journal = open();
  journal.commit({effect::RecordDeparture{a_result(1), Departure::uploading}}, 10);
  journal.commit({effect::RecordDeparture{a_result(1), Departure::announced}}, 20);
  EXPECT_EQ(read_ledger(path())->at(0).state, "uploading");
  EXPECT_EQ(read_ledger(path())->at(0).unix_ms, 10);
}

TEST_F(JournalFile, LedgerThatIsNotThereIsNamed) {
  const auto rows = read_ledger(path());
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, "journal_missing");
}

}  // namespace
}  // namespace entente::agent
