#include "site-agent/service/trainer_pool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "common/blob/file.h"

namespace entente::agent {
namespace {

constexpr mode_t kOwnerOnly = 0600;

[[noreturn]] void fail(const std::filesystem::path& file, const char* action) {
  throw std::system_error(errno, std::generic_category(),
                          fmt::format("cannot {} {}", action, file.string()));
}

const std::filesystem::path& made(const std::filesystem::path& folder) {
  make_folder(folder);
  return folder;
}

}  // namespace

PlaceFiles::Place& PlaceFiles::Place::operator=(Place&& other) noexcept {
  if (this != &other) {
    give_back();
    files_ = std::exchange(other.files_, nullptr);
    number_ = other.number_;
  }
  return *this;
}

void PlaceFiles::Place::give_back() {
  if (files_ != nullptr) {
    Slot& slot = std::exchange(files_, nullptr)->slots_[number_];
    slot.taken = false;
    ::flock(slot.descriptor, LOCK_UN);
  }
}

PlaceFiles::PlaceFiles(const std::filesystem::path& folder, std::string_view name,
                       std::uint32_t count) {
  slots_.reserve(count);
  for (std::uint32_t number = 1; number <= count; ++number) {
    const auto file = folder / fmt::format("{}-{}", name, number);
    const int descriptor =
        ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kOwnerOnly);
    if (descriptor < 0) {
      fail(file, "open");
    }
    slots_.push_back({descriptor, false});
  }
}

PlaceFiles::~PlaceFiles() {
  for (const Slot& slot : slots_) {
    ::close(slot.descriptor);
  }
}

std::optional<PlaceFiles::Place> PlaceFiles::take() {
  for (std::size_t number = 0; number < slots_.size(); ++number) {
    Slot& slot = slots_[number];
    if (slot.taken) {
      continue;
    }
    if (::flock(slot.descriptor, LOCK_EX | LOCK_NB) == 0) {
      slot.taken = true;
      return Place(this, number);
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(),
                              "cannot lock a place of the trainer pool");
    }
  }
  return std::nullopt;
}

TrainerPool::TrainerPool(const TrainerPoolConfig& config)
    : running(made(config.folder), "running", config.running),
      warm(config.folder, "warm", config.warm) {}

}  // namespace entente::agent
