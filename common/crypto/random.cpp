#include "common/crypto/random.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <vector>

#include "common/crypto/openssl_ptr.h"

namespace entente {

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  require_openssl(RAND_bytes(reinterpret_cast<unsigned char*>(&value), sizeof value) == 1,
                  "RAND_bytes");
  return value;
}

std::string random_hex(std::size_t bytes) {
  std::vector<unsigned char> buffer(bytes);
  require_openssl(RAND_bytes(buffer.data(), static_cast<int>(bytes)) == 1, "RAND_bytes");
  std::string hex;
  hex.reserve(2 * bytes);
  for (const unsigned char byte : buffer) {
    fmt::format_to(std::back_inserter(hex), "{:02x}", byte);
  }
  return hex;
}

}  // namespace entente
