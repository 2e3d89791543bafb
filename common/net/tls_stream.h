// OpenSSL on a non-blocking TCP socket, with Asio only for waiting. (Asio's own ssl::stream copies
// every record twice through a BIO pair.)
//
// OpenSSL writes without MSG_NOSIGNAL: the process must ignore SIGPIPE, or a peer that is gone ends
// it. `read` and `write` never wait: they move what can be moved now and say what to wait for.
// Owned by one session and used on one thread at a time. For the .cpp files of this folder only.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <system_error>

#include "common/base/refusal.h"
#include "common/crypto/tls_context.h"

namespace entente::net {

enum class TlsState : std::uint8_t {
  open,         // everything asked for was done
  wants_read,   // go on when the socket is readable
  wants_write,  // go on when the socket is writable
  closed,       // the peer ended the session in order
  failed,       // see failure()
};

enum class TlsSide : std::uint8_t { client, server };

struct TlsProgress {
  std::size_t bytes = 0;
  TlsState state = TlsState::open;  // what came after those bytes
};

class TlsStream {
 public:
  // Takes over `descriptor`, a connected TCP socket.
  TlsStream(asio::io_context& io, int descriptor, const TlsContext& context, TlsSide side);
  ~TlsStream();
  TlsStream(TlsStream&&) noexcept;
  TlsStream& operator=(TlsStream&&) = delete;

  // Ends open, closed or failed; has no time limit of its own.
  [[nodiscard]] asio::awaitable<TlsState> handshake();

  [[nodiscard]] TlsProgress read(std::span<std::byte> into);
  [[nodiscard]] TlsProgress write(std::span<const std::byte> bytes);
  // Before the handshake: the first byte that the peer has sent. Nothing when it sent none.
  [[nodiscard]] std::optional<std::uint8_t> peek();
  // Waits for what `state` wants. False when the stream was closed meanwhile.
  [[nodiscard]] asio::awaitable<bool> ready(TlsState state);

  // Tells the peer that nothing more will come. Never waits; may be called more than once.
  void send_close();
  // Closes the socket; whoever waits on it is woken.
  void close();
  // Closes the socket once the peer has closed its end or the stream is closed from outside. A
  // socket closed with unread bytes is reset, and a reset destroys what the peer has yet to read,
  // such as the alert that names its fault.
  [[nodiscard]] asio::awaitable<void> discard_until_closed();

  // Continues on another thread's context. Nobody may be waiting.
  void move_to(asio::io_context& io);

  // Why the state is `failed`: what OpenSSL says, or "connection_lost" when TCP broke.
  [[nodiscard]] const Refusal& failure() const { return failure_; }
  [[nodiscard]] ssl_st* handle() const { return ssl_.get(); }

 private:
  struct FreeSession {
    void operator()(ssl_st* session) const;
  };

  TlsState state_after(int result);
  void lose(const std::string& cause);

  asio::posix::stream_descriptor socket_;
  std::unique_ptr<ssl_st, FreeSession> ssl_;
  TlsSide side_;
  bool broken_ = false;
  Refusal failure_;
};

}  // namespace entente::net
