#include "site-agent/journal/journal.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "common/wire/job_codec.h"
#include "site-agent/journal/seals.h"

namespace entente::agent {
namespace {

constexpr std::uint32_t kApplicationId = 0x656e7461;  // "enta"

constexpr std::array<std::string_view, 5> kMigrations{
    R"sql(
CREATE TABLE installation (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  instance INTEGER NOT NULL
) STRICT;

CREATE TABLE promise (
  job              TEXT PRIMARY KEY,
  coordinator      TEXT NOT NULL,
  spec             BLOB NOT NULL,
  spec_digest      TEXT NOT NULL,
  promised_unix_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
  job              TEXT NOT NULL,
  round            INTEGER NOT NULL,
  kind             TEXT NOT NULL,
  site             TEXT NOT NULL,
  attempt          INTEGER NOT NULL,
  seed             INTEGER NOT NULL,
  model            TEXT,
  model_bytes      INTEGER NOT NULL,
  blob             TEXT,
  blob_bytes       INTEGER NOT NULL,
  examples         INTEGER NOT NULL,
  steps            INTEGER NOT NULL,
  metrics          TEXT NOT NULL,
  finished_unix_ms INTEGER NOT NULL,
  PRIMARY KEY (job, round, kind, attempt)
) STRICT;

CREATE TABLE sent (
  job         TEXT NOT NULL,
  round       INTEGER NOT NULL,
  kind        TEXT NOT NULL,
  attempt     INTEGER NOT NULL,
  coordinator TEXT NOT NULL,
  unix_ms     INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('announced', 'uploading', 'accepted', 'refused')),
  blob        TEXT,
  blob_bytes  INTEGER NOT NULL,
  examples    INTEGER NOT NULL,
  metrics     TEXT NOT NULL,
  PRIMARY KEY (job, round, kind, attempt)
) STRICT;
)sql",
    // Rows of before have none.
    R"sql(
ALTER TABLE promise ADD COLUMN seal TEXT;
ALTER TABLE outbox ADD COLUMN seal TEXT;
)sql",
    R"sql(
CREATE TABLE residual (
  job     TEXT NOT NULL,
  round   INTEGER NOT NULL,
  blob    TEXT NOT NULL,
  settled INTEGER NOT NULL CHECK (settled IN (0, 1)),
  seal    TEXT NOT NULL,
  PRIMARY KEY (job, round)
) STRICT;
)sql",
    R"sql(
CREATE TABLE decision (
  job             TEXT NOT NULL,
  spec_digest     TEXT NOT NULL,
  word            TEXT NOT NULL CHECK (word IN ('approved', 'denied')),
  who             TEXT NOT NULL,
  reason          TEXT NOT NULL,
  decided_unix_ms INTEGER NOT NULL,
  until_unix_ms   INTEGER NOT NULL,
  seal            TEXT NOT NULL
) STRICT;

CREATE TABLE spent (
  job         TEXT NOT NULL,
  round       INTEGER NOT NULL,
  coordinator TEXT NOT NULL,
  day         INTEGER NOT NULL,
  seal        TEXT NOT NULL,
  PRIMARY KEY (job, round)
) STRICT;

CREATE TABLE pause (
  one           INTEGER PRIMARY KEY CHECK (one = 1),
  who           TEXT NOT NULL,
  reason        TEXT NOT NULL,
  since_unix_ms INTEGER NOT NULL
) STRICT;
)sql",
    R"sql(
ALTER TABLE outbox ADD COLUMN asked_steps INTEGER NOT NULL DEFAULT 0;
)sql"};

std::string to_json(const Metrics& metrics) { return nlohmann::json(metrics).dump(); }

std::span<const std::byte> bytes_of(const SQLite::Column& column) {
  return {static_cast<const std::byte*>(column.getBlob()),
          static_cast<std::size_t>(column.getBytes())};
}

void bind(SQLite::Statement& statement, const char* name, const std::optional<BlobId>& blob) {
  if (blob) {
    statement.bind(name, blob->hex());
  } else {
    statement.bind(name);  // NULL
  }
}

// SQLite's integers are signed; the numbers come back as they went in.
std::int64_t stored(std::uint64_t value) { return static_cast<std::int64_t>(value); }
std::uint64_t loaded(const SQLite::Column& column) {
  return static_cast<std::uint64_t>(column.getInt64());
}

