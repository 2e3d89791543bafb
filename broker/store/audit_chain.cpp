#include "broker/store/audit_chain.h"

#include <string>

#include "common/crypto/digest.h"

namespace entente::broker {
namespace {

Digest hash_of(const Digest& previous, std::int64_t seq, const AuditRow& row) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(previous.bytes)));
  hash.update_field(std::to_string(seq));
  hash.update_field(std::to_string(row.unix_ms));
  hash.update_field(row.actor);
  hash.update_field(row.action);
  hash.update_field(row.object);
  hash.update_field(row.detail);
  return hash.finish();
}

}  // namespace

void AuditChain::append(const AuditRow& row) {
  auto& last = statements_.prepare("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
  std::int64_t seq = 1;
  Digest previous;
  if (last.executeStep()) {
    RowReader reader(last);
    seq = static_cast<std::int64_t>(reader.integer()) + 1;
    previous = reader.required_digest();
  }
  last.reset();
  auto& insert = statements_.prepare("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  Binder(insert)
      .integer(static_cast<std::uint64_t>(seq))
      .integer(static_cast<std::uint64_t>(row.unix_ms))
      .text(row.actor)
      .text(row.action)
      .text(row.object)
      .text(row.detail)
      .digest(previous)
      .digest(hash_of(previous, seq, row));
  insert.exec();
}

std::optional<std::int64_t> AuditChain::first_broken() {
  auto& query = statements_.prepare(
      "SELECT seq, unix_ms, actor, action, object, detail, previous, hash FROM audit"
      " ORDER BY seq");
  Digest previous;
  std::int64_t expected_seq = 1;
  while (query.executeStep()) {
    RowReader reader(query);
    const auto seq = static_cast<std::int64_t>(reader.integer());
    AuditRow row;
    row.unix_ms = static_cast<UnixMillis>(reader.integer());
    row.actor = reader.text();
    row.action = reader.text();
    row.object = reader.text();
    row.detail = reader.text();
    const auto stored_previous = reader.required_digest();
    const auto stored_hash = reader.required_digest();
    if (seq != expected_seq || stored_previous != previous ||
        stored_hash != hash_of(previous, seq, row)) {
      query.reset();
      return seq;
    }
    previous = stored_hash;
    ++expected_seq;
  }
  return std::nullopt;
}

}  // namespace entente::broker
