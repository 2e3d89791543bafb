// entente-trainer: the built-in trainer as a program, started by an agent, one per running job.
// docs/trainer-contract.md describes what it reads and writes.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "site-agent/training/serve.h"

namespace {

constexpr const char* kHelp =
    "entente-trainer: trains models on a site's data, on behalf of entente-agent.\n"
    "\n"
    "It is not meant to be started by hand: it reads commands as JSON lines on standard\n"
    "input and answers on standard output, as described in docs/trainer-contract.md.\n"
    "\n"
    "  --help      this text\n"
    "  --version   the version\n";

// Keeps the stream of replies for us alone: whatever a library prints goes to standard error.
// Returns -1 when standard output is closed.
int take_reply_stream() {
  const int replies = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (replies >= 0) {
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
  }
  return replies;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kExitUsage = 2;
  const std::string_view option = argc == 2 ? argv[1] : "";
  if (option == "--version") {
    std::puts("entente-trainer " ENTENTE_VERSION);
    return 0;
  }
  if (option == "--help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (argc != 1) {
    std::fprintf(stderr, "error: unknown arguments\nhint: see entente-trainer --help\n");
    return kExitUsage;
  }
  const int replies = take_reply_stream();
  if (replies < 0) {
    std::fprintf(stderr, "error: standard output is closed, there is nobody to reply to\n");
    return kExitUsage;
  }
  ::signal(SIGPIPE, SIG_IGN);
  return entente::agent::serve_trainer(STDIN_FILENO, replies);
}
