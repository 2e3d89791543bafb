// The broker's database: what was written is what is read, by the next process as well.
#include "broker/store/broker_store.h"

#include <gmock/gmock.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <tuple>

#include "broker/store/consistency.h"
#include "common/storage/database.h"

namespace entente::broker {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const JobId kJob = JobId::literal("lung-1");
const SiteId kNorth = SiteId::literal("north");
const SiteId kSouth = SiteId::literal("south");

BlobId blob(std::uint8_t number) {
  BlobId id;
  id.bytes.fill(number);
  return id;
}

auto fields(const SiteRow& row) {
  return std::tie(row.site, row.instance, row.advert, row.last_seen_unix_ms);
}
auto fields(const JobRow& row) {
  return std::tie(row.job, row.coordinator, row.spec, row.spec_digest, row.state, row.reason,
                  row.submitted_unix_ms, row.last_event_seq);
}
auto fields(const PartRow& row) {
  return std::tie(row.job, row.site, row.enrolment, row.reason, row.updates_accepted, row.bytes_out,
                  row.tensors_out, row.examples, row.told_closed, row.last_round,
                  row.steps_per_second, row.evaluate_metrics, row.evaluation_examples,
                  row.evaluated_round);
}
auto fields(const RoundRow& row) {
  return std::tie(row.job, row.round, row.state, row.updates, row.train_metrics,
                  row.evaluate_metrics, row.model, row.model_bytes, row.model_removed,
                  row.evaluated, row.evaluated_at, row.evaluation_examples, row.at_sites,
                  row.model_of);
}
auto fields(const TaskRow& row) {
  return std::tie(row.key, row.state, row.result, row.reason, row.steps, row.merged_in);
}

SiteRow site_row(const SiteId& site) {
  SiteRow row{site, std::numeric_limits<std::uint64_t>::max(), {}, 1'700'000'000'001};
  row.advert.datasets = {{"scans", "idx", 640, {1, 28, 28}, 10}, {"slides", "idx", 3, {}, 2}};
  row.advert.slots = 3;
  row.advert.threads_per_slot = 2;
  row.advert.version = "0.1.0";
  return row;
}

JobRow job_row(JobState state = JobState::running, const JobId& job = kJob) {
  JobRow row;
  row.job = job;
  row.coordinator = "alice";
  row.spec.name = "lung";
  row.spec.rounds = 3;
  row.spec.seed = std::numeric_limits<std::uint64_t>::max();
  row.spec.deadline = std::chrono::hours(1);
  row.spec.stall_window = std::chrono::minutes(5);
  row.spec.sites = {2, 3, 1, {kNorth}, {kSouth}};
  row.spec.model.input = {1, 28, 28};
  row.spec.model.layers = {LayerSpec{"flatten", "flat", {}},
                           LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{10}}}}};
  row.spec.train.dataset = "scans";
  row.spec.evaluate = EvaluateSpec{"slides", 2};
  row.spec_digest = blob(7);
  row.state = state;
  row.reason = "waits for \"Köln\"\nand others";
  row.submitted_unix_ms = 1'700'000'000'002;
  return row;
}

RoundRow round_row(Round round, RoundState state, std::optional<BlobId> model = {}) {
  RoundRow row{kJob, round, state, 2, {{"loss", 0.1 + 0.2}}, {{"accuracy", 1e300}}, model, 300};
  row.evaluated = round == 1;
  row.evaluated_at = 3;
  row.evaluation_examples = 1'000;
  return row;
}

TaskRow task_row(const SiteId& site, TaskState state, std::optional<BlobId> update = {},
                 Attempt attempt = 1, TaskKind kind = TaskKind::train, Round round = 1) {
  return {{kJob, round, kind, site, attempt},
          state,
          {update, 200, 640, 20, {{"loss", 0.5}}, {{"count", {640}}, {"loss", {0.1 + 0.2, 3}}}},
          "why"};
}

