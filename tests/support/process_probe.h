// What the kernel says about another process.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace entente::integration {

// False also for one that has ended and waits for its parent to notice.
[[nodiscard]] bool is_alive(pid_t pid);
[[nodiscard]] std::uint64_t resident_bytes(pid_t pid);
// Whether somebody listens on this port of the loopback address.
[[nodiscard]] bool is_listening(std::uint16_t port);

}  // namespace entente::integration
