#include "certs/inspect.h"

#include <arpa/inet.h>

#include <array>

#include "certs/profiles.h"
#include "common/crypto/pem_files.h"

namespace entente::pki {
namespace {

std::string text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string address_of(const ASN1_OCTET_STRING* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int size = ASN1_STRING_length(address);
  const int family = size == sizeof(in_addr) ? AF_INET : AF_INET6;
  if (size != sizeof(in_addr) && size != sizeof(in6_addr)) {
    return "malformed";
  }
  return ::inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size());
}

void add_names(const X509* certificate, Inspection& inspection) {
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI) {
      inspection.uris.push_back(text_of(name->d.uniformResourceIdentifier));
    } else if (name->type == GEN_DNS) {
      inspection.dns.push_back(text_of(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
      inspection.ips.push_back(address_of(name->d.iPAddress));
    }
  }
}

std::string one_line(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  require_openssl(bio && X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_ONELINE) >= 0,
                  "X509_NAME_print_ex");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

Expected<Inspection> inspect(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool is_kit = std::filesystem::is_directory(path, ignored);
  const auto certificate = read_certificate(is_kit ? path / "cert.pem" : path);
  if (!certificate) {
    return tl::unexpected(certificate.error());
  }
  X509* read = certificate->get();
  Inspection inspection{.identity = identity_of(read),
                        .uris = {},
                        .dns = {},
                        .ips = {},
                        .issuer = one_line(X509_get_issuer_name(read)),
                        .serial = serial_of(read),
                        .fingerprint = fingerprint_of(read),
                        .validity = validity_of(read),
                        .purposes = purposes_of(read),
                        .is_ca = X509_check_ca(read) > 0};
  add_names(read, inspection);
  return inspection;
}

}  // namespace entente::pki