ModelView model(Round version, const BlobId& id, const JobId& job = kJob) {
  ModelView model;
  model.job = job;
  model.version = version;
  model.blob = id;
  model.bytes = 300;
  model.published_unix_ms = 1'700'000'000'000 + version;
  model.spec_digest = blob(7);
  model.strategy = "fedavg";
  if (version > 0) {
    model.parent = blob(100);
    model.server_state = blob(200);
    model.contributions = {{kNorth, blob(1), 640, 0.1 + 0.2, 20}, {kSouth, blob(2), 1, 0.7, 5}};
  }
  model.evaluate_metrics = {{"accuracy", 1e300}};
  return model;
}

AuditRow audit_row(const std::string& object) {
  return {1'700'000'000'000, "coordinator/alice", "job.submit", object, "one:two"};
}

class BrokerStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "entente-broker-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    file_ = folder_ / "broker.db";
  }
  void TearDown() override { fs::remove_all(folder_); }

  BrokerStore open() {
    auto store = BrokerStore::open(file_);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(store).value();
  }
  // The process ends, the next one starts.
  void reopen(BrokerStore& store) {
    { const auto closed = std::move(store); }
    store = open();
  }
  // What somebody with the file and no broker could do.
  void edit(const std::string& statements) {
    SQLite::Database raw(file_.string(), SQLite::OPEN_READWRITE);
    raw.exec(statements);
  }
  static void write(BrokerStore& store, std::vector<Row> rows) { store.write(rows); }
  static void write_job(BrokerStore& store) {
    write(store, {site_row(kNorth), site_row(kSouth), job_row()});
  }

  fs::path folder_;
  fs::path file_;
};

TEST_F(BrokerStoreTest, ReadsBackEveryRowAfterTheProcessHasEnded) {
  auto store = open();
  PartRow part{kJob, kNorth, Enrolment::accepted, "none", 3, 1ULL << 40, 4, 640, true};
  part.last_round = 7;
  part.steps_per_second = 0.1 + 0.2;
  auto round = round_row(0, RoundState::done, blob(100));
  round.model_removed = true;
  auto task = task_row(kNorth, TaskState::done, blob(1));
  task.steps = 20;
  write(store, {site_row(kNorth), site_row(kSouth), job_row(), part, round,
                round_row(1, RoundState::training), task, task_row(kSouth, TaskState::failed),
                task_row(kSouth, TaskState::pending, {}, 2)});
  reopen(store);
  const auto snapshot = store.load();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  ASSERT_EQ(snapshot->sites.size(), 2U);
  EXPECT_EQ(fields(snapshot->sites[0]), fields(site_row(kNorth)));
  ASSERT_EQ(snapshot->jobs.size(), 1U);
  EXPECT_EQ(fields(snapshot->jobs[0]), fields(job_row()));
  ASSERT_EQ(snapshot->parts.size(), 1U);
  EXPECT_EQ(fields(snapshot->parts[0]), fields(part));
  ASSERT_EQ(snapshot->rounds.size(), 2U);
  EXPECT_EQ(fields(snapshot->rounds[0]), fields(round));
  EXPECT_EQ(fields(snapshot->rounds[1]), fields(round_row(1, RoundState::training)));
  ASSERT_EQ(snapshot->tasks.size(), 3U);
  EXPECT_EQ(fields(snapshot->tasks[0]), fields(task));
  EXPECT_EQ(fields(snapshot->tasks[1]), fields(task_row(kSouth, TaskState::failed)));
  EXPECT_EQ(snapshot->tasks[2].key.attempt, 2U);
}

TEST_F(BrokerStoreTest, ALaterRowOfTheSameKeyReplacesTheEarlier) {
  auto store = open();
  write_job(store);
  write(store, {task_row(kNorth, TaskState::pending), round_row(1, RoundState::training),
                PartRow{kJob, kNorth, Enrolment::offered, "", 0, 0, 0, 0, false}});
  auto site = site_row(kNorth);
  site.instance = 5;
  auto job = job_row();
  job.reason = "";
  job.last_event_seq = 9;
  const PartRow part{kJob, kNorth, Enrolment::declined, "no", 1, 2, 3, 4, true};
  const auto round = round_row(1, RoundState::merging);
  const auto task = task_row(kNorth, TaskState::done, blob(1));
  write(store, {site, job, part, round, task});
  const auto snapshot = store.load().value();
  EXPECT_EQ(fields(snapshot.sites[0]), fields(site));
  EXPECT_EQ(fields(snapshot.jobs[0]), fields(job));
  EXPECT_EQ(fields(snapshot.parts.at(0)), fields(part));
  EXPECT_EQ(fields(snapshot.rounds.at(0)), fields(round));
  EXPECT_EQ(fields(snapshot.tasks.at(0)), fields(task));
}

