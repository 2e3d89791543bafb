// held-trainer: the built-in trainer, whose commands a test can hold back.
//
// An agent starts it in place of entente-trainer. Before it passes on a command, it looks for a
// file of the command's name ("prepare", "initialize", "train-2", "evaluate", "predict",
// "statistics-1") in
// the folder `hold` beside the agent's data folder. While there is one, the command waits, and
// `<name>.held` holds the trainer's process id. So a test stops a round where it likes, without
// sleeping.
//
// The process that the agent knows becomes the trainer; a child of it holds the commands.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace {

namespace fs = std::filesystem;

constexpr int kLookEveryMs = 10;

// The agent's contract puts HOME at <site>/data/work/<job>.
fs::path hold_folder() {
  const char* const work = std::getenv("HOME");
  return fs::path(work == nullptr ? "." : work) / "../../../hold";
}

std::string value_of(std::string_view line, std::string_view key) {
  const auto at = line.find(key);
  if (at == std::string_view::npos) {
    return {};
  }
  const auto value = line.substr(at + key.size());
  return std::string(value.substr(0, value.find_first_of("\",}")));
}

std::string name_of(std::string_view line) {
  for (const char* const type : {"prepare", "initialize", "evaluate", "predict", "stop"}) {
    if (line.find(std::string("\"type\":\"") + type + '"') != std::string_view::npos) {
      return type;
    }
  }
  if (line.find("\"type\":\"statistics\"") != std::string_view::npos) {
    return line.find("\"ranges\"") == std::string_view::npos ? "statistics-1" : "statistics-2";
  }
  return "train-" + value_of(line, "\"round\":");
}

void wait_while_held(const fs::path& folder, const std::string& name, pid_t trainer) {
  const auto hold = folder / name;
  if (!fs::exists(hold)) {
    return;
  }
  const auto held = folder / (name + ".held");
  const auto unfinished = folder / (name + ".writing");
  std::ofstream(unfinished) << trainer;
  fs::rename(unfinished, held);
  while (fs::exists(hold)) {
    ::poll(nullptr, 0, kLookEveryMs);
  }
  fs::remove(held);
}

void pass_on(int trainer_stdin, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(trainer_stdin, bytes.data(), bytes.size());
    if (written <= 0) {
      ::_exit(0);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

[[noreturn]] void hold_commands(int trainer_stdin, pid_t trainer) {
  const auto folder = hold_folder();
  std::string pending;
  std::array<char, 4096> part;
  while (true) {
    const auto got = ::read(STDIN_FILENO, part.data(), part.size());
    if (got <= 0) {
      ::_exit(0);
    }
    pending.append(part.data(), static_cast<std::size_t>(got));
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      wait_while_held(folder, name_of(std::string_view(pending).substr(0, end)), trainer);
      pass_on(trainer_stdin, std::string_view(pending).substr(0, end + 1));
      pending.erase(0, end + 1);
    }
  }
}

}  // namespace

int main() {
  const auto program = fs::read_symlink("/proc/self/exe").parent_path() / "entente-trainer";
  std::array<int, 2> commands{};
  if (::pipe(commands.data()) != 0) {
    return EXIT_FAILURE;
  }
  const auto trainer = ::getpid();
  if (::fork() == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != trainer) {
      ::_exit(0);
    }
    ::signal(SIGPIPE, SIG_IGN);
    ::close(STDOUT_FILENO);  // the agent must see the stream end when the trainer does
    ::close(commands[0]);
    hold_commands(commands[1], trainer);
  }
  ::dup2(commands[0], STDIN_FILENO);
  ::close(commands[0]);
  ::close(commands[1]);
  ::execl(program.c_str(), program.c_str(), nullptr);
  std::perror(program.c_str());
  return EXIT_FAILURE;
}
