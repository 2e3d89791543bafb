// Randomness from the operating system (through OpenSSL): for identities of sessions and
// installations and for jitter. Nothing that a model depends on comes from here.
#pragma once

#include <cstdint>
#include <string>

namespace entente {

[[nodiscard]] std::uint64_t random_u64();
// 2 * `bytes` lower-case hex digits.
[[nodiscard]] std::string random_hex(std::size_t bytes);

}  // namespace entente