void bind_key(SQLite::Statement& statement, const TaskKey& key) {
  statement.bind(":job", key.job.str());
  statement.bind(":round", key.round);
  statement.bind(":kind", std::string(to_string(key.kind)));
  statement.bind(":attempt", key.attempt);
}

void write(SQLite::Database& sql, const effect::SavePromise& it, UnixMillis now) {
  SQLite::Statement insert(sql,
                           "INSERT OR REPLACE INTO promise VALUES (:job, :coordinator, :spec, "
                           ":spec_digest, :now, :seal)");
  const wire::Bytes spec = wire::encode_canonical(it.promise.spec);
  insert.bind(":job", it.promise.job.str());
  insert.bind(":coordinator", it.promise.coordinator);
  insert.bind(":spec", spec.data(), static_cast<int>(spec.size()));
  insert.bind(":spec_digest", it.promise.spec_digest.hex());
  insert.bind(":now", now);
  insert.bind(":seal", seal_of(it.promise).hex());
  insert.exec();
}

void write(SQLite::Database& sql, const effect::ForgetPromise& it, UnixMillis) {
  for (const char* text :
       {"DELETE FROM promise WHERE job = :job", "DELETE FROM outbox WHERE job = :job",
        "DELETE FROM residual WHERE job = :job"}) {
    SQLite::Statement remove(sql, text);
    remove.bind(":job", it.job.str());
    remove.exec();
  }
}

void write(SQLite::Database& sql, const effect::SaveResult& it, UnixMillis now) {
  SQLite::Statement insert(
      sql,
      "INSERT OR REPLACE INTO outbox VALUES (:job, :round, :kind, :site, :attempt, :seed, :model, "
      ":model_bytes, :blob, :blob_bytes, :examples, :steps, :metrics, :now, "
      ":seal, :asked_steps)");
  const auto& [order, result] = it.entry;
  bind_key(insert, order.key);
  insert.bind(":site", order.key.site.str());
  insert.bind(":seed", stored(order.seed));
  bind(insert, ":model", order.model);
  insert.bind(":model_bytes", stored(order.model_bytes));
  bind(insert, ":blob", result.blob);
  insert.bind(":blob_bytes", stored(result.blob_bytes));
  insert.bind(":examples", stored(result.examples));
  insert.bind(":steps", stored(result.steps));
  insert.bind(":metrics", to_json(result.metrics));
  insert.bind(":now", now);
  insert.bind(":seal", seal_of(it.entry).hex());
  insert.bind(":asked_steps", stored(order.steps));
  insert.exec();
}

void write(SQLite::Database& sql, const effect::DropResult& it, UnixMillis) {
  SQLite::Statement remove(sql,
                           "DELETE FROM outbox WHERE job = :job AND round = :round AND kind = "
                           ":kind AND attempt = :attempt");
  bind_key(remove, it.key);
  remove.exec();
}

void write(SQLite::Database& sql, const effect::SaveResidual& it, UnixMillis) {
  SQLite::Statement insert(
      sql, "INSERT OR REPLACE INTO residual VALUES (:job, :round, :blob, :settled, :seal)");
  insert.bind(":job", it.residual.job.str());
  insert.bind(":round", it.residual.round);
  insert.bind(":blob", it.residual.blob.hex());
  insert.bind(":settled", it.residual.settled ? 1 : 0);
  insert.bind(":seal", seal_of(it.residual).hex());
  insert.exec();
}

void write(SQLite::Database& sql, const effect::DropResidual& it, UnixMillis) {
  SQLite::Statement remove(sql, "DELETE FROM residual WHERE job = :job AND round = :round");
  remove.bind(":job", it.job.str());
  remove.bind(":round", it.round);
  remove.exec();
}

// A repeated announcement after a restart must not take a row back to an earlier state.
void write(SQLite::Database& sql, const effect::RecordDeparture& it, UnixMillis now) {
  SQLite::Statement upsert(
      sql,
      "INSERT INTO sent (job, round, kind, attempt, coordinator, unix_ms, state, blob, blob_bytes, "
      "examples, metrics) VALUES (:job, :round, :kind, :attempt, "
      "coalesce((SELECT coordinator FROM promise WHERE job = :job), ''), "
      ":now, :state, :blob, :blob_bytes, :examples, :metrics) "
      "ON CONFLICT DO UPDATE SET unix_ms = excluded.unix_ms, state = excluded.state "
      "WHERE excluded.state <> 'announced'");
  const auto& [order, result] = it.entry;
  bind_key(upsert, order.key);
  upsert.bind(":now", now);
  upsert.bind(":state", std::string(to_string(it.departure)));
  bind(upsert, ":blob", result.blob);
  upsert.bind(":blob_bytes", stored(result.blob_bytes));
  upsert.bind(":examples", stored(result.examples));
  upsert.bind(":metrics", to_json(result.metrics));
  upsert.exec();
}