TEST_F(BrokerStoreTest, OfAModelThatIsNoLongerKeptOnlyTheReceiptStays) {
  auto store = open();
  write_job(store);
  auto round = round_row(1, RoundState::done, blob(101));
  write(store, {round_row(0, RoundState::done, blob(100)), round, ModelRow{model(0, blob(100))},
                ModelRow{model(1, blob(101))}});
  round.model_removed = true;
  write(store, {round});
  EXPECT_THAT(store.named_blobs(), ElementsAre(blob(100)));
  EXPECT_EQ(store.described_blobs().size(), 1U);
  auto expected = model(1, blob(101));
  expected.removed = true;
  EXPECT_THAT(store.models(kJob, 1, ""), ElementsAre(expected));
}

TEST_F(BrokerStoreTest, StatesOfTheLiveProcessComeBackAsPending) {
  auto store = open();
  write_job(store);
  write(store, {task_row(kNorth, TaskState::running), task_row(kSouth, TaskState::uploading)});
  const auto snapshot = store.load().value();
  EXPECT_EQ(snapshot.tasks.size(), 2U);
  for (const auto& task : snapshot.tasks) {
    EXPECT_EQ(task.state, TaskState::pending);
  }
}

TEST_F(BrokerStoreTest, TasksOfEndedJobsAreNotLoaded) {
  auto store = open();
  write_job(store);
  write(store, {task_row(kNorth, TaskState::done, blob(1)), job_row(JobState::completed)});
  EXPECT_THAT(store.load()->tasks, IsEmpty());
  EXPECT_EQ(store.load()->jobs.size(), 1U);
}

TEST_F(BrokerStoreTest, EventsAreReadInPagesAfterASequenceNumber) {
  auto store = open();
  write_job(store);
  std::vector<JobEvent> events;
  for (std::uint64_t seq = 1; seq <= 5; ++seq) {
    events.push_back({seq,
                      1'700'000'000'000,
                      JobEventKind::update_accepted,
                      1,
                      "north",
                      "sent it",
                      {{"loss", 1.0 / 3}},
                      640,
                      200});
    write(store, {EventRow{kJob, events.back()}});
  }
  reopen(store);
  EXPECT_EQ(store.events(kJob, 0, 100), events);
  EXPECT_THAT(store.events(kJob, 2, 2), ElementsAre(events[2], events[3]));
  EXPECT_THAT(store.events(kJob, 5, 100), IsEmpty());
  EXPECT_THAT(store.events(kJob, 0, 0), IsEmpty());
  EXPECT_THAT(store.events(JobId::literal("skin-1"), 0, 100), IsEmpty());
}

TEST_F(BrokerStoreTest, ModelsComeWithTheirReceiptNewestLast) {
  auto store = open();
  write_job(store);
  const auto first = model(0, blob(100));
  const auto second = model(1, blob(101));
  write(store, {round_row(1, RoundState::done, blob(101)), ModelRow{second},
                round_row(0, RoundState::done, blob(100)), ModelRow{first}});
  reopen(store);
  EXPECT_THAT(store.models(std::nullopt, std::nullopt, ""), ElementsAre(first, second));
  EXPECT_THAT(store.models(kJob, Round{0}, ""), ElementsAre(first));
  EXPECT_THAT(store.models(kJob, Round{2}, ""), IsEmpty());
  EXPECT_THAT(store.models(JobId::literal("skin-1"), std::nullopt, ""), IsEmpty());
  EXPECT_THAT(store.models(std::nullopt, std::nullopt, "alice"), ElementsAre(first, second));
  EXPECT_THAT(store.models(std::nullopt, std::nullopt, "bob"), IsEmpty());
}

