#include "tests/support/power_cut.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>
#include <sstream>
#include <system_error>

#include "tests/support/plan_file.h"
#include "tests/support/temp_folder.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;

// What a disk writes whole or not at all.
constexpr std::size_t kBlockBytes = 512;

struct Entry {
  bool is_folder = false;
  ino_t inode = 0;
  bool operator==(const Entry&) const = default;
};
using Entries = std::map<std::string, Entry>;

Entry entry_of(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    throw std::system_error(errno, std::generic_category(), path.string());
  }
  return {S_ISDIR(info.st_mode), info.st_ino};
}

Entries present_entries(const fs::path& folder) {
  Entries entries;
  for (const auto& entry : fs::directory_iterator(folder)) {
    entries[entry.path().filename()] = entry_of(entry.path());
  }
  return entries;
}

// Writes what the disk holds into a new folder.
class Restorer {
 public:
  Restorer(fs::path record, std::optional<std::uint64_t> seed)
      : record_(std::move(record)), tears_(seed.has_value()), random_(seed.value_or(0)) {}

  // `present`: where the same folder was when the power went; nothing when it was not there.
  void restore(ino_t inode, const std::optional<fs::path>& present, const fs::path& to) {
    fs::create_directory(to);
    const auto synced = synced_entries(inode);
    const auto now = present && tears_ ? present_entries(*present) : synced;
    std::set<std::string> names;
    for (const auto* entries : {&synced, &now}) {
      for (const auto& [name, entry] : *entries) {
        names.insert(name);
      }
    }
    for (const auto& name : names) {
      const auto& entries = coin() ? synced : now;
      if (const auto entry = entries.find(name); entry != entries.end()) {
        const bool is_present =
            present && fs::exists(*present / name) && entry_of(*present / name) == entry->second;
        restore(entry->second, is_present ? std::optional(*present / name) : std::nullopt,
                to / name);
      }
    }
  }

 private:
  void restore(const Entry& entry, const std::optional<fs::path>& present, const fs::path& to) {
    if (entry.is_folder) {
      restore(entry.inode, present, to);
      return;
    }
    const auto synced = read_text(record_ / "files" / std::to_string(entry.inode));
    write_text(to, present && tears_ ? torn(synced, read_text(*present)) : synced);
    if (present) {
      fs::permissions(to, fs::status(*present).permissions());
    }
  }

  [[nodiscard]] Entries synced_entries(ino_t inode) const {
    Entries entries;
    std::istringstream lines(read_text(record_ / "folders" / std::to_string(inode)));
    std::string kind;
    std::string name;
    for (ino_t of = 0; lines >> kind >> of && std::getline(lines >> std::ws, name);) {
      entries[name] = {kind == "d", of};
    }
    return entries;
  }

  std::string torn(const std::string& synced, const std::string& present) {
    std::string bytes(coin() ? synced.size() : present.size(), '\0');
    for (std::size_t at = 0; at < bytes.size(); at += kBlockBytes) {
      const auto& from = coin() ? synced : present;
      const auto block = std::string_view(from).substr(std::min(at, from.size()), kBlockBytes);
      bytes.replace(at, std::min(block.size(), bytes.size() - at),
                    block.substr(0, bytes.size() - at));
    }
    return bytes;
  }

  bool coin() { return (random_() & 1U) != 0; }

  const fs::path record_;
  const bool tears_;
  std::mt19937_64 random_;
};

}  // namespace

PowerCut::PowerCut(const fs::path& folder)
    : folder_(fs::weakly_canonical(folder)),  // as the kernel names it
      plan_file_(folder_.string() + ".power-plan"),
      record_(folder_.string() + ".power-record"),
      plan_(static_cast<PowerCutPlan*>(make_plan_file(plan_file_, sizeof(PowerCutPlan)))) {}

PowerCut::~PowerCut() { ::munmap(plan_, sizeof(PowerCutPlan)); }

std::map<std::string, std::string> PowerCut::environment() const {
  return {{"LD_PRELOAD", preloaded_library("entente_power_cut.so").string()},
          {kPowerCutPlan, plan_file_.string()},
          {kPowerCutRecord, record_.string()},
          {kPowerCutFolder, folder_.string()},
          // AddressSanitizer wants to come first; it does not need to here.
          {"ASAN_OPTIONS", "verify_asan_link_order=0"}};
}

void PowerCut::drop_unsynced(std::optional<std::uint64_t> torn_by_seed) {
  disarm();
  const fs::path restored = folder_.string() + ".restored";
  Restorer(record_, torn_by_seed).restore(entry_of(folder_).inode, folder_, restored);
  fs::remove_all(folder_);
  fs::rename(restored, folder_);
  fs::remove_all(record_);  // the next start finds all of it on the disk
}

}  // namespace entente::integration
