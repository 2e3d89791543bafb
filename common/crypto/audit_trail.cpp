#include "common/crypto/audit_trail.h"

#include <span>
#include <string>

#include "common/crypto/digest.h"

namespace entente {

Digest audit_hash(const Digest& previous, const AuditEntry& entry) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(previous.bytes)));
  hash.update_field(std::to_string(entry.seq));
  hash.update_field(std::to_string(entry.unix_ms));
  hash.update_field(entry.actor);
  hash.update_field(entry.action);
  hash.update_field(entry.object);
  hash.update_field(entry.detail);
  return hash.finish();
}

bool AuditTrail::follow(const AuditEntry& entry) {
  if (entry.seq != last_.seq + 1 || entry.hash != audit_hash(last_.hash, entry)) {
    return false;
  }
  last_ = {entry.seq, entry.hash};
  return true;
}

}  // namespace entente
