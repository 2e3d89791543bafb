// `entente-broker check`: what is wrong with a data directory is said, and what is not is not.
#include "broker/service/check.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "broker/service/recovery.h"
#include "broker/store/broker_store.h"
#include "common/blob/blob_store.h"
#include "common/crypto/digest.h"
#include "common/tensors/safetensors.h"
#include "common/wire/job_codec.h"

namespace entente::broker {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const JobId kJob = JobId::literal("lung-1");
const SiteId kNorth = SiteId::literal("north");

class Check : public testing::Test {
 protected:
  Check() {
    auto name = (fs::temp_directory_path() / "entente-check-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Check() override { fs::remove_all(folder_); }

  BrokerStore open() { return *BrokerStore::open(folder_ / "broker.db"); }

  void write(const std::vector<Row>& rows) { open().write(rows); }

  BlobId store_blob(const std::string& bytes) {
    BlobStore blobs(folder_ / "blobs");
    const auto file = blobs.scratch_path("made");
    std::ofstream(file) << bytes;
    return blobs.adopt(file);
  }

  // A job in its first round, with north's update accepted; its model and update are on the disk.
  void write_running_job() {
    JobRow job;
    job.job = kJob;
    job.coordinator = "alice";
    job.spec.name = "lung";
    job.spec.rounds = 1;
    job.spec.model.input = {4};
    job.spec.model.layers = {LayerSpec{"linear", "fc", {{"out_features", std::int64_t{2}}}}};
    job.spec.train.dataset = "scans";
    job.spec_digest = wire::spec_digest(job.spec);
    job.state = JobState::running;
    job.last_event_seq = 1;
    model_ = store_blob("a model");
    update_ = store_blob("an update");
    RoundRow first{kJob, 0, RoundState::done, 0, {}, {}, model_, 7};
    RoundRow second{kJob, 1, RoundState::merging, 1, {}, {}, std::nullopt, 0};
    TaskRow task{{kJob, 1, TaskKind::train, kNorth, 1}, TaskState::done, {}, ""};
    task.result.blob = update_;
    task.result.blob_bytes = 9;
    task.result.examples = 10;
    ModelView model;
    model.job = kJob;
    model.blob = model_;
    model.bytes = 7;
    model.spec_digest = job.spec_digest;
    model.strategy = "initialize";
    JobEvent event;
    event.seq = 1;
    event.kind = JobEventKind::update_accepted;
    event.round = 1;
    event.site = "north";
    event.examples = 10;
    event.bytes = 9;
    PartRow part{kJob, kNorth, Enrolment::accepted, "", 1, 9, 1, 10, false};
    write({SiteRow{kNorth, 1, {}, 1}, job, part, first, second, task, ModelRow{model},
           EventRow{kJob, event},
           AuditRow{1, "coordinator/alice", "job.submit", "job/lung-1", job.spec_digest.hex()},
           AuditRow{2, "broker", "model.publish", "model/lung-1@0", model_.hex()},
           AuditRow{3, "broker", "update.accept", "job/lung-1/1",
                    "site/north train 10 examples " + update_.hex()}});
  }

  void overwrite(const BlobId& blob, const std::string& bytes) {
    std::ofstream(BlobStore(folder_ / "blobs").path(blob), std::ios::trunc) << bytes;
  }

  CheckReport report() { return *check_data_directory(folder_); }

  fs::path folder_;
  BlobId model_;
  BlobId update_;
};

TEST_F(Check, RefusesAFolderWithoutADatabaseAndMakesNone) {
  const auto checked = check_data_directory(folder_);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, "database_missing");
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Check, RefusesAFolderInUseAndSaysWhatToDo) {
  const auto store = open();
  const auto checked = check_data_directory(folder_);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, "database_busy");
  EXPECT_THAT(checked.error().hint, HasSubstr("stop the broker"));
}

TEST_F(Check, FindsNothingWrongWithARunningJob) {
  write_running_job();
  const auto found = report();
  EXPECT_THAT(found.problems, IsEmpty());
  EXPECT_THAT(found.notes, IsEmpty());
  EXPECT_EQ(found.jobs, 1U);
  EXPECT_EQ(found.models, 1U);
  EXPECT_EQ(found.updates, 1U);
}

TEST_F(Check, NamesDamagedMissingAndShortenedBlobsByWhatTheyAre) {
  write_running_job();
  overwrite(model_, "A model");
  overwrite(update_, "short");
  const auto damaged = report();
  EXPECT_THAT(damaged.problems, Contains(HasSubstr("model/lung-1@0: its blob")));
  EXPECT_THAT(damaged.problems, Contains(HasSubstr("has 5 bytes, 9 are recorded")));
  BlobStore(folder_ / "blobs").remove(model_);
  EXPECT_THAT(report().problems, Contains(HasSubstr("is missing")));
}

TEST_F(Check, TellsOfOrphansAndPartsOnlyAsNotes) {
  write_running_job();
  const auto orphan = store_blob("nobody's");
  const auto part = sha256(std::string_view("under way"));
  std::ofstream(folder_ / "blobs/partial" / part.hex()) << "und";
  const auto found = report();
  EXPECT_THAT(found.problems, IsEmpty());
  EXPECT_THAT(found.notes, Contains(HasSubstr(orphan.hex())));
  EXPECT_THAT(found.notes, Contains(HasSubstr("an unfinished upload, 3 bytes so far")));
}

TEST_F(Check, FindsRowsThatTheAuditLogDenies) {
  write_running_job();
  TaskRow other{{kJob, 1, TaskKind::train, kNorth, 1}, TaskState::done, {}, ""};
  other.result.blob = model_;  // not what was accepted
  other.result.blob_bytes = 9;
  other.result.examples = 10;
  write({other});
  EXPECT_THAT(report().problems, Contains(HasSubstr("such a result was never accepted")));
}

TEST_F(Check, FindsImpossibleStates) {
  write_running_job();
  TaskRow pending{{kJob, 1, TaskKind::train, kNorth, 2}, TaskState::pending, {}, ""};
  JobRow job = open().load()->jobs.front();
  job.state = JobState::completed;
  write({pending, job});
  const auto found = report();
  EXPECT_THAT(found.problems, Contains("job/lung-1: it has ended and still has an open task"));
  EXPECT_THAT(found.problems,
              Contains("job/lung-1: it has run all of its rounds and still has an open one"));
}

TEST_F(Check, PrintsOneJsonObjectAndOneLinePerProblem) {
  write_running_job();
  overwrite(model_, "A model");
  const auto json = nlohmann::json::parse(to_json(report(), "data"));
  EXPECT_EQ(json["sound"], false);
  EXPECT_EQ(json["problems"].size(), 1U);
  EXPECT_THAT(to_text(report(), "data"), HasSubstr("data: 1 problems; 1 jobs"));
}

TEST_F(Check, AStartPutsADamagedUpdateAsideAndOpensItsTaskAgain) {
  write_running_job();
  overwrite(update_, "AN UPDATE");
  auto store = open();
  BlobStore blobs(folder_ / "blobs");
  FileInbox inbox(folder_ / "brought");
  auto snapshot = *store.load();
  ASSERT_TRUE(recover(store, blobs, inbox, snapshot, 99));
  EXPECT_FALSE(blobs.has(update_));
  EXPECT_TRUE(fs::exists(blobs.quarantine_path(update_)));
  EXPECT_TRUE(blobs.has(model_));
  for (const auto& read : {snapshot, *store.load()}) {
    EXPECT_EQ(read.tasks.front().state, TaskState::pending);
    EXPECT_FALSE(read.tasks.front().result.blob);
    EXPECT_EQ(read.rounds.back().state, RoundState::training);
    EXPECT_EQ(read.parts.front().updates_accepted, 0U);
  }
  EXPECT_EQ(store.events(kJob, 1, 10).front().kind, JobEventKind::task_lost);
  EXPECT_FALSE(store.first_broken_audit_row());
}

// What a merge would use must be what was accepted, to the bit.
TEST_F(Check, AStartRefusesAcceptedExamplesOrASpecThatHaveChanged) {
  write_running_job();
  for (const char* change :
       {"UPDATE tasks SET examples = 11",
        "UPDATE jobs SET spec = CAST(replace(CAST(spec AS TEXT), 'lung', 'lunh') AS BLOB)"}) {
    fs::copy_file(folder_ / "broker.db", folder_ / "sound.db");
    {
      SQLite::Database disk((folder_ / "broker.db").string(), SQLite::OPEN_READWRITE);
      ASSERT_EQ(disk.exec(change), 1);
    }
    {
      auto store = open();
      BlobStore blobs(folder_ / "blobs");
      FileInbox inbox(folder_ / "brought");
      auto snapshot = *store.load();
      const auto recovered = recover(store, blobs, inbox, snapshot, 99);
      ASSERT_FALSE(recovered) << change;
      EXPECT_EQ(recovered.error().code, "database_corrupt");
    }
    fs::remove(folder_ / "broker.db-wal");
    fs::rename(folder_ / "sound.db", folder_ / "broker.db");
  }
  EXPECT_THAT(report().problems, IsEmpty());
}

TEST_F(Check, TakesAcceptedUpdatesOfEarlierVersionsAsTheyAre) {
  write_running_job();
  TaskRow task{{kJob, 0, TaskKind::initialize, kNorth, 1}, TaskState::done, {}, ""};
  task.result.blob = model_;
  write({task, AuditRow{4, "broker", "update.accept", "job/lung-1/0",
                        "site/north initialize " + model_.hex()}});
  EXPECT_THAT(report().problems, IsEmpty());
}

// A job that awaits a model file, which its coordinator has brought.
class CoordinatorsFile : public Check {
 protected:
  // With `values` in the file, of the ten that the model has.
  void write_waiting_job(std::int64_t values, const std::string& sender = "coordinator/alice") {
    BlobStore blobs(folder_ / "brought" / sender);
    const auto path = blobs.scratch_path("brought");
    TensorFileWriter writer(
        path, {{TensorInfo{"fc.weight", {2, 4}}, TensorInfo{"fc.bias", {values}}}}, {});
    writer.append(std::span<const float>(std::vector<float>(8 + static_cast<std::size_t>(values))));
    const auto bytes = writer.close();
    file_ = blobs.adopt(path);
    JobRow job;
    job.job = kJob;
    job.coordinator = "alice";
    job.spec.name = "lung";
    job.spec.model.input = {4};
    job.spec.model.layers = {LayerSpec{"linear", "fc", {{"out_features", std::int64_t{2}}}}};
    job.spec.train.dataset = "scans";
    job.spec.init = InitialModel{};
    job.spec.init->which = InitialModel::Which::file;
    job.spec.init->file = file_;
    job.spec.init->bytes = bytes;
    job.spec_digest = wire::spec_digest(job.spec);
    job_ = job;
    write(
        {job, AuditRow{1, "coordinator/alice", "job.submit", "job/lung-1", job.spec_digest.hex()}});
  }

