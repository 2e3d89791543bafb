// What the measurements stand on: a folder, and the kits of a broker and a site.
#pragma once

#include <filesystem>

#include "certs/authority.h"
#include "certs/kit_folder.h"
#include "common/crypto/kit.h"
#include "common/crypto/tls_context.h"
#include "tests/support/temp_folder.h"

namespace entente::bench {

using Folder = integration::TempFolder;

class Members {
 public:
  Members();

  [[nodiscard]] const Kit& broker() const { return broker_; }
  [[nodiscard]] const Kit& site() const { return site_; }

 private:
  Kit issue(const pki::Member& member);

  Folder folder_;
  pki::Authority authority_;
  Kit broker_;
  Kit site_;
};

}  // namespace entente::bench
