// What a test and the library preloaded into one process (disk_faults.cpp) share: a small file that
// both map. The test plans faults in it, at any time; the library counts in it, so that the counts
// outlive a SIGKILL.
//
// A call is one that changes the disk: a write, a sync, a truncation, a reservation of space or a
// rename below the folder. Calls count from 1. Those from `fail_from` to `fail_to`, both included,
// fail with `error`.
#pragma once

#include <atomic>
#include <cstdint>

namespace entente::integration {

constexpr const char* kDiskFaultsPlan = "ENTENTE_DISK_FAULTS_PLAN";      // the shared file
constexpr const char* kDiskFaultsFolder = "ENTENTE_DISK_FAULTS_FOLDER";  // what it is about

struct DiskFaultPlan {
  std::atomic<std::uint64_t> calls;
  std::atomic<std::uint64_t> failed;
  std::atomic<std::uint64_t> fail_from;  // 0: no call fails
  std::atomic<std::uint64_t> fail_to;
  std::atomic<std::int32_t> error;          // ENOSPC, EIO
  std::atomic<std::uint32_t> short_writes;  // not 0: a write takes half of what it was given
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace entente::integration