void write(SQLite::Database& sql, const effect::SaveDecision& it, UnixMillis) {
  SQLite::Statement insert(sql,
                           "INSERT INTO decision VALUES (:job, :spec_digest, :word, :who, :reason, "
                           ":decided, :until, :seal)");
  const Decision& decision = it.decision;
  insert.bind(":job", decision.job.str());
  insert.bind(":spec_digest", decision.spec_digest.hex());
  insert.bind(":word", decision.approved ? "approved" : "denied");
  insert.bind(":who", decision.who);
  insert.bind(":reason", decision.reason);
  insert.bind(":decided", decision.decided_unix_ms);
  insert.bind(":until", decision.until_unix_ms);
  insert.bind(":seal", seal_of(decision).hex());
  insert.exec();
}

// Days that no limit asks about any more go; a round that is tried again later is younger.
void write(SQLite::Database& sql, const effect::SpendRound& it, UnixMillis) {
  constexpr std::int64_t kDaysKept = 400;
  SQLite::Statement remove(sql, "DELETE FROM spent WHERE day < :day");
  remove.bind(":day", it.round.day - kDaysKept);
  remove.exec();
  SQLite::Statement insert(
      sql, "INSERT OR REPLACE INTO spent VALUES (:job, :round, :coordinator, :day, :seal)");
  insert.bind(":job", it.round.job.str());
  insert.bind(":round", it.round.round);
  insert.bind(":coordinator", it.round.coordinator);
  insert.bind(":day", it.round.day);
  insert.bind(":seal", seal_of(it.round).hex());
  insert.exec();
}

void write(SQLite::Database& sql, const effect::SavePause& it, UnixMillis) {
  SQLite::Statement insert(sql, "INSERT OR REPLACE INTO pause VALUES (1, :who, :reason, :since)");
  insert.bind(":who", it.pause.who);
  insert.bind(":reason", it.pause.reason);
  insert.bind(":since", it.pause.since_unix_ms);
  insert.exec();
}

void write(SQLite::Database& sql, const effect::ClearPause&, UnixMillis) {
  sql.exec("DELETE FROM pause");
}

template <class T>
concept JournalEffect = requires(SQLite::Database& sql, const T& effect) {
  write(sql, effect, UnixMillis{});
};

// Nothing for NULL or an illegal digest; a legal one is never empty.
std::optional<BlobId> blob_of(const SQLite::Column& column) {
  return column.isNull() ? std::nullopt : BlobId::parse(column.getString());
}

// Nothing when the row cannot be read.
std::optional<OutboxEntry> outbox_row(SQLite::Statement& row) {
  const auto job = JobId::parse(row.getColumn("job").getString());
  const auto site = SiteId::parse(row.getColumn("site").getString());
  const auto kind = parse_task_kind(row.getColumn("kind").getString());
  const auto metrics = nlohmann::json::parse(row.getColumn("metrics").getString(), nullptr, false);
  if (!job || !site || !kind || !metrics.is_object()) {
    return std::nullopt;
  }
  OutboxEntry entry;
  entry.order.key = {*job, row.getColumn("round").getUInt(), *kind, *site,
                     row.getColumn("attempt").getUInt()};
  entry.order.seed = loaded(row.getColumn("seed"));
  entry.order.model = blob_of(row.getColumn("model"));
  entry.order.model_bytes = loaded(row.getColumn("model_bytes"));
  entry.order.steps = loaded(row.getColumn("asked_steps"));
  entry.result.blob = blob_of(row.getColumn("blob"));
  entry.result.blob_bytes = loaded(row.getColumn("blob_bytes"));
  entry.result.examples = loaded(row.getColumn("examples"));
  entry.result.steps = loaded(row.getColumn("steps"));
  for (const auto& [name, value] : metrics.items()) {
    if (!value.is_number()) {
      return std::nullopt;
    }
    entry.result.metrics[name] = value.get<double>();
  }
  return entry;
}

