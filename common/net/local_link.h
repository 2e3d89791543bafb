// The unix socket between a TLS session and the ZeroMQ socket of the same process.
//
// The listener lives on the abstract name "entente-<random>" and takes one connection: the first
// that SO_PEERCRED shows to come from this process. Anybody else on the machine who guesses or
// reads the name is turned away, so that nobody borrows the session's identity. For the .cpp files
// of this folder only.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <optional>
#include <string>

namespace entente::net {

class LocalListener {
 public:
  // Listens at once. Throws std::system_error when the process has no descriptor left.
  explicit LocalListener(asio::io_context& io);

  // For zmq_connect: "ipc://@entente-...".
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

  // Our own connection, non-blocking; the caller owns the descriptor. Nothing after `close` or when
  // strangers have knocked too often. Stops listening in any case.
  [[nodiscard]] asio::awaitable<std::optional<int>> accept_own();

  void close();

 private:
  std::string endpoint_;
  asio::posix::stream_descriptor socket_;
};

}  // namespace entente::net
