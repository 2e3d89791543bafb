// A client that speaks TLS properly, or not even that, and below it whatever bytes a test likes.
// Blocking, with a limit on every wait.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/crypto/openssl_ptr.h"
#include "common/crypto/tls_context.h"

namespace entente::net::test {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void send_plain(std::string_view bytes) const;
  // True when the other side closes or resets the connection (what it sends before is dropped).
  [[nodiscard]] bool sees_the_end() const;

  [[nodiscard]] bool start_tls(const TlsContext& context);
  // False once the connection is gone.
  [[nodiscard]] bool send(std::string_view bytes) const;
  // Exactly so many bytes, or fewer at the end.
  [[nodiscard]] std::string receive(std::size_t bytes) const;

 private:
  int descriptor_;
  SslPtr session_;
};

}  // namespace entente::net::test
