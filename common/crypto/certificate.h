// What we read out of an X.509 certificate: the one identity, validity, purposes, fingerprint.
//
// The subject's common name is ignored everywhere: the URI among the subject alternative names is
// the only name that counts (SPIFFE X.509-SVID, section 2).
#pragma once

#include "common/base/blob_id.h"
#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/domain/identity.h"

struct x509_st;

namespace entente {

// A URI SAN that is longer is refused (SPIFFE-ID, section 2.3).
constexpr std::size_t kIdentityUriBytesMax = 2048;

// Refuses with "identity_invalid" unless there is exactly one URI SAN and it is a legal identity.
[[nodiscard]] Expected<Identity> identity_of(const x509_st* certificate);

struct Validity {
  UnixMillis not_before = 0;
  UnixMillis not_after = 0;
};
[[nodiscard]] Validity validity_of(const x509_st* certificate);

// The extended key usages: "serverAuth" and "clientAuth". A certificate without the extension has
// neither, though OpenSSL by itself would take it for both.
struct Purposes {
  bool server = false;
  bool client = false;
  auto operator<=>(const Purposes&) const = default;
};
[[nodiscard]] Purposes purposes_of(const x509_st* certificate);

// A broker serves and never dials, everybody else dials and never serves; nobody does both.
[[nodiscard]] constexpr Purposes purposes_for(Role role) {
  return {.server = role == Role::broker, .client = role != Role::broker};
}

// SHA-256 of the DER form, as `openssl x509 -fingerprint -sha256` prints it.
[[nodiscard]] Digest fingerprint_of(const x509_st* certificate);

}  // namespace entente
