#include "site-agent/training/serve.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "site-agent/contract/contract.h"
#include "site-agent/training/trainer.h"

namespace entente::agent {
namespace {

using contract::Reply;

// Splits a descriptor's bytes into lines and holds at most one line and one block of them.
class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}

  // The next line without its newline; nothing at the end. A line beyond the contract's limit comes
  // cut just above it, so that the parser refuses it, and the rest of it is skipped.
  std::optional<std::string> next() {
    std::string line;
    while (true) {
      const auto newline = pending_.find('\n');
      const auto part = pending_.substr(0, newline);
      line += part.substr(0, contract::kLineBytesMax + 1 - line.size());
      if (newline != std::string_view::npos) {
        pending_.remove_prefix(newline + 1);
        return line;
      }
      if (!fill()) {
        return std::nullopt;
      }
    }
  }

 private:
  bool fill() {
    ssize_t got = 0;
    do {
      got = ::read(fd_, block_.data(), block_.size());
    } while (got < 0 && errno == EINTR);
    pending_ = {block_.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
    return got > 0;
  }

  int fd_;
  std::array<char, 1 << 16> block_{};
  std::string_view pending_;
};

// Throws CommandAbandoned when nobody listens.
void send(int fd, const Reply& reply) {
  const std::string line = contract::encode(reply);
  for (std::string_view rest = line; !rest.empty();) {
    const auto written = ::write(fd, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) {
      throw CommandAbandoned(std::string("cannot write a reply: ") + std::strerror(errno));
    }
    rest.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
}

Reply reply_of(std::uint64_t id, const Trainer::Outcome& outcome) {
  if (outcome) {
    return {id, *outcome};
  }
  return {id, outcome.error()};
}

void serve_until_stop(int commands_fd, int replies_fd) {
  std::uint64_t id = 0;
  Trainer trainer([&](const contract::Progress& progress) { send(replies_fd, {id, progress}); });
  LineReader lines(commands_fd);
  while (const auto line = lines.next()) {
    const auto command = contract::parse_command(*line);
    if (!command) {
      const Refusal& refusal = command.error();
      send(replies_fd, {0, contract::Error{refusal.code, refusal.message, /*transient=*/false}});
      continue;
    }
    id = command->id;
    send(replies_fd, reply_of(id, trainer.handle(command->body)));
    if (std::holds_alternative<contract::Stop>(command->body)) {
      return;
    }
  }
}

}  // namespace

int serve_trainer(int commands_fd, int replies_fd) {
  try {
    serve_until_stop(commands_fd, replies_fd);
    return 0;
  } catch (const CommandAbandoned&) {
    return 1;
  }
}

}  // namespace entente::agent
