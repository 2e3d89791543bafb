#include "site-agent/journal/journal.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/wire/job_codec.h"
#include "site-agent/journal/rows.h"
#include "site-agent/journal/schema.h"
#include "site-agent/journal/seals.h"

namespace entente::agent {
namespace {

std::span<const std::byte> bytes_of(const SQLite::Column& column) {
  return {static_cast<const std::byte*>(column.getBlob()),
          static_cast<std::size_t>(column.getBytes())};
}

// SQLite's integers are signed; the numbers come back as they went in.
std::uint64_t loaded(const SQLite::Column& column) {
  return static_cast<std::uint64_t>(column.getInt64());
}

// Nothing for NULL or an illegal digest; a legal one is never empty.
std::optional<BlobId> blob_of(const SQLite::Column& column) {
  return column.isNull() ? std::nullopt : BlobId::parse(column.getString());
}

// False when the text is not what this program writes.
bool read_sums(const std::string& text, Sums& sums) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) {
    return false;
  }
  for (const auto& [name, values] : json.items()) {
    if (!values.is_array()) {
      return false;
    }
    auto& sum = sums[name];
    for (const auto& value : values) {
      if (!value.is_number()) {
        return false;
      }
      sum.push_back(value.get<double>());
    }
  }
  return true;
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
  return read_sums(row.getColumn("sums").getString(), entry.result.sums) ? std::optional(entry)
                                                                         : std::nullopt;
}

std::optional<SiteState> state_row(SQLite::Statement& row) {
  const auto job = JobId::parse(row.getColumn("job").getString());
  if (!job) {
    return std::nullopt;
  }
  return SiteState{*job, row.getColumn("round").getUInt(), blob_of(row.getColumn("residual")),
                   blob_of(row.getColumn("own")), row.getColumn("settled").getInt() != 0};
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

std::string describe_state(SQLite::Statement& row) {
  return fmt::format("what round {} of job \"{}\" has left at this site; it is never used",
                     row.getColumn("round").getUInt(), row.getColumn("job").getString());
}

}  // namespace

Expected<Journal> Journal::open(const std::filesystem::path& path) {
  auto database = Database::open(path, kJournalApplicationId, kJournalMigrations);
  if (!database) {
    return tl::unexpected(database.error());
  }
  return Journal(std::move(*database));
}

std::uint64_t Journal::instance(std::uint64_t fresh) {
  SQLite::Statement insert(database_.sql(),
                           "INSERT OR IGNORE INTO installation VALUES (1, :fresh)");
  insert.bind(":fresh", static_cast<std::int64_t>(fresh));
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
  recovery.known.states = take_sound<SiteState>(sql, "site_state", "job, round", state_row,
                                                describe_state, recovery.damaged);
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
            write(statements_, it, now);
          }
        },
        effect);
  }
  if (transaction) {
    transaction->commit();
  }
}

}  // namespace entente::agent
