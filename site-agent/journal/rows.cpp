#include "site-agent/journal/rows.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/wire/job_codec.h"
#include "site-agent/journal/ledger.h"
#include "site-agent/journal/seals.h"

namespace entente::agent {
namespace {

std::string to_json(const Metrics& metrics) { return nlohmann::json(metrics).dump(); }
std::string to_json(const Sums& sums) { return nlohmann::json(sums).dump(); }

void bind(SQLite::Statement& statement, const char* name, const std::optional<BlobId>& blob) {
  if (blob) {
    statement.bind(name, blob->hex());
  } else {
    statement.bind(name);  // NULL
  }
}

// SQLite's integers are signed; the numbers come back as they went in.
std::int64_t stored(std::uint64_t value) { return static_cast<std::int64_t>(value); }

void bind_key(SQLite::Statement& statement, const TaskKey& key) {
  statement.bind(":job", key.job.str());
  statement.bind(":round", key.round);
  statement.bind(":kind", std::string(to_string(key.kind)));
  statement.bind(":attempt", key.attempt);
}

}  // namespace

void write(Statements& statements, const effect::SavePromise& it, UnixMillis now) {
  auto& insert = statements.prepare(
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

void write(Statements& statements, const effect::ForgetPromise& it, UnixMillis) {
  for (const char* text :
       {"DELETE FROM promise WHERE job = :job", "DELETE FROM outbox WHERE job = :job",
        "DELETE FROM site_state WHERE job = :job"}) {
    auto& remove = statements.prepare(text);
    remove.bind(":job", it.job.str());
    remove.exec();
  }
}

void write(Statements& statements, const effect::SaveResult& it, UnixMillis now) {
  auto& insert = statements.prepare(
      "INSERT OR REPLACE INTO outbox VALUES (:job, :round, :kind, :site, :attempt, :seed, :model, "
      ":model_bytes, :blob, :blob_bytes, :examples, :steps, :metrics, :now, "
      ":seal, :asked_steps, :sums)");
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
  insert.bind(":sums", to_json(result.sums));
  insert.exec();
}

void write(Statements& statements, const effect::DropResult& it, UnixMillis) {
  auto& remove = statements.prepare(
      "DELETE FROM outbox WHERE job = :job AND round = :round AND kind = "
      ":kind AND attempt = :attempt");
  bind_key(remove, it.key);
  remove.exec();
}

void write(Statements& statements, const effect::SaveSiteState& it, UnixMillis) {
  auto& insert = statements.prepare(
      "INSERT OR REPLACE INTO site_state VALUES (:job, :round, :residual, :own, :settled, :seal)");
  insert.bind(":job", it.state.job.str());
  insert.bind(":round", it.state.round);
  bind(insert, ":residual", it.state.residual);
  bind(insert, ":own", it.state.own);
  insert.bind(":settled", it.state.settled ? 1 : 0);
  insert.bind(":seal", seal_of(it.state).hex());
  insert.exec();
}

void write(Statements& statements, const effect::DropSiteState& it, UnixMillis) {
  auto& remove = statements.prepare("DELETE FROM site_state WHERE job = :job AND round = :round");
  remove.bind(":job", it.job.str());
  remove.bind(":round", it.round);
  remove.exec();
}

// A repeated announcement after a restart must not take a row back to an earlier state.
void write(Statements& statements, const effect::RecordDeparture& it, UnixMillis now) {
  auto& upsert = statements.prepare(
      "INSERT INTO sent (job, round, kind, attempt, coordinator, unix_ms, state, blob, blob_bytes, "
      "examples, metrics, sums) VALUES (:job, :round, :kind, :attempt, "
      "coalesce((SELECT coordinator FROM promise WHERE job = :job), ''), "
      ":now, :state, :blob, :blob_bytes, :examples, :metrics, :sums) "
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
  upsert.bind(":sums", to_json(result.sums));
  upsert.exec();
}

void write(Statements& statements, const effect::SaveDecision& it, UnixMillis) {
  auto& insert = statements.prepare(
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
void write(Statements& statements, const effect::SpendRound& it, UnixMillis) {
  constexpr std::int64_t kDaysKept = 400;
  auto& remove = statements.prepare("DELETE FROM spent WHERE day < :day");
  remove.bind(":day", it.round.day - kDaysKept);
  remove.exec();
  auto& insert = statements.prepare(
      "INSERT OR REPLACE INTO spent VALUES (:job, :round, :coordinator, :day, :seal)");
  insert.bind(":job", it.round.job.str());
  insert.bind(":round", it.round.round);
  insert.bind(":coordinator", it.round.coordinator);
  insert.bind(":day", it.round.day);
  insert.bind(":seal", seal_of(it.round).hex());
  insert.exec();
}

void write(Statements& statements, const effect::SavePause& it, UnixMillis) {
  auto& insert =
      statements.prepare("INSERT OR REPLACE INTO pause VALUES (1, :who, :reason, :since)");
  insert.bind(":who", it.pause.who);
  insert.bind(":reason", it.pause.reason);
  insert.bind(":since", it.pause.since_unix_ms);
  insert.exec();
}

void write(Statements& statements, const effect::ClearPause&, UnixMillis) {
  statements.prepare("DELETE FROM pause").exec();
}

}  // namespace entente::agent
