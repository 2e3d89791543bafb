#include "common/blob/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "common/base/limits.h"

namespace entente {
namespace {

constexpr mode_t kOwnerOnly = 0600;
constexpr mode_t kOwnerOnlyFolder = 0700;

[[noreturn]] void throw_errno(int error, const char* action, const std::filesystem::path& path) {
  throw std::system_error(error, std::generic_category(),
                          fmt::format("cannot {} {}", action, path.string()));
}

template <class Call>
auto retry_interrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

bool means_full(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

}  // namespace

File File::open(const std::filesystem::path& path, int flags) {
  const int fd =
      retry_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, kOwnerOnly); });
  if (fd < 0) {
    throw_errno(errno, "open", path);
  }
  return File(fd, path);
}

std::optional<File> File::open_existing(const std::filesystem::path& path) {
  const int fd = retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (fd < 0 && errno == ENOENT) {
    return std::nullopt;
  }
  if (fd < 0) {
    throw_errno(errno, "open", path);
  }
  return File(fd, path);
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void File::fail(const char* action) const { throw_errno(errno, action, path_); }

std::uint64_t File::size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) {
    fail("examine");
  }
  return static_cast<std::uint64_t>(info.st_size);
}

std::size_t File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = retry_interrupted([&] {
      return ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    });
    if (n < 0) {
      fail("read");
    }
    if (n == 0) {
      break;
    }
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void File::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = retry_interrupted(
        [&] { return ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (n < 0) {
      fail("write");
    }
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void File::truncate(std::uint64_t bytes) {
  if (retry_interrupted([&] { return ::ftruncate(fd_, static_cast<off_t>(bytes)); }) != 0) {
    fail("truncate");
  }
}

bool File::reserve(std::uint64_t bytes) {
  const std::uint64_t present = size();
  if (bytes <= present) {
    return true;
  }
  // Asked first because fallocate would fill the disk to the brim, and so starve everybody else
  // for a moment, before it reports that there is too little.
  struct statvfs disk {};
  if (::fstatvfs(fd_, &disk) != 0) {
    fail("examine the disk of");
  }
  struct stat info {};
  if (::fstat(fd_, &info) != 0) {
    fail("examine");
  }
  constexpr std::uint64_t kStatBlock = 512;  // the unit of st_blocks, whatever the file system
  const std::uint64_t held = static_cast<std::uint64_t>(info.st_blocks) * kStatBlock;
  const std::uint64_t missing = bytes > held ? bytes - held : 0;
  if (missing / disk.f_frsize >= disk.f_bavail) {
    return missing == 0;
  }
  if (retry_interrupted([&] {
        return ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes));
      }) == 0) {
    return true;
  }
  if (errno == EOPNOTSUPP || errno == ENOSYS) {
    return true;  // this file system can't reserve; what was free a moment ago has to do
  }
  if (!means_full(errno)) {
    fail("reserve space for");
  }
  truncate(present);  // gives back what was reserved beyond the end
  return false;
}

void File::sync_range(std::uint64_t begin, std::uint64_t end, unsigned flags) {
  if (begin >= end) {
    return;
  }
  const int result =
      ::sync_file_range(fd_, static_cast<off64_t>(begin), static_cast<off64_t>(end - begin), flags);
  // Pacing is a courtesy, but an error of the disk that shows here is not shown to fdatasync again.
  if (result != 0 && errno != ENOSYS && errno != EOPNOTSUPP && errno != EINTR) {
    fail("write");
  }
}

void File::start_writeback(std::uint64_t begin, std::uint64_t end) {
  sync_range(begin, end, SYNC_FILE_RANGE_WRITE);
}

void File::await_writeback(std::uint64_t begin, std::uint64_t end) {
  sync_range(begin, end,
             SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

void File::sync_data() {
  if (::fdatasync(fd_) != 0) {
    fail("sync");
  }
}

void File::sync() {
  if (::fsync(fd_) != 0) {
    fail("sync");
  }
}

void File::hash_into(Sha256& hash, std::uint64_t bytes) const {
  constexpr std::uint64_t kBlockBytes = 128 << 10;  // stays in the processor's cache
  std::vector<std::byte> block(std::min(bytes, kBlockBytes));
  std::uint64_t done = 0;
  while (done < bytes) {
    const std::span wanted =
        std::span(block).first(std::min<std::uint64_t>(block.size(), bytes - done));
    if (read_at(done, wanted) != wanted.size()) {
      throw_errno(EIO, "read all of", path_);
    }
    hash.update(wanted);
    done += wanted.size();
  }
}

Digest File::digest() const {
  Sha256 hash;
  hash_into(hash, size());
  return hash.finish();
}

void make_folder(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const auto named = fs::absolute(folder / ".").lexically_normal().parent_path();  // without a '/'
  const auto parent = named.parent_path();
  if (!fs::exists(parent)) {
    make_folder(parent);
  }
  const bool is_made = ::mkdir(named.c_str(), kOwnerOnlyFolder) == 0;
  if (const int error = errno; !is_made && !(error == EEXIST && fs::is_directory(named))) {
    throw_errno(error, "make the folder", named);
  }
  // The parent of one that was given to us need not be ours to read.
  if (is_made || ::access(parent.c_str(), R_OK) == 0) {
    sync_folder(parent);
  }
}

void sync_folder(const std::filesystem::path& folder) {
  File::open(folder, O_RDONLY | O_DIRECTORY).sync();
}

}  // namespace entente
