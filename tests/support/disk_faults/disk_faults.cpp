// Preloaded (LD_PRELOAD) into a process under test: fails those calls to the disk that the plan
// names (disk_fault_plan.h). SQLite's calls come through here as well: it reaches the C library by
// the same names. Calls that libstdc++ or stdio make inside the C library do not.
//
// A write that fails writes nothing. A short write is no fault: it takes half of the bytes, and
// whoever writes has to come back with the rest.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tests/support/disk_faults/disk_fault_plan.h"

namespace {

using entente::integration::DiskFaultPlan;

DiskFaultPlan* map_plan() {
  const char* file = std::getenv(entente::integration::kDiskFaultsPlan);
  const int fd = file == nullptr ? -1 : ::open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return nullptr;
  }
  void* memory = ::mmap(nullptr, sizeof(DiskFaultPlan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<DiskFaultPlan*>(memory);
}

DiskFaultPlan* plan() {
  static DiskFaultPlan* const mapped = map_plan();
  return mapped;
}

bool is_meant(std::string_view path) {
  static const char* const folder = std::getenv(entente::integration::kDiskFaultsFolder);
  if (folder == nullptr || plan() == nullptr) {
    return false;
  }
  const std::string_view below(folder);
  return path.substr(0, below.size()) == below &&
         (path.size() == below.size() || path[below.size()] == '/');
}

bool is_meant(int fd) {
  char link[64];
  char path[PATH_MAX];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, path, sizeof(path));
  return length > 0 && is_meant(std::string_view(path, static_cast<std::size_t>(length)));
}

// Counts the call; not 0: the error that it has to fail with.
template <class Target>
int fault(const Target& target) {
  if (!is_meant(target)) {
    return 0;
  }
  const auto call = ++plan()->calls;
  if (plan()->fail_from == 0 || call < plan()->fail_from || call > plan()->fail_to) {
    return 0;
  }
  ++plan()->failed;
  return plan()->error;
}

std::size_t taken(int fd, std::size_t bytes) {
  const bool is_short = bytes > 1 && plan() != nullptr && plan()->short_writes != 0 && is_meant(fd);
  return is_short ? bytes / 2 : bytes;
}

template <class Function>
Function* real(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// The C library's own function, looked up once for each of ours.
#define ENTENTE_REAL(name) static const auto next = real(&::name, #name)

#define ENTENTE_FAIL_IF_PLANNED(target)  \
  if (const int error = fault(target)) { \
    errno = error;                       \
    return -1;                           \
  }

extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
  ENTENTE_REAL(write);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd, bytes, taken(fd, count));
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  ENTENTE_REAL(pwrite);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd, bytes, taken(fd, count), offset);
}

ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t offset) {
  ENTENTE_REAL(pwrite64);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd, bytes, taken(fd, count), offset);
}

ssize_t writev(int fd, const struct iovec* parts, int count) {
  ENTENTE_REAL(writev);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd, parts, count);
}

int fsync(int fd) {
  ENTENTE_REAL(fsync);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd);
}

int fdatasync(int fd) {
  ENTENTE_REAL(fdatasync);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd);
}

int ftruncate(int fd, off_t bytes) noexcept {
  ENTENTE_REAL(ftruncate);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd, bytes);
}

int ftruncate64(int fd, off64_t bytes) noexcept {
  ENTENTE_REAL(ftruncate64);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd, bytes);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  ENTENTE_REAL(fallocate);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd, mode, offset, bytes);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t bytes) {
  ENTENTE_REAL(fallocate64);
  ENTENTE_FAIL_IF_PLANNED(fd)
  return next(fd, mode, offset, bytes);
}

// These two return the error rather than set errno.
int posix_fallocate(int fd, off_t offset, off_t bytes) {
  ENTENTE_REAL(posix_fallocate);
  const int error = fault(fd);
  return error != 0 ? error : next(fd, offset, bytes);
}

int posix_fallocate64(int fd, off64_t offset, off64_t bytes) {
  ENTENTE_REAL(posix_fallocate64);
  const int error = fault(fd);
  return error != 0 ? error : next(fd, offset, bytes);
}

int rename(const char* from, const char* to) noexcept {
  ENTENTE_REAL(rename);
  ENTENTE_FAIL_IF_PLANNED(std::string_view(to))
  return next(from, to);
}

}  // extern "C"
