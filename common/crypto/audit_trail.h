// The audit log's hash chain. The hash of entry n is the SHA-256 over the hash of entry n - 1 (32
// zero bytes for the first) and the entry's fields (schemas/coordinator.capnp); so an entry that
// was changed, removed or put in between does not follow from what stands before it.
//
// Whoever keeps the number and hash of one entry can tell later whether anything up to it was
// rewritten: the broker's operator included, who could compute a whole new chain.
#pragma once

#include "common/domain/audit.h"

namespace entente {

// Of `entry`, whose own `hash` is not looked at.
[[nodiscard]] Digest audit_hash(const Digest& previous, const AuditEntry& entry);

// An entry that is trusted; by default the place before the first one.
struct AuditMark {
  std::uint64_t seq = 0;
  Digest hash{};

  bool operator==(const AuditMark&) const = default;
};

// Follows a chain entry by entry.
class AuditTrail {
 public:
  explicit AuditTrail(AuditMark from = {}) : last_(from) {}

  // False when `entry` is not the one that follows; the trail then stays where it is.
  [[nodiscard]] bool follow(const AuditEntry& entry);

  [[nodiscard]] const AuditMark& last() const { return last_; }

 private:
  AuditMark last_;
};

}  // namespace entente
