#include "common/runtime/failpoint.h"

#ifdef ENTENTE_FAILPOINTS

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace entente {
namespace {

struct Switches {
  std::string name;  // empty: nothing dies
  std::uint64_t occurrence = 1;
  std::uint32_t pause_ms = 0;
  std::string list_file;  // empty: nothing is listed
};

// A test that asks for a place that is none would pass without testing anything.
[[noreturn]] void refuse_to_run(const std::string& wanted) {
  std::fprintf(stderr, "error: ENTENTE_FAILPOINT=%s is not \"name[:N[:MS]]\" of a failpoint\n",
               wanted.c_str());
  std::_Exit(2);
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ':') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

template <class Number>
bool parse(const std::string& text, Number& out) {
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, out);
  return parsed.ec == std::errc() && parsed.ptr == end && out > 0;
}

Switches read_switches() {
  Switches switches;
  switches.list_file = variable("ENTENTE_FAILPOINT_LIST");
  const std::string wanted = variable("ENTENTE_FAILPOINT");
  const std::vector<std::string> parts = split(wanted);
  switches.name = parts[0];
  const bool is_valid = parts.size() <= 3 && is_failpoint(switches.name) &&
                        (parts.size() < 2 || parse(parts[1], switches.occurrence)) &&
                        (parts.size() < 3 || parse(parts[2], switches.pause_ms));
  if (!wanted.empty() && !is_valid) {
    refuse_to_run(wanted);
  }
  return switches;
}

// One write of a short line to a file opened for appending: lines of several threads and processes
// stay whole.
void append(const std::string& file, std::string_view name) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string line = std::string(name) + '\n';
  if (fd < 0 || ::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    std::perror(file.c_str());
    std::_Exit(2);
  }
  ::close(fd);
}

}  // namespace

void reach_failpoint(std::string_view name) {
  static const Switches switches = read_switches();
  static std::atomic<std::uint64_t> reached{0};
  if (!switches.list_file.empty()) {
    append(switches.list_file, name);
  }
  if (name == switches.name && ++reached == switches.occurrence) {
    ::poll(nullptr, 0, static_cast<int>(switches.pause_ms));
    ::kill(::getpid(), SIGKILL);
    for (;;) {
      ::pause();
    }
  }
}

}  // namespace entente

#endif
