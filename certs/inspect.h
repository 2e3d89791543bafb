// Everything that a certificate says, for people and for programs. Judges nothing: a certificate
// that no handshake would accept can be looked at too. Texts come from the file as they are; quote
// them (common/base/quote.h) before they reach a terminal.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/crypto/certificate.h"

namespace entente::pki {

struct Inspection {
  Expected<Identity> identity;
  std::vector<std::string> uris;
  std::vector<std::string> dns;
  std::vector<std::string> ips;
  std::string issuer;  // "CN = demo consortium CA", control characters escaped
  std::string serial;
  Digest fingerprint;
  Validity validity;
  Purposes purposes;
  bool is_ca = false;
};

// `path` is a certificate (PEM) or a kit's folder. Refuses with "kit_missing" or "kit_invalid".
[[nodiscard]] Expected<Inspection> inspect(const std::filesystem::path& path);

}  // namespace entente::pki
