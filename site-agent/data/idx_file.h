// Reads one IDX file, the format of MNIST and its relatives, gzip-compressed or plain.
// Format: http://yann.lecun.com/exdb/mnist/ ("the IDX file format"); only unsigned bytes.
//
// The header is checked by `open`, also against the size of the file, so that a forged one cannot
// ask for memory that the file could never fill. The elements are then read front to back. `finish`
// verifies that nothing follows, and with it gzip's checksum.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "common/base/refusal.h"

struct gzFile_s;

namespace entente::agent {

class IdxFile {
 public:
  // Refuses with "dataset_missing" (no such file, not readable) or "dataset_invalid" (not IDX, not
  // bytes, `dimensions_min` to `dimensions_max` not met, an example too large).
  [[nodiscard]] static Expected<IdxFile> open(const std::filesystem::path& path,
                                              std::size_t dimensions_min,
                                              std::size_t dimensions_max);

  // How many examples the header promises: the first dimension.
  [[nodiscard]] std::uint32_t count() const { return dimensions_.front(); }
  // The other dimensions: those of one example.
  [[nodiscard]] std::span<const std::uint32_t> example() const {
    return std::span(dimensions_).subspan(1);
  }
  [[nodiscard]] std::size_t example_bytes() const;

  // Fills `bytes` with what comes next. Refuses with "dataset_invalid" when the file ends before.
  [[nodiscard]] Expected<void> read(std::span<std::uint8_t> bytes);
  // Refuses with "dataset_invalid" unless the file ends here.
  [[nodiscard]] Expected<void> finish();

 private:
  struct Close {
    void operator()(gzFile_s* file) const;
  };

  explicit IdxFile(std::filesystem::path path, gzFile_s* file)
      : path_(std::move(path)), file_(file) {}
  [[nodiscard]] Expected<void> read_header(std::size_t dimensions_min, std::size_t dimensions_max);
  [[nodiscard]] tl::unexpected<Refusal> invalid(std::string_view cause) const;

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::vector<std::uint32_t> dimensions_;
};

}  // namespace entente::agent
