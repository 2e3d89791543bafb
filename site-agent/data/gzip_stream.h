// The bytes of a file, plain or gzip, from front to back in blocks of bounded size: however small
// what is stored, and however much it becomes, only one block is in memory.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/refusal.h"

struct gzFile_s;

namespace entente::agent {

class GzipStream {
 public:
  // Refuses with "dataset_missing".
  [[nodiscard]] static Expected<GzipStream> open(const std::filesystem::path& path);

  // Without its folder.
  [[nodiscard]] std::string name() const { return path_.filename().string(); }
  // The next block; empty at the end. Valid until the next call. Refuses with "dataset_invalid" a
  // gzip file that is damaged or cut.
  [[nodiscard]] Expected<std::string_view> read();

 private:
  struct Close {
    void operator()(gzFile_s* file) const;
  };

  GzipStream(std::filesystem::path path, gzFile_s* file);

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::string block_;
};

// Opens it for reading, and says why not otherwise.
[[nodiscard]] Expected<gzFile_s*> open_gzip(const std::filesystem::path& path);

}  // namespace entente::agent