std::optional<Residual> residual_row(SQLite::Statement& row) {
  const auto job = JobId::parse(row.getColumn("job").getString());
  const auto blob = blob_of(row.getColumn("blob"));
  if (!job || !blob) {
    return std::nullopt;
  }
  return Residual{*job, row.getColumn("round").getUInt(), *blob,
                  row.getColumn("settled").getInt() != 0};
}

std::optional<Promise> promise_row(SQLite::Statement& row) {
  const auto job = JobId::parse(row.getColumn("job").getString());
  const auto digest = Digest::parse(row.getColumn("spec_digest").getString());
  auto spec = wire::decode_job_spec(bytes_of(row.getColumn("spec")));
  if (!job || !digest || !spec || wire::spec_digest(*spec) != *digest) {
    return std::nullopt;
  }
  return Promise{*job, row.getColumn("coordinator").getString(), std::move(*spec), *digest};
}

std::optional<Decision> decision_row(SQLite::Statement& row) {
  const auto job = JobId::parse(row.getColumn("job").getString());
  const auto digest = Digest::parse(row.getColumn("spec_digest").getString());
  if (!job || !digest) {
    return std::nullopt;
  }
  return Decision{*job,
                  *digest,
                  row.getColumn("word").getString() == "approved",
                  row.getColumn("who").getString(),
                  row.getColumn("reason").getString(),
                  row.getColumn("decided_unix_ms").getInt64(),
                  row.getColumn("until_unix_ms").getInt64()};
}

std::optional<SpentRound> spent_row(SQLite::Statement& row) {
  const auto job = JobId::parse(row.getColumn("job").getString());
  if (!job) {
    return std::nullopt;
  }
  return SpentRound{*job, row.getColumn("round").getUInt(),
                    row.getColumn("coordinator").getString(), row.getColumn("day").getInt64()};
}

std::optional<Pause> read_pause(SQLite::Database& sql) {
  SQLite::Statement row(sql, "SELECT * FROM pause");
  if (!row.executeStep()) {
    return std::nullopt;
  }
  return Pause{row.getColumn("who").getString(), row.getColumn("reason").getString(),
               row.getColumn("since_unix_ms").getInt64()};
}

// What the rows of `query` mean. Damaged ones are removed from `table` instead, and described.
template <class Meaning>
std::vector<Meaning> take_sound(SQLite::Database& sql, const std::string& table,
                                const std::string& order,
                                std::optional<Meaning> (*read)(SQLite::Statement&),
                                std::string (*describe)(SQLite::Statement&),
                                std::vector<std::string>& damaged) {
  std::vector<Meaning> sound;
  std::vector<std::int64_t> removals;
  SQLite::Statement row(sql, fmt::format("SELECT rowid, * FROM {} ORDER BY {}", table, order));
  while (row.executeStep()) {
    auto meaning = read(row);
    const auto seal = row.getColumn("seal");
    if (meaning && (seal.isNull() || seal.getString() == seal_of(*meaning).hex())) {
      sound.push_back(std::move(*meaning));
    } else {
      damaged.push_back(describe(row));
      removals.push_back(row.getColumn("rowid").getInt64());
    }
  }
  for (const auto rowid : removals) {
    SQLite::Statement remove(sql, fmt::format("DELETE FROM {} WHERE rowid = :rowid", table));
    remove.bind(":rowid", rowid);
    remove.exec();
  }
  return sound;
}

std::string describe_promise(SQLite::Statement& row) {
  return fmt::format("the promise to take part in job \"{}\"; the job goes on without this site",
                     row.getColumn("job").getString());
}

std::string describe_decision(SQLite::Statement& row) {
  return fmt::format("what {} decided on job \"{}\"; the job has to be approved again",
                     row.getColumn("who").getString(), row.getColumn("job").getString());
}

std::string describe_spent(SQLite::Statement& row) {
  return fmt::format("the count of round {} of job \"{}\"; it counts against today's limits",
                     row.getColumn("round").getUInt(), row.getColumn("job").getString());
}

std::string describe_result(SQLite::Statement& row) {
  return fmt::format(
      "the result of round {} ({}) of job \"{}\"; it is computed again when the broker asks",
      row.getColumn("round").getUInt(), row.getColumn("kind").getString(),
      row.getColumn("job").getString());
}

