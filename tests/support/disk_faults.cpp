#include "tests/support/disk_faults.h"

#include <sys/mman.h>

#include "tests/support/plan_file.h"

namespace entente::integration {

DiskFaults::DiskFaults(const std::filesystem::path& plan_file, const std::filesystem::path& folder)
    : plan_file_(plan_file),
      // As the kernel names it: the library asks which file a descriptor belongs to.
      folder_(std::filesystem::weakly_canonical(folder)),
      plan_(static_cast<DiskFaultPlan*>(make_plan_file(plan_file, sizeof(DiskFaultPlan)))) {}

DiskFaults::~DiskFaults() { ::munmap(plan_, sizeof(DiskFaultPlan)); }

std::map<std::string, std::string> DiskFaults::environment() const {
  return {{"LD_PRELOAD", preloaded_library("entente_disk_faults.so").string()},
          {kDiskFaultsPlan, plan_file_.string()},
          {kDiskFaultsFolder, folder_.string()},
          // AddressSanitizer wants to come first; its interceptors lie behind ours all the same.
          {"ASAN_OPTIONS", "verify_asan_link_order=0"}};
}

void DiskFaults::plan_fault(std::uint64_t from, std::uint64_t to, int error) {
  heal();  // while the bounds are set one by one
  const auto calls = plan_->calls.load();
  plan_->error = error;
  plan_->fail_to = to == kForEver ? kForEver : calls + to;
  plan_->fail_from = calls + from;
}

}  // namespace entente::integration
