// A database that an earlier version of the broker has written is opened by today's: its rows are
// still there, and legal.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include <string>

#include "broker/store/audit_chain.h"
#include "broker/store/broker_store.h"
#include "broker/store/consistency.h"
#include "broker/store/schema.h"
#include "common/storage/database.h"
#include "common/storage/statements.h"
#include "common/wire/job_codec.h"

namespace entente::broker {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

const JobId kRunning = JobId::literal("lung-1");
const JobId kMatching = JobId::literal("lung-2");

BlobId blob(std::uint8_t number) {
  BlobId id;
  id.bytes.fill(number);
  return id;
}

std::string literal(const BlobId& id) { return "X'" + id.hex() + "'"; }

std::string literal(const wire::Bytes& bytes) {
  std::string text = "X'";
  for (const char byte : bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return text + "'";
}

JobSpec spec() {
  JobSpec spec;
  spec.name = "lung";
  spec.rounds = 3;
  spec.sites.min = 2;
  spec.deadline = std::chrono::hours(1);
  spec.stall_window = std::chrono::minutes(5);
  spec.model.input = {4};
  spec.model.layers = {LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{2}}}}};
  spec.train.dataset = "scans";
  return spec;
}

// Two jobs in the words of version 1: one in its second round, with north's update, and one that
// looks for sites.
std::string rows() {
  constexpr auto kRows = R"sql(
INSERT INTO sites (site, instance, advert, last_seen_unix_ms) VALUES
  ('north', 7, {advert}, 1000), ('south', 8, {advert}, 1000);
INSERT INTO jobs (job, coordinator, spec, spec_digest, state, reason, submitted_unix_ms,
                  last_event_seq) VALUES
  ('lung-1', 'alice', {spec}, {digest}, 'running', '', 2000, 4),
  ('lung-2', 'alice', {spec}, {digest}, 'matching', 'looking for sites', 9000, 1);
INSERT INTO parts (job, site, enrolment, reason, updates_accepted, bytes_out, tensors_out, examples,
                   told_closed) VALUES
  ('lung-1', 'north', 'accepted', '', 2, 128, 4, 100, 0),
  ('lung-1', 'south', 'accepted', '', 1, 64, 2, 300, 0),
  ('lung-2', 'north', 'declined', 'not this one', 0, 0, 0, 0, 0),
  ('lung-2', 'south', 'offered', '', 0, 0, 0, 0, 0);
INSERT INTO rounds (job, round, state, updates, train_metrics, evaluate_metrics, model, model_bytes)
VALUES
  ('lung-1', 0, 'done', 0, '{{}}', '{{}}', {m0}, 64),
  ('lung-1', 1, 'done', 2, '{{"loss":0.5}}', '{{}}', {m1}, 64),
  ('lung-1', 2, 'training', 0, '{{}}', '{{}}', NULL, 0);
INSERT INTO tasks (job, round, kind, site, attempt, state, blob, blob_bytes, examples, steps,
                   metrics, reason) VALUES
  ('lung-1', 0, 'initialize', 'north', 1, 'done', {m0}, 64, 0, 0, '{{}}', ''),
  ('lung-1', 1, 'train', 'north', 1, 'done', {u1}, 64, 100, 10, '{{"loss":0.5}}', ''),
  ('lung-1', 1, 'train', 'south', 1, 'done', {u2}, 64, 300, 30, '{{"loss":0.5}}', ''),
  ('lung-1', 2, 'train', 'north', 1, 'done', {u3}, 64, 100, 10, '{{"loss":0.4}}', ''),
  ('lung-1', 2, 'train', 'south', 1, 'pending', NULL, 0, 0, 0, '{{}}', '');
INSERT INTO models (job, version, blob, bytes, published_unix_ms, spec_digest, strategy, parent)
VALUES
  ('lung-1', 0, {m0}, 64, 3000, {digest}, 'initialize', NULL),
  ('lung-1', 1, {m1}, 64, 5000, {digest}, 'fedavg', {m0});
INSERT INTO contributions (job, version, site, blob, examples, weight) VALUES
  ('lung-1', 1, 'north', {u1}, 100, 0.25), ('lung-1', 1, 'south', {u2}, 300, 0.75);
INSERT INTO events (job, seq, unix_ms, kind, round, site, text, metrics, examples, bytes) VALUES
  ('lung-1', 1, 2000, 'submitted', 0, '', 'lung-1 submitted by alice', '{{}}', 0, 0),
  ('lung-1', 2, 4000, 'update_accepted', 1, 'north', 'north sent its update', '{{}}', 100, 64),
  ('lung-1', 3, 4500, 'update_accepted', 1, 'south', 'south sent its update', '{{}}', 300, 64),
  ('lung-1', 4, 6000, 'update_accepted', 2, 'north', 'north sent its update', '{{}}', 100, 64),
  ('lung-2', 1, 9000, 'submitted', 0, '', 'lung-2 submitted by alice', '{{}}', 0, 0);
)sql";
  using fmt::arg;
  return fmt::format(kRows, arg("advert", literal(wire::encode(SiteAdvert{}))),
                     arg("spec", literal(wire::encode_canonical(spec()))),
                     arg("digest", literal(wire::spec_digest(spec()))), arg("m0", literal(blob(1))),
                     arg("m1", literal(blob(2))), arg("u1", literal(blob(3))),
                     arg("u2", literal(blob(4))), arg("u3", literal(blob(5))));
}

