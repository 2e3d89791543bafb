#include "broker/store/broker_store.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "broker/store/audit_chain.h"
#include "broker/store/consistency.h"
#include "broker/store/row_values.h"
#include "broker/store/schema.h"
#include "common/storage/database.h"
#include "common/storage/statements.h"
#include "common/wire/job_codec.h"

namespace entente::broker {
namespace {

// In one answer: with their metrics well below a control message's bound.
constexpr std::uint64_t kModelsMax = 500;

template <class Id>
Id name(std::string_view text) {
  const auto id = Id::parse(text);
  if (!id) {
    throw std::runtime_error("a name that is none: " + std::string(text));
  }
  return *id;
}

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

template <class T>
T decoded(Expected<T> value) {
  if (!value) {
    throw std::runtime_error(value.error().message);
  }
  return *std::move(value);
}

}  // namespace

class BrokerStore::Impl {
 public:
  explicit Impl(Database database)
      : database_(std::move(database)), statements_(database_.sql()), audit_(statements_) {}

  void write(std::span<const Row> rows) {
    WriteTransaction transaction(database_);
    for (const auto& row : rows) {
      std::visit([this](const auto& one) { save(one); }, row);
    }
    transaction.commit();
  }

  Snapshot load() {
    Snapshot snapshot;
    load_sites(snapshot);
    load_jobs(snapshot);
    load_parts(snapshot);
    load_rounds(snapshot);
    load_tasks(snapshot);
    load_usage(snapshot);
    load_files(snapshot);
    return snapshot;
  }

  std::vector<JobEvent> events(const JobId& job, std::uint64_t after_seq, std::size_t limit) {
    auto& query = statements_.prepare(
        "SELECT seq, unix_ms, kind, round, site, text, metrics, examples, bytes FROM events"
        " WHERE job = ? AND seq > ? ORDER BY seq LIMIT ?");
    Binder(query).text(job.str()).integer(after_seq).integer(limit);
    std::vector<JobEvent> events;
    while (query.executeStep()) {
      RowReader row(query);
      JobEvent event;
      event.seq = row.integer();
      event.unix_ms = static_cast<UnixMillis>(row.integer());
      event.kind = row.word(parse_job_event_kind);
      event.round = static_cast<Round>(row.integer());
      event.site = row.text();
      event.text = row.text();
      event.metrics = row.metrics();
      event.examples = row.integer();
      event.bytes = row.integer();
      events.push_back(std::move(event));
    }
    return events;
  }

  std::vector<ModelView> models(const std::optional<JobId>& job, std::optional<Round> version,
                                const std::string& coordinator) {
    auto& query = statements_.prepare(
        "SELECT m.job, m.version, m.blob, m.bytes, m.published_unix_ms, m.spec_digest, m.strategy,"
        " m.parent, m.server_state, m.origin, r.evaluate_metrics, r.model_removed FROM models m"
        " JOIN rounds r ON r.job = m.job AND r.round = m.version JOIN jobs j ON j.job = m.job"
        " WHERE (?1 = '' OR m.job = ?1) AND (?2 < 0 OR m.version = ?2)"
        " AND (?3 = '' OR j.coordinator = ?3)"
        " ORDER BY m.published_unix_ms DESC, m.job DESC, m.version DESC LIMIT ?4");
    Binder(query)
        .text(job ? job->str() : "")
        .integer(version ? *version : static_cast<std::uint64_t>(-1))
        .text(coordinator)
        .integer(kModelsMax);
    std::vector<ModelView> models;
    while (query.executeStep()) {
      RowReader row(query);
      ModelView model;
      model.job = name<JobId>(row.text());
      model.version = static_cast<Round>(row.integer());
      model.blob = row.required_digest();
      model.bytes = row.integer();
      model.published_unix_ms = static_cast<UnixMillis>(row.integer());
      model.spec_digest = row.required_digest();
      model.strategy = row.text();
      model.parent = row.digest();
      model.server_state = row.digest();
      model.origin = row.text();
      model.evaluate_metrics = row.metrics();
      model.removed = row.integer() != 0;
      models.push_back(std::move(model));
    }
    std::reverse(models.begin(), models.end());
    for (auto& model : models) {
      model.contributions = contributions(model.job, model.version);
    }
    return models;
  }

