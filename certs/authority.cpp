#include "certs/authority.h"

#include <fmt/format.h>
#include <openssl/pem.h>

#include <algorithm>

#include "certs/files.h"
#include "certs/pem_text.h"
#include "certs/profiles.h"
#include "common/base/quote.h"
#include "common/crypto/pem_files.h"

namespace entente::pki {
namespace {

// A request holds one key; far below this.
constexpr std::size_t kRequestBytesMax = 16 << 10;

constexpr const char* kKeyFile = "ca-key.pem";
constexpr const char* kRootFile = "ca.pem";
constexpr const char* kIndexFile = "issued.tsv";
constexpr const char* kCrlFile = "crl.pem";

// An encrypted PEM block would otherwise make OpenSSL ask at the terminal.
int no_password(char*, int, int, void*) { return -1; }

// The root's one URI, "spiffe://<consortium>" without a path (SPIFFE X.509-SVID, section 4.2).
std::optional<ConsortiumId> consortium_of(const X509* root) {
  constexpr std::string_view kScheme = "spiffe://";
  const GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(root, NID_subject_alt_name, nullptr, nullptr)));
  if (!names || sk_GENERAL_NAME_num(names.get()) != 1) {
    return std::nullopt;
  }
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_URI) {
    return std::nullopt;
  }
  const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
  const std::string_view uri(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                             static_cast<std::size_t>(ASN1_STRING_length(text)));
  return uri.starts_with(kScheme) ? ConsortiumId::parse(uri.substr(kScheme.size())) : std::nullopt;
}

long next_crl_number(const std::filesystem::path& path) {
  const auto crl = read_crl(path);
  if (!crl) {
    return 1;
  }
  const OpenSslPtr<ASN1_INTEGER, ASN1_INTEGER_free> number(static_cast<ASN1_INTEGER*>(
      X509_CRL_get_ext_d2i(crl->get(), NID_crl_number, nullptr, nullptr)));
  return number ? ASN1_INTEGER_get(number.get()) + 1 : 1;
}

Expected<KeyPtr> key_of_request(std::string_view pem) {
  constexpr const char* kHint = "have the member make one with: entente pki request --out DIR";
  if (pem.size() > kRequestBytesMax) {
    return refuse("request_invalid", "the signing request is too large", kHint);
  }
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  require_openssl(bio != nullptr, "BIO_new_mem_buf");
  const RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, no_password, nullptr));
  if (!request) {
    return refuse("request_invalid",
                  fmt::format("not a signing request in PEM form ({})", take_openssl_errors()),
                  kHint);
  }
  KeyPtr key(X509_REQ_get_pubkey(request.get()));
  if (!key || !is_allowed_key(key.get())) {
    static_cast<void>(take_openssl_errors());
    return refuse("request_invalid", "the request's key is neither P-256 nor Ed25519", kHint);
  }
  if (X509_REQ_verify(request.get(), key.get()) != 1) {
    static_cast<void>(take_openssl_errors());
    return refuse("request_invalid", "the request is not signed by its own key",
                  "it was changed on the way: have the member send it again");
  }
  return key;
}

}  // namespace

struct Authority::State {
  std::filesystem::path folder;
  ConsortiumId consortium;
  KeyPtr key;
  CertificatePtr root;
  std::string root_pem;

  [[nodiscard]] Expected<std::vector<IndexRow>> rows() const {
    return read_index(folder / kIndexFile);
  }
  void write_rows(const std::vector<IndexRow>& rows) const {
    replace_file(folder / kIndexFile, format_index(rows), 0600);
  }
  void write_crl(const std::vector<IndexRow>& rows, UnixMillis now, int days) const {
    std::vector<Revoked> revoked;
    for (const IndexRow& row : rows) {
      if (row.revoked()) {
        revoked.push_back({.serial = row.serial, .revoked_at = row.revoked_at});
      }
    }
    const CrlPtr crl = make_crl(revoked, next_crl_number(folder / kCrlFile), valid_for(now, days),
                                root.get(), key.get());
    replace_file(folder / kCrlFile, to_pem(crl.get()), 0644);
  }
};

Authority::Authority(std::unique_ptr<State> state) : state_(std::move(state)) {}
Authority::~Authority() = default;
Authority::Authority(Authority&&) noexcept = default;
Authority& Authority::operator=(Authority&&) noexcept = default;

const ConsortiumId& Authority::consortium() const { return state_->consortium; }
const std::filesystem::path& Authority::folder() const { return state_->folder; }
const std::string& Authority::root_pem() const { return state_->root_pem; }

