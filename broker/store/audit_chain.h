// The audit log as a hash chain: each row's hash covers the row and the hash before it, so that a
// row that was changed, removed or put in between is found.
#pragma once

#include <cstdint>
#include <optional>

#include "broker/core/rows.h"
#include "broker/store/statements.h"

namespace entente::broker {

class AuditChain {
 public:
  explicit AuditChain(Statements& statements) : statements_(statements) {}

  // Within the caller's transaction.
  void append(const AuditRow& row);
  // The number of the first row that does not fit; nothing when the chain is whole.
  [[nodiscard]] std::optional<std::int64_t> first_broken();

 private:
  Statements& statements_;
};

}  // namespace entente::broker