TEST_F(BrokerStoreTest, NamesModelsAndTheUpdatesOfRoundsNotYetMerged) {
  auto store = open();
  write_job(store);
  write(store, {round_row(0, RoundState::done, blob(100)), ModelRow{model(0, blob(100))},
                round_row(1, RoundState::merging), task_row(kNorth, TaskState::done, blob(1)),
                task_row(kSouth, TaskState::done, blob(2))});
  EXPECT_THAT(store.named_blobs(), UnorderedElementsAre(blob(100), blob(1), blob(2)));
  write(store, {round_row(1, RoundState::done, blob(101)), ModelRow{model(1, blob(101))}});
  EXPECT_THAT(store.named_blobs(), UnorderedElementsAre(blob(100), blob(101)));
}

// Its own round is done, and the one that makes a version of it has not begun.
TEST_F(BrokerStoreTest, NamesAnUpdateUntilTheVersionThatItGoesIntoIsThere) {
  auto store = open();
  write_job(store);
  auto first = task_row(kNorth, TaskState::done, blob(1));
  auto second = task_row(kSouth, TaskState::done, blob(2));
  first.merged_in = 1;
  second.merged_in = 2;
  second.accepted_seq = 7;
  write(store,
        {round_row(1, RoundState::done, blob(101)), ModelRow{model(1, blob(101))}, first, second});
  reopen(store);
  EXPECT_EQ(store.load()->tasks.at(1).merged_in, 2U);
  EXPECT_EQ(store.load()->tasks.at(1).accepted_seq, 7U);
  EXPECT_THAT(store.named_blobs(), UnorderedElementsAre(blob(101), blob(2)));
  EXPECT_EQ(store.described_blobs().size(), 2U);
  write(store, {round_row(2, RoundState::merging)});
  EXPECT_THAT(store.named_blobs(), UnorderedElementsAre(blob(101), blob(2)));
  write(store, {round_row(2, RoundState::done, blob(102)), ModelRow{model(2, blob(102))}});
  EXPECT_THAT(store.named_blobs(), UnorderedElementsAre(blob(101), blob(102)));
}

TEST_F(BrokerStoreTest, KeepsARowOfAMatrix) {
  auto store = open();
  write_job(store);
  auto round = round_row(1, RoundState::done, blob(101));
  round.model_of = "north";
  round.at_sites[kNorth] = {{{"accuracy", 0.9}, {"loss", 0.25}}, 120};
  round.at_sites[kSouth] = {{{"accuracy", 0.5}}, 7};
  write(store, {round, ModelRow{model(1, blob(101))}});
  reopen(store);
  EXPECT_EQ(fields(store.load()->rounds.at(0)), fields(round));
}

TEST_F(BrokerStoreTest, NamesTheNewestServerStateOfAJobThatGoesOn) {
  auto store = open();
  write_job(store);
  auto first = round_row(1, RoundState::done, blob(101));
  first.server_state = blob(201);
  first.server_state_bytes = 600;
  write(store, {first, ModelRow{model(1, blob(101))}, round_row(2, RoundState::training)});
  reopen(store);
  EXPECT_EQ(store.load()->rounds.at(0).server_state, blob(201));
  EXPECT_EQ(store.load()->rounds.at(0).server_state_bytes, 600U);
  EXPECT_THAT(store.named_blobs(), UnorderedElementsAre(blob(101), blob(201)));
  auto second = round_row(2, RoundState::done, blob(102));
  second.server_state = blob(202);
  write(store, {second, ModelRow{model(2, blob(102))}});
  EXPECT_THAT(store.named_blobs(), UnorderedElementsAre(blob(101), blob(102), blob(202)));
  write(store, {job_row(JobState::completed)});
  EXPECT_THAT(store.named_blobs(), UnorderedElementsAre(blob(101), blob(102)));
}

