// Keys, certificates, requests and lists to PEM text.
#pragma once

#include <string>

#include "common/crypto/openssl_ptr.h"

namespace entente::pki {

[[nodiscard]] std::string to_pem(const X509* certificate);
[[nodiscard]] std::string to_pem(const X509_CRL* crl);
[[nodiscard]] std::string to_pem(const X509_REQ* request);
// PKCS #8, unencrypted: the file's mode protects it.
[[nodiscard]] std::string to_pem(const EVP_PKEY* private_key);

}  // namespace entente::pki
