#include "tests/support/process_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <ios>
#include <iterator>
#include <sstream>
#include <string>

#include "tests/support/temp_folder.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;

// A file of /proc. Empty when its process has gone, also in the middle of a read.
std::string proc_text(const fs::path& path) {
  try {
    return read_text(path);
  } catch (const std::ios_base::failure&) {
    return {};
  }
}

// proc(5): the value of a line such as "VmRSS:     1234 kB" of /proc/PID/status.
std::string status_field(pid_t pid, const std::string& key) {
  const auto status = proc_text("/proc/" + std::to_string(pid) + "/status");
  const auto at = status.find("\n" + key + ":");
  if (at == std::string::npos) {
    return {};
  }
  const auto value = status.find_first_not_of(" \t", at + key.size() + 2);
  return status.substr(value, status.find('\n', value) - value);
}

}  // namespace

bool is_alive(pid_t pid) {
  const auto state = status_field(pid, "State");
  return !state.empty() && state[0] != 'Z' && state[0] != 'X';
}

std::uint64_t resident_bytes(pid_t pid) {
  return std::strtoull(status_field(pid, "VmRSS").c_str(), nullptr, 10) * 1024;
}

std::uint64_t anonymous_bytes(pid_t pid) {
  return std::strtoull(status_field(pid, "RssAnon").c_str(), nullptr, 10) * 1024;
}

std::size_t open_descriptors(pid_t pid) {
  const auto folder = fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto child = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    if (child > 0 && status_field(child, "PPid") == std::to_string(pid) && is_alive(child)) {
      children.push_back(child);
    }
  }
  return children;
}

// proc(5): fields 14 to 17 of /proc/PID/stat, counted from behind the name, which may hold
// anything.
double cpu_seconds(pid_t pid) {
  const auto folder = "/proc/" + std::to_string(pid);
  const auto stat = proc_text(folder + "/stat");
  std::istringstream fields(stat.substr(std::min(stat.size(), stat.rfind(')') + 1)));
  std::string skipped;
  for (int field = 3; field < 14; ++field) {
    fields >> skipped;
  }
  double ticks = 0;
  for (int field = 14; field <= 17; ++field) {
    double value = 0;
    fields >> value;
    ticks += value;
  }
  double seconds = ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  for (const pid_t child : children_of(pid)) {
    seconds += cpu_seconds(child);
  }
  return seconds;
}

bool is_listening(std::uint16_t port) {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected =
      ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(probe);
  return connected;
}

}  // namespace entente::integration