// What was done, as every version has written it into the chain.
void append_audit(Database& database) {
  Statements statements(database.sql());
  AuditChain chain(statements);
  const auto add = [&](const std::string& action, const std::string& object,
                       const std::string& detail) {
    chain.append(AuditRow{3000, "broker", action, object, detail});
  };
  add("job.submit", "job/lung-1", wire::spec_digest(spec()).hex());
  add("job.submit", "job/lung-2", wire::spec_digest(spec()).hex());
  add("update.accept", "job/lung-1/0", "site/north initialize " + blob(1).hex());
  add("model.publish", "model/lung-1@0", blob(1).hex());
  add("update.accept", "job/lung-1/1", "site/north train " + blob(3).hex());
  add("update.accept", "job/lung-1/1", "site/south train " + blob(4).hex());
  add("model.publish", "model/lung-1@1", blob(2).hex());
  add("update.accept", "job/lung-1/2", "site/north train " + blob(5).hex());
}

class Migration : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "entente-migration-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The database as the version of the parameter has left it, opened by today's code.
  BrokerStore open_old() {
    {
      auto old = Database::open(folder_ / "broker.db", kStoreApplicationId,
                                Migrations(kStoreMigrations).first(GetParam()));
      EXPECT_TRUE(old);
      old->sql().exec(rows());
      append_audit(*old);
    }
    auto store = BrokerStore::open(folder_ / "broker.db");
    EXPECT_TRUE(store) << store.error().message;
    return *std::move(store);
  }

  fs::path folder_;
};

TEST_P(Migration, KeepsEveryRow) {
  auto store = open_old();
  const auto snapshot = store.load();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_EQ(snapshot->sites.size(), 2U);
  ASSERT_EQ(snapshot->jobs.size(), 2U);
  EXPECT_EQ(snapshot->jobs[0].state, JobState::running);
  EXPECT_EQ(snapshot->jobs[0].spec, spec());
  EXPECT_EQ(snapshot->jobs[1].state, JobState::matching);
  EXPECT_EQ(snapshot->parts.size(), 4U);
  EXPECT_EQ(snapshot->rounds.size(), 3U);
  EXPECT_EQ(snapshot->tasks.size(), 5U);
  EXPECT_EQ(store.events(kRunning, 0, 100).size(), 4U);
  EXPECT_EQ(store.models(std::nullopt, std::nullopt, "").size(), 2U);
  EXPECT_EQ(store.models(kRunning, 1, "").at(0).contributions.size(), 2U);
}

TEST_P(Migration, LeavesRowsThatContradictNoneOfTodaysRules) {
  auto store = open_old();
  EXPECT_FALSE(store.first_broken_audit_row());
  EXPECT_THAT(store.contradictions(Rules::all, 10), IsEmpty());
}

TEST_P(Migration, GivesWhoHasAcceptedAPlaceAndCountsTheDeadlineFromTheEvents) {
  auto store = open_old();
  const auto snapshot = store.load();
  ASSERT_TRUE(snapshot);
  for (const auto& part : snapshot->parts) {
    EXPECT_EQ(part.has_place, part.job == kRunning) << part.job.str() << " " << part.site.str();
    EXPECT_FALSE(part.silent);
  }
  EXPECT_EQ(snapshot->jobs[0].elapsed, Millis(4000)) << "from 2000 to the last event";
  EXPECT_FALSE(snapshot->sites[0].draining);
  EXPECT_FALSE(snapshot->rounds[1].server_state);
}

TEST_P(Migration, LeavesADatabaseThatCanBeWrittenTo) {
  auto store = open_old();
  auto job = store.load()->jobs[0];
  job.reason = "written by today's code";
  store.write(std::vector<Row>{job});
  EXPECT_EQ(store.load()->jobs[0].reason, job.reason);
}

// Every version, those that came after places too.
class AnyMigration : public Migration {};

TEST_P(AnyMigration, KeepsTheRowsOfJobsAndLetsThemBePaused) {
  auto store = open_old();
  auto snapshot = store.load();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  ASSERT_EQ(snapshot->jobs.size(), 2U);
  EXPECT_EQ(snapshot->jobs[0].spec, spec());
  EXPECT_EQ(snapshot->rounds.size(), 3U);
  snapshot->jobs[0].state = JobState::paused;
  store.write(std::vector<Row>{snapshot->jobs[0]});
  EXPECT_EQ(store.load()->jobs[0].state, JobState::paused);
  EXPECT_THAT(store.contradictions(Rules::audited, 10), IsEmpty());
  EXPECT_EQ(store.models(kRunning, 1, "").at(0).origin, "");
}

INSTANTIATE_TEST_SUITE_P(FromVersion, AnyMigration, testing::Values<std::size_t>(1, 2, 3, 4, 5),
                         testing::PrintToStringParamName());

// Those that knew no places yet.
INSTANTIATE_TEST_SUITE_P(FromVersion, Migration, testing::Values<std::size_t>(1, 2),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace entente::broker
