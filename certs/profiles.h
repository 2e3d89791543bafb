// The certificates and lists that a consortium's CA makes, each with all of its fields.
//
// clang-format off
//            root                     leaf                               revocation list
//   key      P-256                    P-256 or Ed25519                   -
//   life     10 years                 90 days unless told otherwise      30 days unless told
//   names    URI spiffe://CONSORTIUM  URI spiffe://CONSORTIUM/ROLE/NAME, -
//                                     a broker also DNS names, addresses
//   usage    keyCertSign, cRLSign     digitalSignature (critical)        -
//            (critical)
//   EKU      -                        broker serverAuth, others          -
//                                     clientAuth; never both
//   basic    CA:TRUE, pathlen 0       CA:FALSE (critical)                -
//   ids      subject key              subject key, authority key         authority key, number
// clang-format on
//
// The subject's CN repeats the name for people who look at it with other tools; no program reads
// it. Serial numbers are random (127 bits), so that a CA restored from a backup repeats none.
// `x509_strict` verification (RFC 5280) accepts all of them; nothing here reads a clock or a file.
#pragma once

#include <string>
#include <vector>

#include "certs/member.h"
#include "common/crypto/certificate.h"
#include "common/crypto/openssl_ptr.h"

namespace entente::pki {

// What a leaf certificate says. `leaf_for` fills it by the rules above; tests make illegal ones.
struct Leaf {
  std::string common_name;
  std::vector<std::string> uris;
  std::vector<std::string> dns;
  std::vector<std::string> ips;
  Purposes purposes;
  Validity validity;
};

// Refuses with "profile_invalid": a name that is none, hosts for a role that does not serve, a
// broker without any, an empty validity.
[[nodiscard]] Expected<Leaf> leaf_for(const Member& member, const ConsortiumId& consortium,
                                      Validity validity);

struct Revoked {
  std::string serial;  // hex, as serial_of gives it
  UnixMillis revoked_at = 0;
};

[[nodiscard]] KeyPtr make_key();
[[nodiscard]] CertificatePtr make_root(EVP_PKEY* key, const ConsortiumId& consortium,
                                       Validity validity);
[[nodiscard]] CertificatePtr make_leaf(EVP_PKEY* member_key, const Leaf& leaf, X509* root,
                                       EVP_PKEY* root_key);
[[nodiscard]] CrlPtr make_crl(const std::vector<Revoked>& revoked, long number, Validity validity,
                              X509* root, EVP_PKEY* root_key);
// A signing request that carries a key and proves its possession; the names are the signer's.
[[nodiscard]] RequestPtr make_request(EVP_PKEY* key);

// Whether a leaf may carry this key: P-256 or Ed25519, nothing else is negotiated.
[[nodiscard]] bool is_allowed_key(const EVP_PKEY* key);

// Upper-case hex, as `openssl x509 -serial` prints it.
[[nodiscard]] std::string serial_of(const X509* certificate);

}  // namespace entente::pki
