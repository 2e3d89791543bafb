// What a test and the library preloaded into one process (power_cut.cpp) share: a small file that
// both map, and a folder, the record, of what is on the disk for good.
//
// The model is the strict reading of POSIX. A file's bytes are on the disk once fsync or fdatasync
// of the file has returned, and its name (new, moved or gone) once fsync of its folder has. Nothing
// else gets there: no sync_file_range, no close, no passing of time. Syncs count from 1; the one
// numbered `cut_at` is not carried out: the process dies there by SIGKILL.
//
// The record, by inode number, which is never used twice while `kept` has a link to the inode:
//   files/<inode>     the bytes at its last sync
//   folders/<inode>   the folder's entries at its last sync: "f <inode> <name>" or "d ..."
//   kept/<inode>      a link to a file that was seen
#pragma once

#include <atomic>
#include <cstdint>

namespace entente::integration {

constexpr const char* kPowerCutPlan = "ENTENTE_POWER_CUT_PLAN";      // the shared file
constexpr const char* kPowerCutRecord = "ENTENTE_POWER_CUT_RECORD";  // the record's folder
constexpr const char* kPowerCutFolder = "ENTENTE_POWER_CUT_FOLDER";  // what it is about

struct PowerCutPlan {
  std::atomic<std::uint64_t> syncs;
  std::atomic<std::uint64_t> cut_at;  // 0: never
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace entente::integration