  std::vector<BlobId> named_blobs() {
    auto& query = statements_.prepare(
        "SELECT blob FROM kept_models UNION"
        " SELECT t.blob FROM tasks t JOIN jobs j ON j.job = t.job"
        " LEFT JOIN rounds r ON r.job = t.job"
        "  AND r.round = iif(t.merged_in > 0, t.merged_in, t.round)"
        " WHERE t.blob IS NOT NULL AND ifnull(r.state, '') <> 'done'"
        " AND j.state NOT IN ('completed', 'failed', 'aborted') UNION"
        " SELECT blob FROM server_states UNION"
        " SELECT f.blob FROM files f JOIN jobs j ON j.job = f.job"
        " WHERE j.state NOT IN ('completed', 'failed', 'aborted')");
    std::vector<BlobId> blobs;
    while (query.executeStep()) {
      blobs.push_back(RowReader(query).required_digest());
    }
    return blobs;
  }

  std::vector<NamedBlob> described_blobs() {
    auto& query = statements_.prepare(
        "SELECT blob, bytes, 'model/' || job || '@' || version FROM kept_models UNION ALL"
        " SELECT t.blob, t.blob_bytes,"
        "  'the update of ' || t.site || ' for round ' || t.round || ' of ' || t.job"
        " FROM tasks t JOIN jobs j ON j.job = t.job"
        " LEFT JOIN rounds r ON r.job = t.job"
        "  AND r.round = iif(t.merged_in > 0, t.merged_in, t.round)"
        " WHERE t.blob IS NOT NULL AND ifnull(r.state, '') <> 'done'"
        " AND j.state NOT IN ('completed', 'failed', 'aborted') UNION ALL"
        " SELECT blob, bytes, 'the server state after round ' || round || ' of ' || job"
        " FROM server_states UNION ALL"
        " SELECT f.blob, f.bytes, 'the file of ' || f.job FROM files f JOIN jobs j ON j.job = f.job"
        " WHERE j.state NOT IN ('completed', 'failed', 'aborted')");
    std::vector<NamedBlob> blobs;
    while (query.executeStep()) {
      RowReader row(query);
      NamedBlob named;
      named.blob = row.required_digest();
      named.bytes = row.integer();
      named.what = row.text();
      blobs.push_back(std::move(named));
    }
    return blobs;
  }

  std::vector<TaskRow> ended_tasks() {
    return read_tasks(
        "SELECT t.* FROM tasks t JOIN jobs j ON j.job = t.job"
        " WHERE j.state IN ('completed', 'failed', 'aborted')");
  }

  std::vector<std::string> contradictions(Rules rules, std::size_t limit) {
    return broker::contradictions(statements_, rules, limit);
  }

  AuditChain& audit() { return audit_; }

 private:
  void save(const SiteRow& row) {
    auto& insert = statements_.prepare(
        "INSERT INTO sites VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (site) DO UPDATE SET"
        " instance = excluded.instance, advert = excluded.advert,"
        " last_seen_unix_ms = excluded.last_seen_unix_ms,"
        " draining = excluded.draining, drain_reason = excluded.drain_reason");
    Binder(insert)
        .text(row.site.str())
        .integer(row.instance)
        .bytes(wire::encode(row.advert))
        .integer(static_cast<std::uint64_t>(row.last_seen_unix_ms))
        .integer(row.draining ? 1 : 0)
        .text(row.drain_reason);
    insert.exec();
  }

  void save(const JobRow& row) {
    auto& insert = statements_.prepare(
        "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job) DO UPDATE SET"
        " state = excluded.state, reason = excluded.reason,"
        " last_event_seq = excluded.last_event_seq, elapsed_ms = excluded.elapsed_ms");
    Binder(insert)
        .text(row.job.str())
        .text(row.coordinator)
        .bytes(wire::encode_canonical(row.spec))
        .digest(row.spec_digest)
        .text(to_string(row.state))
        .text(row.reason)
        .integer(static_cast<std::uint64_t>(row.submitted_unix_ms))
        .integer(row.last_event_seq)
        .integer(static_cast<std::uint64_t>(row.elapsed.count()))
        .integer(row.number)
        .text(row.token);
    insert.exec();
  }

