#include "tests/support/disk_faults.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace entente::integration {
namespace {

constexpr const char* kLibrary = "entente_disk_faults.so";

DiskFaultPlan* make_plan(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(DiskFaultPlan)) != 0) {
    throw std::system_error(errno, std::generic_category(), file.string());
  }
  void* memory = ::mmap(nullptr, sizeof(DiskFaultPlan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(), file.string());
  }
  return static_cast<DiskFaultPlan*>(memory);  // zeros: nothing counted, nothing fails
}

}  // namespace

DiskFaults::DiskFaults(const std::filesystem::path& plan_file, const std::filesystem::path& folder)
    : plan_file_(plan_file),
      // As the kernel names it: the library asks which file a descriptor belongs to.
      folder_(std::filesystem::weakly_canonical(folder)),
      plan_(make_plan(plan_file)) {}

DiskFaults::~DiskFaults() { ::munmap(plan_, sizeof(DiskFaultPlan)); }

std::map<std::string, std::string> DiskFaults::environment() const {
  const auto library = std::filesystem::read_symlink("/proc/self/exe").parent_path() / kLibrary;
  return {{"LD_PRELOAD", library.string()},
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
