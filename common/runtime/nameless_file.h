// A file for something that is made ready here, without a name: gone with this process, however
// that ends.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

namespace entente {

class NamelessFile {
 public:
  // Throws std::system_error when there can be none.
  NamelessFile() {
    std::string name = std::filesystem::temp_directory_path() / "entente-XXXXXX";
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ < 0 || ::unlink(name.c_str()) != 0) {
      throw std::system_error(errno, std::generic_category(), "cannot make a file like " + name);
    }
  }
  ~NamelessFile() { ::close(fd_); }
  NamelessFile(const NamelessFile&) = delete;
  NamelessFile& operator=(const NamelessFile&) = delete;

  // By which this process can open it, and nobody else.
  [[nodiscard]] std::filesystem::path path() const { return fmt::format("/proc/self/fd/{}", fd_); }

 private:
  int fd_ = -1;
};

}  // namespace entente
