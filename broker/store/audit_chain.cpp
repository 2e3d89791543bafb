#include "broker/store/audit_chain.h"

#include <algorithm>

#include "broker/store/row_values.h"
#include "common/crypto/audit_trail.h"

namespace entente::broker {
namespace {

// Of one answer, well below the bound of a control message.
constexpr std::size_t kPageEntries = 500;
constexpr std::size_t kPageBytes = 512 << 10;

AuditEntry read(RowReader& row) {
  AuditEntry entry;
  entry.seq = row.integer();
  entry.unix_ms = static_cast<UnixMillis>(row.integer());
  entry.actor = row.text();
  entry.action = row.text();
  entry.object = row.text();
  entry.detail = row.text();
  entry.hash = row.required_digest();
  return entry;
}

// Entries in the order of the query until one more would be too much for a message.
std::vector<AuditEntry> read_page(SQLite::Statement& query) {
  std::vector<AuditEntry> entries;
  std::size_t bytes = 0;
  while (query.executeStep()) {
    RowReader row(query);
    auto entry = read(row);
    bytes += entry.actor.size() + entry.action.size() + entry.object.size() + entry.detail.size();
    if (bytes > kPageBytes && !entries.empty()) {
      break;
    }
    entries.push_back(std::move(entry));
  }
  query.reset();
  return entries;
}

}  // namespace

void AuditChain::append(const AuditRow& row) {
  auto& last = statements_.prepare("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
  AuditEntry entry{1, row.unix_ms, row.actor, row.action, row.object, row.detail, {}};
  Digest previous;
  if (last.executeStep()) {
    RowReader reader(last);
    entry.seq = reader.integer() + 1;
    previous = reader.required_digest();
  }
  last.reset();
  auto& insert = statements_.prepare("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  Binder(insert)
      .integer(entry.seq)
      .integer(static_cast<std::uint64_t>(row.unix_ms))
      .text(row.actor)
      .text(row.action)
      .text(row.object)
      .text(row.detail)
      .digest(previous)
      .digest(audit_hash(previous, entry));
  insert.exec();
}

std::optional<std::int64_t> AuditChain::first_broken() {
  auto& query = statements_.prepare(
      "SELECT seq, unix_ms, actor, action, object, detail, hash, previous FROM audit"
      " ORDER BY seq");
  AuditTrail trail;
  while (query.executeStep()) {
    RowReader row(query);
    const auto entry = read(row);
    const auto stored_previous = row.required_digest();
    if (stored_previous != trail.last().hash || !trail.follow(entry)) {
      query.reset();
      return static_cast<std::int64_t>(entry.seq);
    }
  }
  return std::nullopt;
}

std::vector<AuditEntry> AuditChain::page(std::uint64_t after_seq) {
  auto& query = statements_.prepare(
      "SELECT seq, unix_ms, actor, action, object, detail, hash FROM audit"
      " WHERE seq > ? ORDER BY seq LIMIT ?");
  Binder(query).integer(after_seq).integer(kPageEntries);
  return read_page(query);
}

std::vector<AuditEntry> AuditChain::newest(const std::optional<JobId>& job, std::size_t limit) {
  auto& query = statements_.prepare(
      "SELECT seq, unix_ms, actor, action, object, detail, hash FROM audit"
      " WHERE ?1 = '' OR object = 'job/' || ?1 OR object GLOB 'job/' || ?1 || '/*'"
      " OR object GLOB 'model/' || ?1 || '@*'"
      " ORDER BY seq DESC LIMIT ?2");
  Binder(query).text(job ? job->str() : "").integer(std::min(limit, kPageEntries));
  auto entries = read_page(query);
  std::reverse(entries.begin(), entries.end());
  return entries;
}

}  // namespace entente::broker
