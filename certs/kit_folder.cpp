#include "certs/kit_folder.h"

#include <fmt/format.h>

#include <algorithm>

#include "certs/files.h"
#include "certs/pem_text.h"
#include "certs/profiles.h"
#include "common/base/quote.h"

namespace entente::pki {
namespace {

// Values go between TOML's quotes as they are.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

Expected<std::string> kit_toml(const ConsortiumId& consortium, const KitSettings& settings) {
  std::string text = fmt::format("consortium = \"{}\"\n", consortium.str());
  for (const auto& [key, value] :
       {std::pair{"broker", settings.broker}, {"proxy", settings.proxy}, {"crl", settings.crl}}) {
    if (!is_plain(value)) {
      return refuse("profile_invalid",
                    fmt::format("{} cannot be written into kit.toml as \"{}\"", quote(value), key));
    }
    if (!value.empty()) {
      text += fmt::format("{} = \"{}\"\n", key, value);
    }
  }
  return text;
}

// So that a refusal comes before the first file is made and the first certificate is signed.
Expected<void> require_free(const std::filesystem::path& folder) {
  for (const char* file : {"key.pem", "cert.pem", "ca.pem", "kit.toml", "request.csr"}) {
    std::error_code ignored;
    if (std::filesystem::exists(std::filesystem::symlink_status(folder / file, ignored))) {
      return refuse("file_exists", fmt::format("{} is there already", (folder / file).native()),
                    "name another folder with --out, or move this one away");
    }
  }
  return {};
}

}  // namespace

Expected<std::string> request_kit(const std::filesystem::path& folder) {
  if (auto free = require_free(folder); !free) {
    return tl::unexpected(free.error());
  }
  make_private_folder(folder);
  const KeyPtr key = make_key();
  std::string request = to_pem(make_request(key.get()).get());
  return write_new_file(folder / "key.pem", to_pem(key.get()), 0600)
      .and_then([&] { return write_new_file(folder / "request.csr", request, 0644); })
      .map([&] { return request; });
}

Expected<void> complete_kit(const std::filesystem::path& folder, const ConsortiumId& consortium,
                            const std::string& root_pem, const std::string& certificate_pem,
                            const KitSettings& settings) {
  const auto toml = kit_toml(consortium, settings);
  if (!toml) {
    return tl::unexpected(toml.error());
  }
  return write_new_file(folder / "ca.pem", root_pem, 0644)
      .and_then([&] { return write_new_file(folder / "cert.pem", certificate_pem, 0644); })
      .and_then([&] { return write_new_file(folder / "kit.toml", *toml, 0644); });
}

Expected<Issued> issue_kit(Authority& authority, const Member& member, const KitSettings& settings,
                           Validity validity, const std::filesystem::path& folder) {
  if (const auto toml = kit_toml(authority.consortium(), settings); !toml) {
    return tl::unexpected(toml.error());
  }
  if (const auto leaf = leaf_for(member, authority.consortium(), validity); !leaf) {
    return tl::unexpected(leaf.error());
  }
  const auto request = request_kit(folder);
  if (!request) {
    return tl::unexpected(request.error());
  }
  // The request has served its purpose once it is read.
  std::filesystem::remove(folder / "request.csr");
  auto issued = authority.sign_request(*request, member, validity);
  if (!issued) {
    return issued;
  }
  return complete_kit(folder, authority.consortium(), authority.root_pem(), issued->certificate_pem,
                      settings)
      .map([&] { return *issued; });
}

}  // namespace entente::pki
