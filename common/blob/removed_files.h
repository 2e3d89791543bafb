// Files that were removed and whose space is freed on a thread of its own: that takes the kernel
// tens of milliseconds a gigabyte, and who removes a blob is often a loop that others wait for.
//
// Any thread. What a crash leaves in the folder is for its owner to remove.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <thread>

#include "common/runtime/mailbox.h"

namespace entente {

class RemovedFiles {
 public:
  // Until then they lie in `folder`, which is there and on the same file system as they are.
  explicit RemovedFiles(std::filesystem::path folder);
  ~RemovedFiles();  // when all of them are gone
  RemovedFiles(const RemovedFiles&) = delete;
  RemovedFiles& operator=(const RemovedFiles&) = delete;

  // The file's name is free when this returns. A file that is not there is no error.
  void take(const std::filesystem::path& file);

 private:
  void run();

  const std::filesystem::path folder_;
  std::atomic<std::uint64_t> taken_ = 0;
  Mailbox<std::filesystem::path> waiting_;
  std::thread thread_;  // last: starts when everything above is there
};

}  // namespace entente
