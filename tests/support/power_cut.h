// Cuts the power of one process, at any of its syncs or whenever the test kills it: leaves on its
// disk what had been synced by then, and of the rest nothing, or as much as a seed decides.
//
// A library preloaded into the process (disk_faults/power_cut.cpp) records every sync below
// `folder`, which must be there before the process first starts; what it holds then is on the disk.
// The same object serves the process's next starts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "tests/support/disk_faults/power_cut_plan.h"

namespace entente::integration {

class PowerCut {
 public:
  // Plan and record go beside `folder`, on the same file system.
  explicit PowerCut(const std::filesystem::path& folder);
  ~PowerCut();
  PowerCut(const PowerCut&) = delete;
  PowerCut& operator=(const PowerCut&) = delete;

  // What the process has to be started with.
  [[nodiscard]] std::map<std::string, std::string> environment() const;

  // Syncs so far, over all starts.
  [[nodiscard]] std::uint64_t syncs() const { return plan_->syncs; }
  // The process dies at its n-th sync from now on, which is not carried out.
  void cut_at(std::uint64_t n) { plan_->cut_at = plan_->syncs + n; }
  void disarm() { plan_->cut_at = 0; }

  // Makes the folder what it is when the power comes back; the process must be dead. Without a
  // seed, all that was not synced is gone. With one, some of it is there: of each name that was
  // made, moved or removed the one state or the other, of each file some blocks.
  void drop_unsynced(std::optional<std::uint64_t> torn_by_seed = {});

 private:
  std::filesystem::path folder_;
  std::filesystem::path plan_file_;
  std::filesystem::path record_;
  PowerCutPlan* plan_;
};

}  // namespace entente::integration
