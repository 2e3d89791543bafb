// A kit: the folder with which a member joins a consortium.
//
//   ca.pem     the consortium's root certificate
//   cert.pem   this member's certificate (leaf)
//   key.pem    its private key, mode 0600
//   kit.toml   consortium = "...", broker = "host:port"; optional: crl = "file", proxy =
//   "host:port"
//
// Loading checks everything a later handshake would stumble over, so that errors come early and in
// plain words: key file private (regular, owned by the effective user or root, no group or other
// bits), certificate readable, key and certificate match, certificate signed by ca.pem, within its
// validity, exactly one legal SPIFFE URI, trust domain equal to kit.toml's consortium.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/domain/identity.h"

namespace entente {

struct Kit {
  std::filesystem::path folder;
  Identity identity;
  std::string broker;  // "host:port"; empty in the broker's own kit
  std::string proxy;   // HTTP CONNECT proxy "host:port", or empty
  std::filesystem::path ca_file;
  std::filesystem::path certificate_file;
  std::filesystem::path key_file;
  std::filesystem::path crl_file;  // empty: no revocation list
  UnixMillis valid_until_unix_ms = 0;
};

// Whether `text` has the form "host:port", with an IPv6 address in brackets.
[[nodiscard]] bool is_endpoint(std::string_view text);

// Refuses with codes "kit_missing", "kit_unsafe", "kit_invalid", "certificate_expired",
// "certificate_not_yet_valid", each with the file at fault and the next step.
[[nodiscard]] Expected<Kit> load_kit(const std::filesystem::path& folder, UnixMillis now);

// As load_kit, without the validity check: for inspection and for tests with bad certificates.
[[nodiscard]] Expected<Kit> load_kit_unchecked(const std::filesystem::path& folder);

}  // namespace entente
