// The processes of a local consortium, remembered in a file so that a later command finds them.
//
// A process is named by its id and its start time: an id that the system has given to somebody else
// since is never mistaken for ours, and never signalled.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace entente::cli {

struct LocalProcess {
  std::string name;  // "broker", "site/north"
  pid_t pid = 0;
  std::string started;  // as /proc tells it: ticks since boot
};

// The start time of a living process; empty when there is none with this id.
[[nodiscard]] std::string start_time(pid_t pid);
[[nodiscard]] bool is_running(const LocalProcess& process);

// Asks all to stop (SIGTERM), waits up to `limit`, then kills the rest. Returns the names of those
// that had to be killed.
std::vector<std::string> stop_all(const std::vector<LocalProcess>& processes,
                                  std::chrono::milliseconds limit);

void write_process_table(const std::filesystem::path& file,
                         const std::vector<LocalProcess>& processes);
// Empty when the file is missing or not ours.
[[nodiscard]] std::vector<LocalProcess> read_process_table(const std::filesystem::path& file);

}  // namespace entente::cli
