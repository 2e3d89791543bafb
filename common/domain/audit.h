// One entry of the broker's audit log: who did what to what, and when. Entries are numbered from 1
// without gaps, and each one's hash covers the entry and the hash before it (crypto/audit_trail.h).
#pragma once

#include <cstdint>
#include <string>

#include "common/base/blob_id.h"
#include "common/base/time.h"

namespace entente {

struct AuditEntry {
  std::uint64_t seq = 0;
  UnixMillis unix_ms = 0;
  std::string actor;   // "coordinator/alice", "broker"
  std::string action;  // "job.submit", "update.accept"
  std::string object;  // "job/lung-3"
  std::string detail;
  Digest hash;

  bool operator==(const AuditEntry&) const = default;
};

}  // namespace entente
