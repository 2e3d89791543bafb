// What the kernel says about another process.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace entente::integration {

// False also for one that has ended and waits for its parent to notice.
[[nodiscard]] bool is_alive(pid_t pid);
[[nodiscard]] std::uint64_t resident_bytes(pid_t pid);
// Without the pages of files: what the process itself has taken.
[[nodiscard]] std::uint64_t anonymous_bytes(pid_t pid);
[[nodiscard]] std::size_t open_descriptors(pid_t pid);
// The running processes that it has started.
[[nodiscard]] std::vector<pid_t> children_of(pid_t pid);
// Processor time that the process, its ended children and its living ones have used.
[[nodiscard]] double cpu_seconds(pid_t pid);
// Whether somebody listens on this port of the loopback address.
[[nodiscard]] bool is_listening(std::uint16_t port);

}  // namespace entente::integration
