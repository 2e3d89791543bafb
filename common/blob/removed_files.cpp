#include "common/blob/removed_files.h"

#include <string>
#include <system_error>
#include <utility>

namespace entente {
namespace fs = std::filesystem;
namespace {

// More than a round of the largest cohort removes; then removing waits for the disk, as it would
// without this thread.
constexpr std::size_t kWaitingMax = 16'384;

}  // namespace

RemovedFiles::RemovedFiles(fs::path folder)
    : folder_(std::move(folder)), waiting_(kWaitingMax), thread_([this] { run(); }) {}

RemovedFiles::~RemovedFiles() {
  waiting_.close();
  thread_.join();
}

void RemovedFiles::take(const fs::path& file) {
  fs::path removed = folder_ / ("removed-" + std::to_string(++taken_));
  std::error_code error;
  fs::rename(file, removed, error);
  if (error == std::errc::no_such_file_or_directory) {
    return;
  }
  if (error) {
    throw fs::filesystem_error("cannot remove", file, error);
  }
  waiting_.push(std::move(removed));
}

// One that cannot be freed lies there until the next start.
void RemovedFiles::run() {
  for (auto files = waiting_.wait_and_drain(); !files.empty(); files = waiting_.wait_and_drain()) {
    for (const fs::path& file : files) {
      std::error_code ignored;
      fs::remove(file, ignored);
    }
  }
}

}  // namespace entente
