#include "coordinator/process_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <thread>

namespace entente::cli {
namespace {

// proc(5): field 22 of /proc/PID/stat is the start time; field 3, the state, is the first after the
// program's name, which stands in parentheses and may hold anything.
constexpr int kStateField = 3;
constexpr int kStartTimeField = 22;

constexpr std::chrono::milliseconds kLookEvery{20};

std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

void signal_running(const std::vector<LocalProcess>& processes, int signal) {
  for (const auto& process : processes) {
    if (is_running(process)) {
      ::kill(process.pid, signal);
    }
  }
}

}  // namespace

std::string start_time(pid_t pid) {
  const auto stat = slurp(fmt::format("/proc/{}/stat", pid));
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) {
    return {};
  }
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int number = kStateField; number <= kStartTimeField && fields >> field; ++number) {
    if (number == kStateField && field == "Z") {
      return {};  // ended, waiting for its parent to notice
    }
  }
  return field;
}

bool is_running(const LocalProcess& process) {
  return !process.started.empty() && start_time(process.pid) == process.started;
}

std::vector<std::string> stop_all(const std::vector<LocalProcess>& processes,
                                  std::chrono::milliseconds limit) {
  signal_running(processes, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (std::any_of(processes.begin(), processes.end(), is_running) &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kLookEvery);
  }
  std::vector<std::string> killed;
  for (const auto& process : processes) {
    if (is_running(process)) {
      killed.push_back(process.name);
    }
  }
  signal_running(processes, SIGKILL);
  return killed;
}

void write_process_table(const std::filesystem::path& file,
                         const std::vector<LocalProcess>& processes) {
  auto json = nlohmann::json::array();
  for (const auto& process : processes) {
    json.push_back({{"name", process.name}, {"pid", process.pid}, {"started", process.started}});
  }
  // Whole or not at all, but not synced: the processes do not survive a power cut either.
  const auto part = std::filesystem::path(file) += ".part";
  std::ofstream out(part, std::ios::trunc);
  out << json.dump(2) << '\n';
  out.close();
  if (!out) {
    throw std::system_error(errno, std::generic_category(), "cannot write " + part.string());
  }
  std::filesystem::rename(part, file);
}

std::vector<LocalProcess> read_process_table(const std::filesystem::path& file) {
  const auto json = nlohmann::json::parse(slurp(file), nullptr, false);
  std::vector<LocalProcess> processes;
  if (!json.is_array()) {
    return processes;
  }
  for (const auto& entry : json) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() ||
        !entry.contains("pid") || !entry["pid"].is_number_integer() || !entry.contains("started") ||
        !entry["started"].is_string()) {
      return {};
    }
    processes.push_back({entry["name"], entry["pid"], entry["started"]});
  }
  return processes;
}

}  // namespace entente::cli