TEST_F(BrokerStoreTest, TheUpdatesOfAnEndedJobAreNamedNoMore) {
  auto store = open();
  write_job(store);
  write(store, {round_row(1, RoundState::training), task_row(kNorth, TaskState::done, blob(1))});
  EXPECT_THAT(store.named_blobs(), ElementsAre(blob(1)));
  write(store, {job_row(JobState::aborted)});
  EXPECT_THAT(store.named_blobs(), IsEmpty());
}

TEST_F(BrokerStoreTest, ASiteContributesOnceToARoundWhateverItsAttempts) {
  auto store = open();
  write_job(store);
  write(store, {task_row(kNorth, TaskState::done, blob(1))});
  write(store, {task_row(kNorth, TaskState::done, blob(1))});
  write(store, {task_row(kNorth, TaskState::done, {}, 1, TaskKind::evaluate)});
  EXPECT_THROW(write(store, {task_row(kNorth, TaskState::done, blob(2), 2)}), SQLite::Exception);
  EXPECT_EQ(store.load()->tasks.size(), 2U);
}

TEST_F(BrokerStoreTest, ABatchIsWrittenWholeOrNotAtAll) {
  auto store = open();
  write_job(store);
  const PartRow of_nobody{kJob, SiteId::literal("nowhere"), Enrolment::offered, "", 0, 0, 0, 0, {}};
  EXPECT_THROW(write(store, {task_row(kNorth, TaskState::pending), of_nobody}), SQLite::Exception);
  EXPECT_THAT(store.load()->tasks, IsEmpty());
  write(store, {task_row(kNorth, TaskState::pending)});
  EXPECT_EQ(store.load()->tasks.size(), 1U);
}

TEST_F(BrokerStoreTest, ARoundThatHasTrainedIsNotDoneWithoutItsModel) {
  auto store = open();
  write_job(store);
  write(store, {task_row(kNorth, TaskState::done, blob(1)), round_row(1, RoundState::done)});
  EXPECT_THAT(store.contradictions(Rules::all, 100),
              testing::Contains(testing::HasSubstr("it is done and has no model")));
}

// A cross-evaluation whose models were all left out.
TEST_F(BrokerStoreTest, ARoundWhoseUpdatesAreAllLostMayBeDoneWithoutAModel) {
  auto store = open();
  write_job(store);
  write(store, {task_row(kNorth, TaskState::lost), round_row(1, RoundState::done)});
  EXPECT_THAT(store.contradictions(Rules::all, 100),
              testing::Not(testing::Contains(testing::HasSubstr("it is done and has no model"))));
}

TEST_F(BrokerStoreTest, ANumberThatCannotBeReadBackIsNotWritten) {
  auto store = open();
  write_job(store);
  auto round = round_row(1, RoundState::training);
  round.train_metrics["loss"] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(write(store, {round}), std::exception);
  EXPECT_TRUE(store.load());
}

// Five audited actions by two processes.
class AuditTest : public BrokerStoreTest {
 protected:
  void SetUp() override {
    BrokerStoreTest::SetUp();
    auto store = open();
    write(store, {audit_row("job/lung-1"), audit_row("job/lung-2"), audit_row("job/lung-3")});
    reopen(store);
    write(store, {audit_row("job/lung-4"), audit_row("job/lung-5")});
  }
  std::optional<std::int64_t> first_broken_after(const std::string& statements) {
    edit(statements);
    return open().first_broken_audit_row();
  }
};

TEST_F(AuditTest, AnUntouchedChainIsWhole) {
  EXPECT_EQ(open().first_broken_audit_row(), std::nullopt);
}

TEST_F(AuditTest, AnEmptyChainIsWhole) {
  EXPECT_EQ(first_broken_after("DELETE FROM audit"), std::nullopt);
}

TEST_F(AuditTest, AChangedRowIsFound) {
  EXPECT_EQ(first_broken_after("UPDATE audit SET detail = 'other' WHERE seq = 3"), 3);
}

