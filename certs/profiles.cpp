#include "certs/profiles.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/ec.h>

#include <algorithm>
#include <array>

#include "common/base/quote.h"

namespace entente::pki {
namespace {

using BignumPtr = OpenSslPtr<BIGNUM, BN_free>;
using ExtensionPtr = OpenSslPtr<X509_EXTENSION, X509_EXTENSION_free>;
using GeneralNamePtr = OpenSslPtr<GENERAL_NAME, GENERAL_NAME_free>;
using TimePtr = OpenSslPtr<ASN1_TIME, ASN1_TIME_free>;

constexpr int kSerialBits = 127;

// Ed25519 has its digest built in; OpenSSL wants none named.
const EVP_MD* digest_for(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256();
}

TimePtr asn1_time(UnixMillis unix_ms) {
  TimePtr time(ASN1_TIME_set(nullptr, static_cast<time_t>(unix_ms / 1000)));
  require_openssl(time != nullptr, "ASN1_TIME_set");
  return time;
}

void set_common_name(X509_NAME* name, const std::string& text) {
  require_openssl(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                             reinterpret_cast<const unsigned char*>(text.data()),
                                             static_cast<int>(text.size()), -1, 0) == 1,
                  "X509_NAME_add_entry_by_txt");
}

void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  require_openssl(extension && X509_add_ext(certificate, extension.get(), -1) == 1, value);
}

// Built from objects: names in OpenSSL's configuration text could smuggle in further fields.
GeneralNamePtr text_name(int type, const std::string& text) {
  GeneralNamePtr name(GENERAL_NAME_new());
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  require_openssl(
      name && value && ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())) == 1,
      "GENERAL_NAME_new");
  GENERAL_NAME_set0_value(name.get(), type, value);
  return name;
}

GeneralNamePtr address_name(const std::string& text) {
  GeneralNamePtr name(GENERAL_NAME_new());
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(text.c_str());
  require_openssl(name && address, "a2i_IPADDRESS");
  GENERAL_NAME_set0_value(name.get(), GEN_IPADD, address);
  return name;
}

void add_names(X509* certificate, const Leaf& leaf) {
  const GeneralNamesPtr names(GENERAL_NAMES_new());
  require_openssl(names != nullptr, "GENERAL_NAMES_new");
  const auto push = [&](GeneralNamePtr name) {
    require_openssl(sk_GENERAL_NAME_push(names.get(), name.get()) > 0, "sk_GENERAL_NAME_push");
    static_cast<void>(name.release());
  };
  for (const std::string& uri : leaf.uris) {
    push(text_name(GEN_URI, uri));
  }
  for (const std::string& dns : leaf.dns) {
    push(text_name(GEN_DNS, dns));
  }
  for (const std::string& ip : leaf.ips) {
    push(address_name(ip));
  }
  if (sk_GENERAL_NAME_num(names.get()) > 0) {
    require_openssl(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0,
                                      X509V3_ADD_DEFAULT) == 1,
                    "X509_add1_ext_i2d");
  }
}

void set_random_serial(X509* certificate) {
  const BignumPtr number(BN_new());
  require_openssl(
      number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
          BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
      "BN_rand");
}

CertificatePtr blank_certificate(EVP_PKEY* key, Validity validity) {
  CertificatePtr certificate(X509_new());
  require_openssl(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                      X509_set_pubkey(certificate.get(), key) == 1,
                  "X509_new");
  set_random_serial(certificate.get());
  require_openssl(
      X509_set1_notBefore(certificate.get(), asn1_time(validity.not_before).get()) == 1 &&
          X509_set1_notAfter(certificate.get(), asn1_time(validity.not_after).get()) == 1,
      "X509_set1_notBefore");
  return certificate;
}

bool is_address(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return ::inet_pton(AF_INET, text.c_str(), ignored.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), ignored.data()) == 1;
}

// Letters, digits, dots and hyphens; no wildcard, as one certificate stands for one broker.
bool is_host_name(const std::string& text) {
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-';
  }) && !is_address(text);
}

tl::unexpected<Refusal> bad_profile(std::string message, std::string hint = {}) {
  return refuse("profile_invalid", std::move(message), std::move(hint));
}

void add_revoked(X509_CRL* crl, const Revoked& entry) {
  BIGNUM* parsed = nullptr;
  require_openssl(BN_hex2bn(&parsed, entry.serial.c_str()) > 0, "BN_hex2bn");
  const BignumPtr number(parsed);
  const OpenSslPtr<ASN1_INTEGER, ASN1_INTEGER_free> serial(
      BN_to_ASN1_INTEGER(number.get(), nullptr));
  OpenSslPtr<X509_REVOKED, X509_REVOKED_free> row(X509_REVOKED_new());
  require_openssl(
      serial && row && X509_REVOKED_set_serialNumber(row.get(), serial.get()) == 1 &&
          X509_REVOKED_set_revocationDate(row.get(), asn1_time(entry.revoked_at).get()) == 1 &&
          X509_CRL_add0_revoked(crl, row.get()) == 1,
      "X509_CRL_add0_revoked");
  static_cast<void>(row.release());
}

}  // namespace

