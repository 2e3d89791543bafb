#include "tests/unit/crypto/test_consortium.h"

#include <stdlib.h>

#include <stdexcept>

#include "certs/files.h"
#include "certs/pem_text.h"
#include "common/base/check.h"
#include "common/crypto/pem_files.h"

namespace entente::test {

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "entente-test-XXXXXX").native();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("cannot make a temporary folder");
  }
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestConsortium::TestConsortium(std::string_view name)
    : authority_(pki::Authority::create(folder_.path() / "ca", *ConsortiumId::parse(name), kTestNow)
                     .value()) {}

Kit TestConsortium::broker() {
  return issue({.role = Role::broker,
                .name = "main",
                .hosts = {.dns = {"broker.example"}, .ips = {"127.0.0.1", "::1"}}},
               {});
}

Kit TestConsortium::site(std::string_view name, pki::KitSettings settings) {
  return issue({.role = Role::site, .name = std::string(name), .hosts = {}}, settings);
}

Kit TestConsortium::issue(const pki::Member& member, const pki::KitSettings& settings) {
  const auto folder = folder_.path() / std::to_string(++kits_);
  pki::issue_kit(authority_, member, settings, pki::valid_for(kTestNow, pki::kLeafDays), folder)
      .value();
  return load_kit(folder, kTestNow).value();
}

pki::Leaf TestConsortium::site_leaf() const {
  return pki::leaf_for({.role = Role::site, .name = "north", .hosts = {}}, id(),
                       pki::valid_for(kTestNow, pki::kLeafDays))
      .value();
}

Kit TestConsortium::with_leaf(Role role, const pki::Leaf& leaf) {
  const auto folder = folder_.path() / std::to_string(++kits_);
  const auto ca = folder_.path() / "ca";
  const KeyPtr root_key = read_private_key(ca / "ca-key.pem").value();
  const CertificatePtr root = read_certificate(ca / "ca.pem").value();
  const KeyPtr key = pki::make_key();
  pki::make_private_folder(folder);
  ENTENTE_CHECK(pki::write_new_file(folder / "key.pem", pki::to_pem(key.get()), 0600));
  const CertificatePtr made = pki::make_leaf(key.get(), leaf, root.get(), root_key.get());
  ENTENTE_CHECK(
      pki::complete_kit(folder, id(), authority_.root_pem(), pki::to_pem(made.get()), {}));
  return Kit{.folder = folder,
             .identity = {id(), role, "north"},
             .broker = {},
             .proxy = {},
             .ca_file = folder / "ca.pem",
             .certificate_file = folder / "cert.pem",
             .key_file = folder / "key.pem",
             .crl_file = {}};
}

void set_time(const TlsContext& context, UnixMillis unix_ms) {
  X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(context.handle()),
                             static_cast<time_t>(unix_ms / 1000));
}

}  // namespace entente::test
