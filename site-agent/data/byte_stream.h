// The bytes of a file, or of a file within a ZIP archive, from front to back. How many there are is
// known before the first is read, and holds: a short or a longer one is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "common/base/refusal.h"

namespace entente::agent {

class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // For people, without folder: "scans.npz: x".
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  // Fills all of `bytes`. Refuses with "dataset_invalid" when there are fewer, or damaged ones.
  [[nodiscard]] virtual Expected<void> read(std::span<std::byte> bytes) = 0;
};

// Refuses with "dataset_missing".
[[nodiscard]] Expected<std::unique_ptr<ByteStream>> open_file(const std::filesystem::path& path);

// The member of that name of a ZIP archive. Refuses with "dataset_missing" and "dataset_invalid",
// also when it claims to hold more than its compressed bytes can become.
[[nodiscard]] Expected<std::unique_ptr<ByteStream>> open_zip_member(
    const std::filesystem::path& archive, const std::string& member);

}  // namespace entente::agent
