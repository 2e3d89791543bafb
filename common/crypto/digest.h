// SHA-256, whole or in pieces.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "common/base/blob_id.h"

namespace entente {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  // One field of a record, its length first, so that no two records feed the same bytes.
  void update_field(std::string_view field);
  // Ends the calculation; the object may not be used again.
  [[nodiscard]] Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

[[nodiscard]] Digest sha256(std::span<const std::byte> bytes);
[[nodiscard]] inline Digest sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text)));
}

}  // namespace entente
