// Preloaded (LD_PRELOAD) into a process under test: records what is on its disk for good, and ends
// it at the sync that the plan names (power_cut_plan.h). Nothing is synced in earnest: the record
// decides what was. SQLite's syncs come through here as well.
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>

#include "tests/support/disk_faults/power_cut_plan.h"

namespace {

namespace fs = std::filesystem;
using entente::integration::PowerCutPlan;

std::string setting(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

ino_t inode_of(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

class Recorder {
 public:
  Recorder()
      : folder_(setting(entente::integration::kPowerCutFolder)),
        record_(setting(entente::integration::kPowerCutRecord)),
        plan_(map_plan(setting(entente::integration::kPowerCutPlan))) {
    if (plan_ != nullptr && !fs::exists(record_)) {
      for (const char* part : {"files", "folders", "kept"}) {
        fs::create_directories(record_ / part);
      }
      record_tree(folder_);  // what was there before is on the disk
    }
  }

  void sync(int fd) {
    const auto path = path_of(fd);
    if (plan_ == nullptr || !is_meant(path)) {
      return;
    }
    const std::lock_guard lock(mutex_);
    if (++plan_->syncs == plan_->cut_at) {
      ::kill(::getpid(), SIGKILL);
      while (true) {
        ::pause();
      }
    }
    fs::is_directory(path) ? record_folder(path) : record_file(path);
  }

 private:
  static PowerCutPlan* map_plan(const std::string& file) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
      return nullptr;
    }
    void* memory = ::mmap(nullptr, sizeof(PowerCutPlan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    return memory == MAP_FAILED ? nullptr : static_cast<PowerCutPlan*>(memory);
  }

  static fs::path path_of(int fd) {
    char path[PATH_MAX];
    const auto link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = ::readlink(link.c_str(), path, sizeof(path));
    return length <= 0 ? fs::path() : fs::path(std::string(path, static_cast<std::size_t>(length)));
  }

  [[nodiscard]] bool is_meant(const fs::path& path) const {
    const auto relative = path.lexically_relative(folder_);
    return !relative.empty() && *relative.begin() != "..";
  }

  void record_file(const fs::path& path) {
    keep(path);
    const auto name = std::to_string(inode_of(path));
    fs::copy_file(path, record_ / name, fs::copy_options::overwrite_existing);
    fs::rename(record_ / name,
               record_ / "files" / name);  // a SIGKILL leaves one version or the other
  }

  void record_folder(const fs::path& path) {
    const auto name = std::to_string(inode_of(path));
    std::ofstream entries(record_ / name);
    for (const auto& entry : fs::directory_iterator(path)) {
      keep(entry.path());
      entries << (entry.is_directory() ? "d " : "f ") << inode_of(entry.path()) << ' '
              << entry.path().filename().string() << '\n';
    }
    entries.close();
    fs::rename(record_ / name, record_ / "folders" / name);
  }

  void record_tree(const fs::path& path) {
    record_folder(path);
    for (const auto& entry : fs::directory_iterator(path)) {
      entry.is_directory() ? record_tree(entry.path()) : record_file(entry.path());
    }
  }

  // Fails for what was kept before, for folders, and for a file that has gone meanwhile.
  void keep(const fs::path& path) {
    (void)::link(path.c_str(), (record_ / "kept" / std::to_string(inode_of(path))).c_str());
  }

  const fs::path folder_;
  const fs::path record_;
  PowerCutPlan* const plan_;
  std::mutex mutex_;
};

Recorder& recorder() {
  static auto* const one = new Recorder;  // lives until the process does: threads sync to the last
  return *one;
}

// Before the program's first line: what is there now is there for good.
[[gnu::constructor]] void begin() { (void)recorder(); }

int sync_recorded(int fd) noexcept {
  try {
    recorder().sync(fd);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "power_cut: %s\n", error.what());
    std::abort();
  }
}

}  // namespace

extern "C" {

int fsync(int fd) { return sync_recorded(fd); }
int fdatasync(int fd) { return sync_recorded(fd); }

}  // extern "C"
