#include "tests/support/temp_folder.h"

#include <poll.h>
#include <stdlib.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

namespace entente::integration {

TempFolder::TempFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "entente-run-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), pattern);
  }
  path_ = std::filesystem::canonical(pattern);
}

// A killed agent's trainer ends a moment after it, and may write until then.
TempFolder::~TempFolder() {
  constexpr int kTries = 100;
  constexpr int kPauseMs = 20;
  std::error_code error;
  for (int tries = 0; tries < kTries && std::filesystem::exists(path_, error); ++tries) {
    if (tries > 0) {
      ::poll(nullptr, 0, kPauseMs);
    }
    std::filesystem::remove_all(path_, error);
  }
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const std::filesystem::path& file, std::string_view text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out << text;
  if (!out.flush()) {
    throw std::system_error(errno, std::generic_category(), file.string());
  }
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) {
    ++found;
  }
  return found;
}

}  // namespace entente::integration
