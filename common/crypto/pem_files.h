// Reading keys, certificates and revocation lists from PEM files, none of them trusted.
//
// A file must be a regular one and small. A private key must besides be private: opened without
// following a symbolic link, owned by the effective user or root, and with no permission for group
// or others; an encrypted key is refused instead of asking at the terminal.
//
// Refusals: "kit_missing" (no such file), "kit_unsafe" (a key that others may read), "kit_invalid".
#pragma once

#include <filesystem>
#include <string>

#include "common/base/refusal.h"
#include "common/crypto/openssl_ptr.h"

namespace entente {

// The bytes of a regular file of at most `bytes_max`.
[[nodiscard]] Expected<std::string> read_small_file(const std::filesystem::path& path,
                                                    std::size_t bytes_max);

[[nodiscard]] Expected<KeyPtr> read_private_key(const std::filesystem::path& path);
[[nodiscard]] Expected<CertificatePtr> read_certificate(const std::filesystem::path& path);
[[nodiscard]] Expected<CrlPtr> read_crl(const std::filesystem::path& path);

}  // namespace entente
