// The audit log as the database keeps it: a hash chain (common/crypto/audit_trail.h), so that a row
// that was changed, removed or put in between is found.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/core/rows.h"
#include "common/domain/audit.h"
#include "common/storage/statements.h"

namespace entente::broker {

class AuditChain {
 public:
  explicit AuditChain(Statements& statements) : statements_(statements) {}

  // Within the caller's transaction.
  void append(const AuditRow& row);
  // The number of the first row that does not fit; nothing when the chain is whole.
  [[nodiscard]] std::optional<std::int64_t> first_broken();

  // Entries after `after_seq` in order, as many as fit into one message.
  [[nodiscard]] std::vector<AuditEntry> page(std::uint64_t after_seq);
  // The newest `limit` entries, about `job` and its models where one is named, the very newest
  // last. What is too much for one message is left out.
  [[nodiscard]] std::vector<AuditEntry> newest(const std::optional<JobId>& job, std::size_t limit);

 private:
  Statements& statements_;
};

}  // namespace entente::broker
