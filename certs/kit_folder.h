// Making a member's kit (common/crypto/kit.h), in one step or in two.
//
// Two steps are the recommended way: `request_kit` at the member, Authority::sign_request at the
// operator, `complete_kit` at the member; the private key never leaves the member's machine.
// `issue_kit` does all of it in one place, for trials and tests. Nothing is ever overwritten
// ("file_exists"). Disk failures throw std::system_error.
#pragma once

#include <filesystem>
#include <string>

#include "certs/authority.h"

namespace entente::pki {

// What kit.toml says beside the consortium; an empty one is left out.
struct KitSettings {
  std::string broker;  // "host:port"; empty in the broker's own kit
  std::string proxy;   // "host:port"
  std::string crl;     // a file, relative to the kit's folder
};

// Makes `folder` with key.pem and request.csr; returns the request's text.
[[nodiscard]] Expected<std::string> request_kit(const std::filesystem::path& folder);

// Adds ca.pem, cert.pem and kit.toml to a folder that holds the matching key.pem.
[[nodiscard]] Expected<void> complete_kit(const std::filesystem::path& folder,
                                          const ConsortiumId& consortium,
                                          const std::string& root_pem,
                                          const std::string& certificate_pem,
                                          const KitSettings& settings);

// A whole kit in `folder`. Refuses with the codes of Authority::sign_request and "file_exists".
[[nodiscard]] Expected<Issued> issue_kit(Authority& authority, const Member& member,
                                         const KitSettings& settings, Validity validity,
                                         const std::filesystem::path& folder);

}  // namespace entente::pki
