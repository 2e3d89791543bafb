// A consortium in a temporary folder, with good members and with such as no CA would make. Its time
// stands still: certificates are made for `kTestNow`, and contexts are told to believe in it.
#pragma once

#include <filesystem>
#include <string>

#include "certs/authority.h"
#include "certs/kit_folder.h"
#include "certs/profiles.h"
#include "common/crypto/kit.h"
#include "common/crypto/tls_context.h"

namespace entente::test {

constexpr UnixMillis kTestNow = 1'800'000'000'000;

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class TestConsortium {
 public:
  explicit TestConsortium(std::string_view name = "demo");

  [[nodiscard]] Kit broker();
  [[nodiscard]] Kit site(std::string_view name, pki::KitSettings settings = {});
  // A member's kit with a certificate that says what `leaf` says.
  [[nodiscard]] Kit with_leaf(Role role, const pki::Leaf& leaf);
  // A legal leaf of a site, to be spoilt by the caller.
  [[nodiscard]] pki::Leaf site_leaf() const;

  [[nodiscard]] pki::Authority& authority() { return authority_; }
  [[nodiscard]] std::filesystem::path folder() const { return folder_.path(); }
  [[nodiscard]] const ConsortiumId& id() const { return authority_.consortium(); }

 private:
  Kit issue(const pki::Member& member, const pki::KitSettings& settings);

  TempFolder folder_;
  pki::Authority authority_;
  int kits_ = 0;
};

// Makes verification take `unix_ms` for the present.
void set_time(const TlsContext& context, UnixMillis unix_ms);

}  // namespace entente::test