std::string describe_residual(SQLite::Statement& row) {
  return fmt::format("what round {} of job \"{}\" has left out; it is never sent",
                     row.getColumn("round").getUInt(), row.getColumn("job").getString());
}

}  // namespace

Expected<Journal> Journal::open(const std::filesystem::path& path) {
  auto database = Database::open(path, kApplicationId, kMigrations);
  if (!database) {
    return tl::unexpected(database.error());
  }
  return Journal(std::move(*database));
}

std::uint64_t Journal::instance(std::uint64_t fresh) {
  SQLite::Statement insert(database_.sql(),
                           "INSERT OR IGNORE INTO installation VALUES (1, :fresh)");
  insert.bind(":fresh", stored(fresh));
  insert.exec();
  SQLite::Statement select(database_.sql(), "SELECT instance FROM installation");
  select.executeStep();
  return loaded(select.getColumn(0));
}

Recovery Journal::recover() {
  auto& sql = database_.sql();
  Recovery recovery;
  recovery.known.promises =
      take_sound<Promise>(sql, "promise", "job", promise_row, describe_promise, recovery.damaged);
  recovery.known.outbox = take_sound<OutboxEntry>(sql, "outbox", "job, round, kind, attempt",
                                                  outbox_row, describe_result, recovery.damaged);
  recovery.known.residuals = take_sound<Residual>(sql, "residual", "job, round", residual_row,
                                                  describe_residual, recovery.damaged);
  recovery.known.decisions = take_sound<Decision>(sql, "decision", "rowid", decision_row,
                                                  describe_decision, recovery.damaged);
  const auto damaged_before = recovery.damaged.size();
  recovery.known.spent = take_sound<SpentRound>(sql, "spent", "job, round", spent_row,
                                                describe_spent, recovery.damaged);
  recovery.known.spent_damaged =
      static_cast<std::uint32_t>(recovery.damaged.size() - damaged_before);
  recovery.known.pause = read_pause(sql);
  return recovery;
}

void Journal::commit(const Effects& effects, UnixMillis now) {
  std::optional<WriteTransaction> transaction;
  for (const Effect& effect : effects) {
    std::visit(
        [&](const auto& it) {
          if constexpr (JournalEffect<std::decay_t<decltype(it)>>) {
            if (!transaction) {
              transaction.emplace(database_);
            }
            write(database_.sql(), it, now);
          }
        },
        effect);
  }
  if (transaction) {
    transaction->commit();
  }
}

Expected<std::vector<SentRow>> read_ledger(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) {
    return refuse("journal_missing", fmt::format("there is no journal at {}", path.string()),
                  "check data_dir; the journal is made when the agent first runs", Scope::site);
  }
  try {
    constexpr int kBusyMs = 2000;
    SQLite::Database sql(path.string(), SQLite::OPEN_READONLY, kBusyMs);
    SQLite::Statement select(sql, "SELECT * FROM sent ORDER BY unix_ms, job, round, kind, attempt");
    std::vector<SentRow> rows;
    while (select.executeStep()) {
      SentRow row;
      row.unix_ms = select.getColumn("unix_ms").getInt64();
      row.job = select.getColumn("job").getString();
      row.coordinator = select.getColumn("coordinator").getString();
      row.round = select.getColumn("round").getUInt();
      row.kind = select.getColumn("kind").getString();
      row.attempt = select.getColumn("attempt").getUInt();
      row.state = select.getColumn("state").getString();
      row.blob = select.getColumn("blob").getString();
      row.blob_bytes = loaded(select.getColumn("blob_bytes"));
      row.examples = loaded(select.getColumn("examples"));
      row.metrics_json = select.getColumn("metrics").getString();
      rows.push_back(std::move(row));
    }
    return rows;
  } catch (const SQLite::Exception& error) {
    return refuse("journal_unreadable",
                  fmt::format("the journal {} cannot be read: {}", path.string(), error.what()),
                  "run the command as the user that the agent runs as", Scope::site);
  }
}

std::string_view to_string(Departure departure) {
  switch (departure) {
    case Departure::announced:
      return "announced";
    case Departure::uploading:
      return "uploading";
    case Departure::accepted:
      return "accepted";
    case Departure::refused:
      return "refused";
  }
  return "unknown";  // no legal state of the ledger: the row is not written
}

}  // namespace entente::agent
