// Makes the disk of one process fail: preloads a library (disk_faults/) into it that fails the
// calls that the test names, among those that change something below `folder`.
//
// The plan outlives the process: the same object serves its restarts, and faults can be planned
// while it runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "tests/support/disk_faults/disk_fault_plan.h"

namespace entente::integration {

class DiskFaults {
 public:
  // `plan_file` is made; it must not be below `folder`.
  DiskFaults(const std::filesystem::path& plan_file, const std::filesystem::path& folder);
  ~DiskFaults();
  DiskFaults(const DiskFaults&) = delete;
  DiskFaults& operator=(const DiskFaults&) = delete;

  // What the process has to be started with.
  [[nodiscard]] std::map<std::string, std::string> environment() const;

  // Calls so far, over all starts.
  [[nodiscard]] std::uint64_t calls() const { return plan_->calls; }
  [[nodiscard]] std::uint64_t failed() const { return plan_->failed; }

  // The n-th call from now on fails, or all from the n-th on; n counts from 1.
  void fail_once(std::uint64_t n, int error) { plan_fault(n, n, error); }
  void fail_from(std::uint64_t n, int error) { plan_fault(n, kForEver, error); }
  void heal() { plan_->fail_from = 0; }
  void make_writes_short(bool are_short) { plan_->short_writes = are_short ? 1 : 0; }

 private:
  static constexpr std::uint64_t kForEver = 1ULL << 62;
  void plan_fault(std::uint64_t from, std::uint64_t to, int error);

  std::filesystem::path plan_file_;
  std::filesystem::path folder_;
  DiskFaultPlan* plan_;
};

}  // namespace entente::integration
