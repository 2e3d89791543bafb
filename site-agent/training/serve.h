// The trainer's main loop: commands in by lines, replies out by lines, one command at a time.
#pragma once

namespace entente::agent {

// Serves until `stop`, the end of `commands_fd`, or until nobody reads `replies_fd` any more. A
// line that is not a command is answered with an error of id 0. Returns the process's exit code.
// SIGPIPE must be ignored.
[[nodiscard]] int serve_trainer(int commands_fd, int replies_fd);

}  // namespace entente::agent