  Snapshot recovered() {
    auto store = open();
    BlobStore blobs(folder_ / "blobs");
    FileInbox inbox(folder_ / "brought");
    auto snapshot = *store.load();
    EXPECT_TRUE(recover(store, blobs, inbox, snapshot, 5));
    return snapshot;
  }

  BlobId file_;
  JobRow job_;
};

TEST_F(CoordinatorsFile, ThatWasStoredAndNotRecordedIsRecordedAtTheNextStart) {
  write_waiting_job(2);
  EXPECT_THAT(report().notes, Contains(HasSubstr("coordinator/alice has brought it")));
  ASSERT_EQ(recovered().files.size(), 1U);
  EXPECT_EQ(open().load()->files.at(0).blob, file_);
  EXPECT_THAT(open().named_blobs(), Contains(file_));
  const auto after = report();
  EXPECT_THAT(after.problems, IsEmpty());
  EXPECT_EQ(after.files, 1U);
}

TEST_F(CoordinatorsFile, ThatIsSomebodyElsesIsNotTheJobs) {
  write_waiting_job(2, "coordinator/bob");
  EXPECT_THAT(recovered().files, IsEmpty());
}

TEST_F(CoordinatorsFile, ThatIsNotWhatTheJobNeedsIsNotRecorded) {
  write_waiting_job(3);
  EXPECT_THAT(recovered().files, IsEmpty());
  EXPECT_THAT(open().named_blobs(), IsEmpty()) << "nobody has it yet";
}

TEST_F(CoordinatorsFile, IsNamedUntilItsJobHasEnded) {
  write_waiting_job(2);
  (void)recovered();
  job_.state = JobState::aborted;
  write({job_});
  EXPECT_THAT(open().named_blobs(), IsEmpty());
}

TEST_F(CoordinatorsFile, ARowThatTheAuditLogDoesNotKnowIsFound) {
  write_waiting_job(2);
  write({FileRow{kJob, file_, job_.spec.init->bytes}});
  EXPECT_THAT(report().problems, Contains(HasSubstr("its coordinator has never brought")));
}

}  // namespace
}  // namespace entente::broker
