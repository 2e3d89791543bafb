#include "certs/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace entente::pki {
namespace {

[[noreturn]] void fail(const char* action, const std::filesystem::path& path) {
  throw std::system_error(errno, std::generic_category(),
                          fmt::format("cannot {} {}", action, path.native()));
}

void write_and_close(int descriptor, const std::filesystem::path& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      break;
    }
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  const bool kept = text.empty() && ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  if (!kept) {
    ::unlink(path.c_str());
    errno = error;
    fail("write", path);
  }
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    fail("open", folder);
  }
  const int result = ::fsync(descriptor);
  ::close(descriptor);
  if (result != 0) {
    fail("sync", folder);
  }
}

std::filesystem::path parent_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

Expected<void> write_new_file(const std::filesystem::path& path, std::string_view text,
                              mode_t mode) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (descriptor < 0 && errno == EEXIST) {
    return refuse("file_exists", fmt::format("{} is there already", path.native()),
                  "name another place with --out, or move the file away");
  }
  if (descriptor < 0) {
    fail("create", path);
  }
  write_and_close(descriptor, path, text);
  sync_folder(parent_of(path));
  return {};
}

void replace_file(const std::filesystem::path& path, std::string_view text, mode_t mode) {
  std::filesystem::path draft = path;
  draft += ".new";
  // A draft left by a crash is nobody's any more: callers hold the folder's lock.
  ::unlink(draft.c_str());
  const int descriptor =
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (descriptor < 0) {
    fail("create", draft);
  }
  write_and_close(descriptor, draft, text);
  if (::rename(draft.c_str(), path.c_str()) != 0) {
    fail("replace", path);
  }
  sync_folder(parent_of(path));
}

void make_private_folder(const std::filesystem::path& folder) {
  std::filesystem::create_directories(parent_of(folder));
  if (::mkdir(folder.c_str(), 0700) != 0 &&
      !(errno == EEXIST && std::filesystem::is_directory(folder))) {
    fail("make the folder", folder);
  }
}

FolderLock::FolderLock(const std::filesystem::path& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) {
    fail("open", folder);
  }
  while (::flock(descriptor_, LOCK_EX) != 0) {
    if (errno != EINTR) {
      ::close(descriptor_);
      fail("lock", folder);
    }
  }
}

FolderLock::~FolderLock() { ::close(descriptor_); }

}  // namespace entente::pki
