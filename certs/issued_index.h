// The CA's memory of what it signed: `issued.tsv`, a line for each certificate.
//
//   serial <tab> member <tab> sha256 <tab> not_before_unix_ms <tab> not_after_unix_ms <tab>
//   revoked_unix_ms
//
// The last field is "-" until the certificate is revoked. Plain text, so that an operator can read
// and back it up without a tool; a line that does not parse makes the whole file refused, as a lost
// row is a certificate that can't be revoked.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/crypto/certificate.h"

namespace entente::pki {

struct IndexRow {
  std::string serial;  // upper-case hex
  std::string member;  // "site/north"
  Digest fingerprint;
  Validity validity;
  UnixMillis revoked_at = 0;  // 0: valid

  [[nodiscard]] bool revoked() const { return revoked_at != 0; }
};

// Refuses with "ca_invalid".
[[nodiscard]] Expected<std::vector<IndexRow>> read_index(const std::filesystem::path& path);
[[nodiscard]] std::string format_index(const std::vector<IndexRow>& rows);

}  // namespace entente::pki
