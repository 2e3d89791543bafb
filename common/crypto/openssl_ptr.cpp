#include "common/crypto/openssl_ptr.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <stdexcept>

namespace entente {

std::string take_openssl_errors() {
  std::string text;
  while (const unsigned long error = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(error);
    text += text.empty() ? "" : "; ";
    text += reason != nullptr ? reason : fmt::format("error {:x}", error);
  }
  return text;
}

void require_openssl(bool succeeded, const char* what) {
  if (!succeeded) {
    throw std::runtime_error(fmt::format("OpenSSL: {} failed: {}", what, take_openssl_errors()));
  }
}

}  // namespace entente
