// A folder of the test's own, gone afterwards; and the small files in it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace entente::integration {

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

// Empty when the file is missing.
[[nodiscard]] std::string read_text(const std::filesystem::path& file);
// Makes the folders on the way.
void write_text(const std::filesystem::path& file, std::string_view text);

[[nodiscard]] std::size_t count(std::string_view text, std::string_view what);

}  // namespace entente::integration