TEST_F(AuditTest, EveryFieldIsCovered) {
  for (const auto* field :
       {"unix_ms = unix_ms + 1", "actor = 'operator/olga'", "action = 'job.abort'",
        "object = 'job/skin-1'", "detail = ''", "previous = zeroblob(32)", "hash = zeroblob(32)"}) {
    SCOPED_TRACE(field);
    edit("CREATE TABLE kept AS SELECT * FROM audit");
    EXPECT_EQ(first_broken_after(std::string("UPDATE audit SET ") + field + " WHERE seq = 2"), 2);
    edit("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept");
  }
  EXPECT_EQ(open().first_broken_audit_row(), std::nullopt);
}

TEST_F(AuditTest, TextThatMovesBetweenFieldsIsFound) {
  EXPECT_EQ(first_broken_after("UPDATE audit SET object = object || ':one', detail = 'two'"
                               " WHERE seq = 4"),
            4);
}

TEST_F(AuditTest, ARemovedRowIsFoundAtItsSuccessor) {
  EXPECT_EQ(first_broken_after("DELETE FROM audit WHERE seq = 2"), 3);
}

TEST_F(AuditTest, RemovedFirstRowsAreFound) {
  EXPECT_EQ(first_broken_after("DELETE FROM audit WHERE seq < 3"), 3);
}

TEST_F(AuditTest, TheChainStaysWritableAfterABreakWasFound) {
  edit("UPDATE audit SET actor = 'operator/olga' WHERE seq = 1");
  auto store = open();
  EXPECT_EQ(store.first_broken_audit_row(), 1);
  write(store, {audit_row("job/lung-6")});
  EXPECT_EQ(store.first_broken_audit_row(), 1);
}

TEST_F(BrokerStoreTest, AnotherProgramsDatabaseIsRefused) {
  {
    SQLite::Database foreign(file_.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    foreign.exec("PRAGMA application_id = 42; CREATE TABLE mail (id INTEGER)");
  }
  const auto store = BrokerStore::open(file_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, "database_foreign");
}

TEST_F(BrokerStoreTest, ALaterVersionsDatabaseIsRefused) {
  { const auto store = open(); }
  edit("PRAGMA user_version = 1000");
  const auto store = BrokerStore::open(file_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, "database_foreign");
}

TEST_F(BrokerStoreTest, ASecondBrokerOnTheSameFileIsRefused) {
  const auto first = open();
  const auto second = BrokerStore::open(file_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "database_busy");
}

TEST_F(BrokerStoreTest, AFileThatIsNoDatabaseIsRefused) {
  std::ofstream(file_) << std::string(8192, 'x');
  const auto store = BrokerStore::open(file_);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().code, HasSubstr("database_"));
}

TEST_F(BrokerStoreTest, ARowThatDoesNotDecodeIsRefusedAsCorrupt) {
  {
    auto store = open();
    write_job(store);
  }
  for (const auto* damage :
       {"UPDATE sites SET advert = x'0011'", "UPDATE jobs SET spec = x'0011'",
        "UPDATE sites SET advert = zeroblob(0)",
        "INSERT INTO rounds (job, round, state, updates, train_metrics, evaluate_metrics, model, "
        "model_bytes) VALUES ('lung-1', 1, 'training', 0, 'null', '{}',"
        " NULL, 0)",
        "INSERT INTO rounds (job, round, state, updates, train_metrics, evaluate_metrics, model, "
        "model_bytes) VALUES ('lung-1', 1, 'training', 0,"
        " '{\"loss\": null}', '{}', NULL, 0)"}) {
    SCOPED_TRACE(damage);
    const auto whole = folder_ / "whole.db";
    fs::copy_file(file_, whole, fs::copy_options::overwrite_existing);
    edit(damage);
    const auto snapshot = open().load();
    ASSERT_FALSE(snapshot);
    EXPECT_EQ(snapshot.error().code, "database_corrupt");
    for (const auto* side_file : {"-wal", "-shm"}) {
      fs::remove(file_.string() + side_file);
    }
    fs::copy_file(whole, file_, fs::copy_options::overwrite_existing);
  }
}

}  // namespace
}  // namespace entente::broker
