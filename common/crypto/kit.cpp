#include "common/crypto/kit.h"

#include <fmt/format.h>

#include <charconv>

#include "common/config/toml_table.h"
#include "common/crypto/certificate.h"
#include "common/crypto/openssl_ptr.h"
#include "common/crypto/pem_files.h"

namespace entente {
namespace {

constexpr const char* kAskForKit =
    "ask your consortium's operator for a matching kit (entente pki issue, or request and sign)";

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

struct Settings {
  ConsortiumId consortium;
  std::string broker;
  std::string proxy;
  std::string crl;
};

Expected<Settings> read_settings(const std::filesystem::path& path) {
  auto file = TomlFile::parse_file(path);
  if (!file) {
    return refuse("kit_invalid", file.error().message, file.error().hint);
  }
  TomlReader root = file->root();
  const std::string consortium = root.string("consortium");
  Settings settings{.consortium = {},
                    .broker = root.string("broker", ""),
                    .proxy = root.string("proxy", ""),
                    .crl = root.string("crl", "")};
  if (const auto id = ConsortiumId::parse(consortium)) {
    settings.consortium = *id;
  } else if (root.has("consortium")) {
    root.problem("consortium", "a consortium's name has 1 to 63 characters of a-z, 0-9, . and -");
  }
  for (const auto& [key, value] :
       {std::pair{"broker", settings.broker}, {"proxy", settings.proxy}}) {
    if (!value.empty() && !is_endpoint(value)) {
      root.problem(key, fmt::format("\"{}\" must have the form host:port", key));
    }
  }
  if (const auto problems = file->problems()) {
    return refuse("kit_invalid", problems->message, problems->hint);
  }
  return settings;
}

// Whether `root` alone vouches for `leaf`, by the rules of a handshake but for the dates. Returns
// OpenSSL's reason when not.
std::string distrust(X509* leaf, X509* root) {
  const OpenSslPtr<X509_STORE, X509_STORE_free> store(X509_STORE_new());
  const OpenSslPtr<X509_STORE_CTX, X509_STORE_CTX_free> check(X509_STORE_CTX_new());
  require_openssl(store && check && X509_STORE_add_cert(store.get(), root) == 1 &&
                      X509_STORE_CTX_init(check.get(), store.get(), leaf, nullptr) == 1,
                  "X509_STORE_CTX_init");
  X509_STORE_CTX_set_flags(check.get(), X509_V_FLAG_X509_STRICT | X509_V_FLAG_NO_CHECK_TIME);
  if (X509_verify_cert(check.get()) == 1) {
    return {};
  }
  static_cast<void>(take_openssl_errors());
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get()));
}

struct Credentials {
  CertificatePtr leaf;
  CertificatePtr root;
};

Expected<Credentials> read_credentials(const Kit& kit) {
  auto root = read_certificate(kit.ca_file);
  if (!root) {
    return tl::unexpected(root.error());
  }
  auto leaf = read_certificate(kit.certificate_file);
  if (!leaf) {
    return tl::unexpected(leaf.error());
  }
  const auto key = read_private_key(kit.key_file);
  if (!key) {
    return tl::unexpected(key.error());
  }
  if (X509_check_private_key(leaf->get(), key->get()) != 1) {
    static_cast<void>(take_openssl_errors());
    return refuse("kit_invalid",
                  fmt::format("{} is not the key of {}", kit.key_file.native(),
                              kit.certificate_file.native()),
                  kAskForKit);
  }
  if (const std::string why = distrust(leaf->get(), root->get()); !why.empty()) {
    return refuse("kit_invalid",
                  fmt::format("{} does not vouch for {}: {}", kit.ca_file.native(),
                              kit.certificate_file.native(), why),
                  kAskForKit);
  }
  return Credentials{std::move(*leaf), std::move(*root)};
}

Expected<Identity> member_identity(const Kit& kit, const X509* leaf,
                                   const ConsortiumId& consortium) {
  const auto identity = identity_of(leaf);
  const std::string file = kit.certificate_file.native();
  if (!identity) {
    return refuse("kit_invalid", fmt::format("{}: {}", file, identity.error().message),
                  identity.error().hint);
  }
  if (identity->consortium != consortium) {
    return refuse("kit_invalid",
                  fmt::format("{} is of the consortium \"{}\", but kit.toml names \"{}\"", file,
                              identity->consortium.str(), consortium.str()),
                  "correct \"consortium\" in kit.toml, or put the right certificate there");
  }
  if (purposes_of(leaf) != purposes_for(identity->role)) {
    return refuse("kit_invalid",
                  fmt::format("{} has the wrong purpose for the role {}: it needs {} alone", file,
                              to_string(identity->role),
                              identity->role == Role::broker ? "serverAuth" : "clientAuth"),
                  kAskForKit);
  }
  return *identity;
}

Expected<Kit> load(const std::filesystem::path& folder, Validity* validity) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return refuse(
        "kit_missing", fmt::format("there is no kit folder {}", folder.native()),
        "name it with --kit or ENTENTE_KIT, a broker's or an agent's as kit in its configuration");
  }
  if (!std::filesystem::exists(folder / "kit.toml", error)) {
    return refuse("kit_missing", fmt::format("{} has no kit.toml", folder.native()), kAskForKit);
  }
  const auto settings = read_settings(folder / "kit.toml");
  if (!settings) {
    return tl::unexpected(settings.error());
  }
  Kit kit{.folder = folder,
          .identity = {},
          .broker = settings->broker,
          .proxy = settings->proxy,
          .ca_file = folder / "ca.pem",
          .certificate_file = folder / "cert.pem",
          .key_file = folder / "key.pem",
          .crl_file = settings->crl.empty() ? std::filesystem::path() : folder / settings->crl};
  const auto credentials = read_credentials(kit);
  if (!credentials) {
    return tl::unexpected(credentials.error());
  }
  const auto identity = member_identity(kit, credentials->leaf.get(), settings->consortium);
  if (!identity) {
    return tl::unexpected(identity.error());
  }
  if (!kit.crl_file.empty()) {
    if (const auto crl = read_crl(kit.crl_file); !crl) {
      return tl::unexpected(crl.error());
    }
  }
  const Validity leaf = validity_of(credentials->leaf.get());
  const Validity root = validity_of(credentials->root.get());
  *validity = {.not_before = std::max(leaf.not_before, root.not_before),
               .not_after = std::min(leaf.not_after, root.not_after)};
  kit.identity = *identity;
  kit.valid_until_unix_ms = validity->not_after;
  return kit;
}

}  // namespace

bool is_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || !is_port(text.substr(colon + 1))) {
    return false;
  }
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return bracketed || host.find_first_of(":[]/@ ") == std::string_view::npos;
}

Expected<Kit> load_kit_unchecked(const std::filesystem::path& folder) {
  Validity ignored;
  return load(folder, &ignored);
}

Expected<Kit> load_kit(const std::filesystem::path& folder, UnixMillis now) {
  Validity validity;
  auto kit = load(folder, &validity);
  if (!kit) {
    return kit;
  }
  const std::string file = kit->certificate_file.native();
  if (now > validity.not_after) {
    return refuse("certificate_expired",
                  fmt::format("{} or its ca.pem expired {} days ago", file,
                              (now - validity.not_after) / 86'400'000),
                  "ask your consortium's operator to sign a fresh one: entente pki sign");
  }
  if (now < validity.not_before) {
    return refuse("certificate_not_yet_valid", fmt::format("{} is not valid yet", file),
                  "check this machine's clock: date --utc");
  }
  return kit;
}

}  // namespace entente