Expected<Authority> Authority::create(const std::filesystem::path& folder,
                                      const ConsortiumId& consortium, UnixMillis now) {
  make_private_folder(folder);
  const FolderLock lock(folder);
  for (const char* file : {kKeyFile, kRootFile, kIndexFile}) {
    if (std::filesystem::exists(folder / file)) {
      return refuse("ca_exists", fmt::format("{} holds a CA already", folder.native()),
                    "name another folder with --dir; replacing a CA means a kit for every member");
    }
  }
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->consortium = consortium;
  state->key = make_key();
  state->root = make_root(state->key.get(), consortium, valid_for(now, kRootDays));
  state->root_pem = to_pem(state->root.get());
  if (auto written = write_new_file(folder / kKeyFile, to_pem(state->key.get()), 0600); !written) {
    return tl::unexpected(written.error());
  }
  state->write_rows({});
  state->write_crl({}, now, kCrlDays);
  // Last, as it is what `open` looks for: a folder where this is missing is no CA yet.
  replace_file(folder / kRootFile, state->root_pem, 0644);
  return Authority(std::move(state));
}

Expected<Authority> Authority::open(const std::filesystem::path& folder) {
  if (std::error_code ignored; !std::filesystem::exists(folder / kRootFile, ignored)) {
    return refuse("ca_missing", fmt::format("there is no CA in {}", folder.native()),
                  "make one with: entente pki init --consortium NAME --dir DIR");
  }
  auto root = read_certificate(folder / kRootFile);
  if (!root) {
    return tl::unexpected(root.error());
  }
  auto key = read_private_key(folder / kKeyFile);
  if (!key) {
    return tl::unexpected(key.error());
  }
  const auto consortium = consortium_of(root->get());
  if (!consortium || X509_check_private_key(root->get(), key->get()) != 1) {
    static_cast<void>(take_openssl_errors());
    return refuse("ca_invalid",
                  fmt::format("{} and {} in {} do not belong together as a consortium's CA",
                              kRootFile, kKeyFile, folder.native()),
                  "restore the folder from a backup");
  }
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->consortium = *consortium;
  state->root_pem = to_pem(root->get());
  state->root = std::move(*root);
  state->key = std::move(*key);
  return Authority(std::move(state));
}

Expected<Issued> Authority::sign_request(std::string_view request_pem, const Member& member,
                                         Validity validity) {
  const auto leaf = leaf_for(member, state_->consortium, validity);
  if (!leaf) {
    return tl::unexpected(leaf.error());
  }
  const auto key = key_of_request(request_pem);
  if (!key) {
    return tl::unexpected(key.error());
  }
  const CertificatePtr certificate =
      make_leaf(key->get(), *leaf, state_->root.get(), state_->key.get());
  Issued issued{.identity = {state_->consortium, member.role, member.name},
                .certificate_pem = to_pem(certificate.get()),
                .row = {.serial = serial_of(certificate.get()),
                        .member = {},
                        .fingerprint = fingerprint_of(certificate.get()),
                        .validity = validity,
                        .revoked_at = 0}};
  issued.row.member = issued.identity.path();

  const FolderLock lock(state_->folder);
  auto rows = state_->rows();
  if (!rows) {
    return tl::unexpected(rows.error());
  }
  rows->push_back(issued.row);
  state_->write_rows(*rows);
  return issued;
}

template <class Matches>
Expected<std::vector<IndexRow>> Authority::revoke(Matches matches, UnixMillis now, int crl_days) {
  const FolderLock lock(state_->folder);
  auto rows = state_->rows();
  if (!rows) {
    return rows;
  }
  std::vector<IndexRow> revoked;
  for (IndexRow& row : *rows) {
    if (!row.revoked() && matches(row)) {
      row.revoked_at = now;
      revoked.push_back(row);
    }
  }
  if (!revoked.empty()) {
    state_->write_rows(*rows);
    state_->write_crl(*rows, now, crl_days);
  }
  return revoked;
}

Expected<std::vector<IndexRow>> Authority::revoke_member(std::string_view member, UnixMillis now,
                                                         int crl_days) {
  auto revoked = revoke([&](const IndexRow& row) { return row.member == member; }, now, crl_days);
  if (revoked && revoked->empty()) {
    return refuse("certificate_unknown",
                  fmt::format("this CA has no unrevoked certificate of {}", quote(member)),
                  fmt::format("see {}", (state_->folder / kIndexFile).native()));
  }
  return revoked;
}

Expected<std::vector<IndexRow>> Authority::revoke_serial(std::string_view serial, UnixMillis now,
                                                         int crl_days) {
  std::string wanted(serial);
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c; });
  auto revoked = revoke([&](const IndexRow& row) { return row.serial == wanted; }, now, crl_days);
  if (revoked && revoked->empty()) {
    return refuse(
        "certificate_unknown",
        fmt::format("this CA has no unrevoked certificate with the serial {}", quote(serial)),
        fmt::format("see {}", (state_->folder / kIndexFile).native()));
  }
  return revoked;
}

Expected<void> Authority::refresh_crl(UnixMillis now, int crl_days) {
  const FolderLock lock(state_->folder);
  const auto rows = state_->rows();
  if (!rows) {
    return tl::unexpected(rows.error());
  }
  state_->write_crl(*rows, now, crl_days);
  return {};
}

Expected<std::vector<IndexRow>> Authority::issued() const { return state_->rows(); }

}  // namespace entente::pki