  void save(const PartRow& row) {
    auto& insert = statements_.prepare(
        "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    Binder(insert)
        .text(row.job.str())
        .text(row.site.str())
        .text(to_string(row.enrolment))
        .text(row.reason)
        .integer(row.updates_accepted)
        .integer(row.bytes_out)
        .integer(row.tensors_out)
        .integer(row.examples)
        .integer(row.told_closed ? 1 : 0)
        .integer(row.has_place ? 1 : 0)
        .integer(row.silent ? 1 : 0)
        .integer(row.claimed ? 1 : 0)
        .integer(row.last_round)
        .real(row.steps_per_second)
        .metrics(row.evaluate_metrics)
        .integer(row.evaluation_examples)
        .integer(row.evaluated_round);
    insert.exec();
  }

  void save(const RoundRow& row) {
    auto& insert = statements_.prepare(
        "INSERT OR REPLACE INTO rounds VALUES"
        " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    Binder(insert)
        .text(row.job.str())
        .integer(row.round)
        .text(to_string(row.state))
        .integer(row.updates)
        .metrics(row.train_metrics)
        .metrics(row.evaluate_metrics)
        .digest(row.model)
        .integer(row.model_bytes)
        .digest(row.server_state)
        .integer(row.server_state_bytes)
        .integer(row.model_removed ? 1 : 0)
        .integer(row.evaluated ? 1 : 0)
        .integer(row.evaluated_at)
        .integer(row.evaluation_examples)
        .sums(row.sums)
        .evaluations(row.at_sites)
        .text(row.model_of);
    insert.exec();
  }

  void save(const TaskRow& row) {
    // A state of the live process only; after a restart the task is offered again.
    const auto state = is_live_only(row.state) ? TaskState::pending : row.state;
    auto& insert = statements_.prepare(
        "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (job, round, kind, site, attempt) DO UPDATE SET"
        " state = excluded.state, blob = excluded.blob, blob_bytes = excluded.blob_bytes,"
        " examples = excluded.examples, steps = excluded.steps, metrics = excluded.metrics,"
        " reason = excluded.reason, sums = excluded.sums, merged_in = excluded.merged_in,"
        " accepted_seq = excluded.accepted_seq");
    Binder(insert)
        .text(row.key.job.str())
        .integer(row.key.round)
        .text(to_string(row.key.kind))
        .text(row.key.site.str())
        .integer(row.key.attempt)
        .text(to_string(state))
        .digest(row.result.blob)
        .integer(row.result.blob_bytes)
        .integer(row.result.examples)
        .integer(row.result.steps)
        .metrics(row.result.metrics)
        .text(row.reason)
        .integer(row.steps)
        .sums(row.result.sums)
        .integer(row.merged_in)
        .integer(row.accepted_seq);
    insert.exec();
  }

  static bool is_live_only(TaskState state) {
    return state == TaskState::running || state == TaskState::uploading;
  }

  void save(const ModelRow& row) {
    const auto& model = row.model;
    auto& insert = statements_.prepare("INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    Binder(insert)
        .text(model.job.str())
        .integer(model.version)
        .digest(model.blob)
        .integer(model.bytes)
        .integer(static_cast<std::uint64_t>(model.published_unix_ms))
        .digest(model.spec_digest)
        .text(model.strategy)
        .digest(model.parent)
        .digest(model.server_state)
        .text(model.origin);
    insert.exec();
    std::uint64_t place = 0;
    for (const auto& contribution : model.contributions) {
      auto& part =
          statements_.prepare("INSERT INTO contributions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
      Binder(part)
          .text(model.job.str())
          .integer(model.version)
          .integer(place++)
          .text(contribution.site.str())
          .digest(contribution.update)
          .integer(contribution.examples)
          .real(contribution.weight)
          .integer(contribution.steps)
          .integer(contribution.started_from);
      part.exec();
    }
  }

  void save(const EventRow& row) {
    const auto& event = row.event;
    auto& insert = statements_.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    Binder(insert)
        .text(row.job.str())
        .integer(event.seq)
        .integer(static_cast<std::uint64_t>(event.unix_ms))
        .text(to_string(event.kind))
        .integer(event.round)
        .text(event.site)
        .text(event.text)
        .metrics(event.metrics)
        .integer(event.examples)
        .integer(event.bytes);
    insert.exec();
  }

  void save(const AuditRow& row) { audit_.append(row); }

  void save(const UsageRow& row) {
    auto& insert = statements_.prepare("INSERT OR REPLACE INTO usage VALUES (?, ?)");
    Binder(insert).text(row.coordinator).real(row.site_seconds);
    insert.exec();
  }

  void save(const FileRow& row) {
    auto& insert = statements_.prepare("INSERT OR REPLACE INTO files VALUES (?, ?, ?)");
    Binder(insert).text(row.job.str()).digest(row.blob).integer(row.bytes);
    insert.exec();
  }

  std::vector<Contribution> contributions(const JobId& job, Round version) {
    auto& query = statements_.prepare(
        "SELECT site, blob, examples, weight, steps, started_from FROM contributions"
        " WHERE job = ? AND version = ? ORDER BY place");
    Binder(query).text(job.str()).integer(version);
    std::vector<Contribution> contributions;
    while (query.executeStep()) {
      RowReader row(query);
      Contribution contribution;
      contribution.site = name<SiteId>(row.text());
      contribution.update = row.required_digest();
      contribution.examples = row.integer();
      contribution.weight = row.real();
      contribution.steps = row.integer();
      contribution.started_from = static_cast<Round>(row.integer());
      contributions.push_back(std::move(contribution));
    }
    return contributions;
  }

  void load_sites(Snapshot& snapshot) {
    auto& query = statements_.prepare("SELECT * FROM sites");
    while (query.executeStep()) {
      RowReader row(query);
      SiteRow site;
      site.site = name<SiteId>(row.text());
      site.instance = row.integer();
      site.advert = decoded(wire::decode_site_advert(as_bytes(row.bytes())));
      site.last_seen_unix_ms = static_cast<UnixMillis>(row.integer());
      site.draining = row.integer() != 0;
      site.drain_reason = row.text();
      snapshot.sites.push_back(std::move(site));
    }
  }

  void load_jobs(Snapshot& snapshot) {
    auto& query = statements_.prepare("SELECT * FROM jobs");
    while (query.executeStep()) {
      RowReader row(query);
      JobRow job;
      job.job = name<JobId>(row.text());
      job.coordinator = row.text();
      job.spec = decoded(wire::decode_job_spec(as_bytes(row.bytes())));
      job.spec_digest = row.required_digest();
      job.state = row.word(parse_job_state);
      job.reason = row.text();
      job.submitted_unix_ms = static_cast<UnixMillis>(row.integer());
      job.last_event_seq = row.integer();
      job.elapsed = Millis(static_cast<std::int64_t>(row.integer()));
      job.number = row.integer();
      job.token = row.text();
      snapshot.jobs.push_back(std::move(job));
    }
  }

  void load_parts(Snapshot& snapshot) {
    auto& query = statements_.prepare("SELECT * FROM parts");
    while (query.executeStep()) {
      RowReader row(query);
      PartRow part;
      part.job = name<JobId>(row.text());
      part.site = name<SiteId>(row.text());
      part.enrolment = row.word(parse_enrolment);
      part.reason = row.text();
      part.updates_accepted = static_cast<std::uint32_t>(row.integer());
      part.bytes_out = row.integer();
      part.tensors_out = row.integer();
      part.examples = row.integer();
      part.told_closed = row.integer() != 0;
      part.has_place = row.integer() != 0;
      part.silent = row.integer() != 0;
      part.claimed = row.integer() != 0;
      part.last_round = static_cast<Round>(row.integer());
      part.steps_per_second = row.real();
      part.evaluate_metrics = row.metrics();
      part.evaluation_examples = row.integer();
      part.evaluated_round = static_cast<Round>(row.integer());
      snapshot.parts.push_back(std::move(part));
    }
  }

  void load_rounds(Snapshot& snapshot) {
    auto& query = statements_.prepare("SELECT * FROM rounds");
    while (query.executeStep()) {
      RowReader row(query);
      RoundRow round;
      round.job = name<JobId>(row.text());
      round.round = static_cast<Round>(row.integer());
      round.state = row.word(parse_round_state);
      round.updates = static_cast<std::uint32_t>(row.integer());
      round.train_metrics = row.metrics();
      round.evaluate_metrics = row.metrics();
      round.model = row.digest();
      round.model_bytes = row.integer();
      round.server_state = row.digest();
      round.server_state_bytes = row.integer();
      round.model_removed = row.integer() != 0;
      round.evaluated = row.integer() != 0;
      round.evaluated_at = static_cast<std::uint32_t>(row.integer());
      round.evaluation_examples = row.integer();
      round.sums = row.sums();
      round.at_sites = row.evaluations();
      round.model_of = row.text();
      snapshot.rounds.push_back(std::move(round));
    }
  }

  void load_usage(Snapshot& snapshot) {
    auto& query = statements_.prepare("SELECT * FROM usage");
    while (query.executeStep()) {
      RowReader row(query);
      UsageRow usage;
      usage.coordinator = row.text();
      usage.site_seconds = row.real();
      snapshot.usage.push_back(std::move(usage));
    }
  }

  void load_files(Snapshot& snapshot) {
    auto& query = statements_.prepare("SELECT * FROM files");
    while (query.executeStep()) {
      RowReader row(query);
      FileRow file;
      file.job = name<JobId>(row.text());
      file.blob = row.required_digest();
      file.bytes = row.integer();
      snapshot.files.push_back(std::move(file));
    }
  }

  void load_tasks(Snapshot& snapshot) {
    snapshot.tasks = read_tasks(
        "SELECT t.* FROM tasks t JOIN jobs j ON j.job = t.job"
        " WHERE j.state NOT IN ('completed', 'failed', 'aborted')");
  }

  std::vector<TaskRow> read_tasks(const char* sql) {
    auto& query = statements_.prepare(sql);
    std::vector<TaskRow> tasks;
    while (query.executeStep()) {
      RowReader row(query);
      TaskRow task;
      task.key.job = name<JobId>(row.text());
      task.key.round = static_cast<Round>(row.integer());
      task.key.kind = row.word(parse_task_kind);
      task.key.site = name<SiteId>(row.text());
      task.key.attempt = static_cast<Attempt>(row.integer());
      task.state = row.word(parse_task_state);
      task.result.blob = row.digest();
      task.result.blob_bytes = row.integer();
      task.result.examples = row.integer();
      task.result.steps = row.integer();
      task.result.metrics = row.metrics();
      task.reason = row.text();
      task.steps = row.integer();
      task.result.sums = row.sums();
      task.merged_in = static_cast<Round>(row.integer());
      task.accepted_seq = row.integer();
      tasks.push_back(std::move(task));
    }
    return tasks;
  }

  Database database_;
  Statements statements_;
  AuditChain audit_;
};

BrokerStore::BrokerStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BrokerStore::BrokerStore(BrokerStore&&) noexcept = default;
BrokerStore& BrokerStore::operator=(BrokerStore&&) noexcept = default;
BrokerStore::~BrokerStore() = default;

Expected<BrokerStore> BrokerStore::open(const std::filesystem::path& file) {
  auto database = Database::open(file, kStoreApplicationId, kStoreMigrations);
  if (!database) {
    return tl::unexpected(database.error());
  }
  return BrokerStore(std::make_unique<Impl>(*std::move(database)));
}

Expected<Snapshot> BrokerStore::load() {
  try {
    return impl_->load();
  } catch (const std::runtime_error& error) {  // SQLite::Exception is one
    return refuse("database_corrupt",
                  std::string("the broker's database cannot be read: ") + error.what(),
                  "restore the data directory from a backup", Scope::broker);
  }
}

void BrokerStore::write(std::span<const Row> rows) { impl_->write(rows); }

std::vector<JobEvent> BrokerStore::events(const JobId& job, std::uint64_t after_seq,
                                          std::size_t limit) {
  return impl_->events(job, after_seq, limit);
}

std::vector<ModelView> BrokerStore::models(const std::optional<JobId>& job,
                                           std::optional<Round> version,
                                           const std::string& coordinator) {
  return impl_->models(job, version, coordinator);
}

std::vector<AuditEntry> BrokerStore::audit(std::uint64_t after_seq) {
  return impl_->audit().page(after_seq);
}

std::vector<AuditEntry> BrokerStore::newest_audit(const std::optional<JobId>& job,
                                                  std::size_t limit) {
  return impl_->audit().newest(job, limit);
}

std::vector<BlobId> BrokerStore::named_blobs() { return impl_->named_blobs(); }

std::vector<NamedBlob> BrokerStore::described_blobs() { return impl_->described_blobs(); }

std::vector<TaskRow> BrokerStore::ended_tasks() { return impl_->ended_tasks(); }

std::vector<std::string> BrokerStore::contradictions(Rules rules, std::size_t limit) {
  return impl_->contradictions(rules, limit);
}

std::optional<std::int64_t> BrokerStore::first_broken_audit_row() {
  return impl_->audit().first_broken();
}

}  // namespace entente::broker
