#include "certs/pem_text.h"

#include <openssl/pem.h>

namespace entente::pki {
namespace {

template <class Write>
std::string written(Write write) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  require_openssl(bio && write(bio.get()) == 1, "PEM_write_bio");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

std::string to_pem(const X509* certificate) {
  return written([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::string to_pem(const X509_CRL* crl) {
  return written([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, crl); });
}

std::string to_pem(const X509_REQ* request) {
  return written([&](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request); });
}

std::string to_pem(const EVP_PKEY* private_key) {
  return written([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, private_key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

}  // namespace entente::pki
