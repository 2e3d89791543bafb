#include "common/crypto/certificate.h"

#include <fmt/format.h>
#include <time.h>

#include "common/crypto/openssl_ptr.h"

namespace entente {
namespace {

UnixMillis unix_ms(const ASN1_TIME* time) {
  struct tm parts {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return 0;
  }
  return static_cast<UnixMillis>(::timegm(&parts)) * 1000;
}

}  // namespace

Expected<Identity> identity_of(const x509_st* certificate) {
  constexpr const char* kHint =
      "ask your consortium's operator for a certificate made by: entente pki issue or sign";
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string uri;
  int uris = 0;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) {
      continue;
    }
    ++uris;
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uri.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
               static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  if (uris != 1) {
    return refuse("identity_invalid",
                  fmt::format("the certificate carries {} URI names instead of one", uris), kHint);
  }
  // The text is the peer's: it is shown to nobody before it has been found legal.
  const auto identity =
      uri.size() <= kIdentityUriBytesMax ? Identity::parse_uri(uri) : std::nullopt;
  if (!identity) {
    return refuse("identity_invalid",
                  "the certificate's URI is not of the form spiffe://CONSORTIUM/ROLE/NAME", kHint);
  }
  return *identity;
}

Validity validity_of(const x509_st* certificate) {
  return {.not_before = unix_ms(X509_get0_notBefore(certificate)),
          .not_after = unix_ms(X509_get0_notAfter(certificate))};
}

Purposes purposes_of(const x509_st* certificate) {
  const ExtendedKeyUsagePtr usages(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
  Purposes purposes;
  for (int i = 0; usages && i < sk_ASN1_OBJECT_num(usages.get()); ++i) {
    switch (OBJ_obj2nid(sk_ASN1_OBJECT_value(usages.get(), i))) {
      case NID_server_auth:
        purposes.server = true;
        break;
      case NID_client_auth:
        purposes.client = true;
        break;
      case NID_anyExtendedKeyUsage:
        purposes = {.server = true, .client = true};
        break;
      default:
        break;
    }
  }
  return purposes;
}

Digest fingerprint_of(const x509_st* certificate) {
  Digest digest;
  require_openssl(X509_digest(certificate, EVP_sha256(), digest.bytes.data(), nullptr) == 1,
                  "X509_digest");
  return digest;
}

}  // namespace entente