Expected<Leaf> leaf_for(const Member& member, const ConsortiumId& consortium, Validity validity) {
  const Hosts& hosts = member.hosts;
  if (!is_name(member.name)) {
    return bad_profile(fmt::format("{} is not a legal name", quote(member.name)),
                       "a name has 1 to 63 characters of a-z, 0-9, . and -, beginning and ending "
                       "with a letter or digit");
  }
  const bool serves = member.role == Role::broker;
  const bool has_hosts = !hosts.dns.empty() || !hosts.ips.empty();
  if (serves != has_hosts) {
    return serves ? bad_profile("a broker's certificate must say where it is reached",
                                "add --dns NAME or --ip ADDRESS, once for each")
                  : bad_profile("only a broker is reached at a host name or an address",
                                "leave out --dns and --ip");
  }
  for (const std::string& name : hosts.dns) {
    if (!is_host_name(name)) {
      return bad_profile(fmt::format("{} is not a host name", quote(name)),
                         "an address belongs to --ip; wildcards are not used");
    }
  }
  for (const std::string& address : hosts.ips) {
    if (!is_address(address)) {
      return bad_profile(fmt::format("{} is not an IP address", quote(address)));
    }
  }
  if (validity.not_after <= validity.not_before) {
    return bad_profile("the certificate would end before it begins");
  }
  return Leaf{.common_name = member.name,
              .uris = {Identity{consortium, member.role, member.name}.uri()},
              .dns = hosts.dns,
              .ips = hosts.ips,
              .purposes = purposes_for(member.role),
              .validity = validity};
}

KeyPtr make_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  require_openssl(key != nullptr, "EVP_EC_gen");
  return key;
}

CertificatePtr make_root(EVP_PKEY* key, const ConsortiumId& consortium, Validity validity) {
  CertificatePtr root = blank_certificate(key, validity);
  set_common_name(X509_get_subject_name(root.get()), consortium.str() + " consortium CA");
  require_openssl(X509_set_issuer_name(root.get(), X509_get_subject_name(root.get())) == 1,
                  "X509_set_issuer_name");
  add_extension(root.get(), root.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(root.get(), root.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(root.get(), root.get(), NID_subject_key_identifier, "hash");
  const Leaf names{.common_name = {},
                   .uris = {"spiffe://" + consortium.str()},
                   .dns = {},
                   .ips = {},
                   .purposes = {},
                   .validity = {}};
  add_names(root.get(), names);
  require_openssl(X509_sign(root.get(), key, digest_for(key)) > 0, "X509_sign");
  return root;
}

CertificatePtr make_leaf(EVP_PKEY* member_key, const Leaf& leaf, X509* root, EVP_PKEY* root_key) {
  CertificatePtr certificate = blank_certificate(member_key, leaf.validity);
  X509* made = certificate.get();
  set_common_name(X509_get_subject_name(made), leaf.common_name);
  require_openssl(X509_set_issuer_name(made, X509_get_subject_name(root)) == 1,
                  "X509_set_issuer_name");
  add_extension(made, root, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(made, root, NID_key_usage, "critical,digitalSignature");
  if (leaf.purposes.server) {
    add_extension(made, root, NID_ext_key_usage,
                  leaf.purposes.client ? "serverAuth,clientAuth" : "serverAuth");
  } else if (leaf.purposes.client) {
    add_extension(made, root, NID_ext_key_usage, "clientAuth");
  }
  add_extension(made, root, NID_subject_key_identifier, "hash");
  add_extension(made, root, NID_authority_key_identifier, "keyid:always");
  add_names(made, leaf);
  require_openssl(X509_sign(made, root_key, digest_for(root_key)) > 0, "X509_sign");
  return certificate;
}

CrlPtr make_crl(const std::vector<Revoked>& revoked, long number, Validity validity, X509* root,
                EVP_PKEY* root_key) {
  CrlPtr crl(X509_CRL_new());
  require_openssl(
      crl && X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
          X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(root)) == 1 &&
          X509_CRL_set1_lastUpdate(crl.get(), asn1_time(validity.not_before).get()) == 1 &&
          X509_CRL_set1_nextUpdate(crl.get(), asn1_time(validity.not_after).get()) == 1,
      "X509_CRL_new");
  for (const Revoked& entry : revoked) {
    add_revoked(crl.get(), entry);
  }
  require_openssl(X509_CRL_sort(crl.get()) == 1, "X509_CRL_sort");

  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, root, nullptr, nullptr, crl.get(), 0);
  const ExtensionPtr issuer(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  const OpenSslPtr<ASN1_INTEGER, ASN1_INTEGER_free> count(ASN1_INTEGER_new());
  require_openssl(issuer && count && X509_CRL_add_ext(crl.get(), issuer.get(), -1) == 1 &&
                      ASN1_INTEGER_set(count.get(), number) == 1 &&
                      X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, count.get(), 0,
                                            X509V3_ADD_DEFAULT) == 1 &&
                      X509_CRL_sign(crl.get(), root_key, digest_for(root_key)) > 0,
                  "X509_CRL_sign");
  return crl;
}

RequestPtr make_request(EVP_PKEY* key) {
  RequestPtr request(X509_REQ_new());
  require_openssl(request && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                      X509_REQ_set_pubkey(request.get(), key) == 1,
                  "X509_REQ_new");
  set_common_name(X509_REQ_get_subject_name(request.get()), "entente member");
  require_openssl(X509_REQ_sign(request.get(), key, digest_for(key)) > 0, "X509_REQ_sign");
  return request;
}

bool is_allowed_key(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) {
    return true;
  }
  std::array<char, 32> group{};
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1 &&
         std::string_view(group.data()) == SN_X9_62_prime256v1;
}

std::string serial_of(const X509* certificate) {
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  const OpenSslPtr<char, [](char* text) { OPENSSL_free(text); }> hex(BN_bn2hex(number.get()));
  require_openssl(hex != nullptr, "BN_bn2hex");
  return hex.get();
}

}  // namespace entente::pki
