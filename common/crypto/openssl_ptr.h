// Owning pointers for the OpenSSL objects that we use, and one way to read its error queue.
//
// For source files, and for the few headers that only such files include: elsewhere no OpenSSL type
// appears but forward-declared handles.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace entente {

template <auto free_function>
struct OpenSslFree {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};

template <class T, auto free_function>
using OpenSslPtr = std::unique_ptr<T, OpenSslFree<free_function>>;

using BioPtr = OpenSslPtr<BIO, BIO_free>;
using CertificatePtr = OpenSslPtr<X509, X509_free>;
using CrlPtr = OpenSslPtr<X509_CRL, X509_CRL_free>;
using ExtendedKeyUsagePtr = OpenSslPtr<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>;
using GeneralNamesPtr = OpenSslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;
using KeyPtr = OpenSslPtr<EVP_PKEY, EVP_PKEY_free>;
using RequestPtr = OpenSslPtr<X509_REQ, X509_REQ_free>;
using TrustCheckPtr = OpenSslPtr<X509_STORE_CTX, X509_STORE_CTX_free>;
using SslContextPtr = OpenSslPtr<SSL_CTX, SSL_CTX_free>;
using SslPtr = OpenSslPtr<SSL, SSL_free>;

// The errors that OpenSSL has queued on this thread, oldest first, joined by "; ". Empties the
// queue.
[[nodiscard]] std::string take_openssl_errors();

// For calls that fail only when memory or the library does: throws std::runtime_error with
// `what` and OpenSSL's own words.
void require_openssl(bool succeeded, const char* what);

}  // namespace entente
