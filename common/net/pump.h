// Moves one session's bytes between its TLS stream and its unix socket, both ways, until either
// ends.
//
//  - Backpressure: a direction reads on only when the other side has taken what it read before.
//  - What comes from the peer passes the frame guard before it is forwarded.
//  - When the peer closes in order, what it sent is delivered first; when the unix side closes,
//    what it wrote is sent first, then close_notify, and the peer has limits::kLinger to close as
//    well.
//
// Lives on one I/O thread, where every function but the counters must be called. For the .cpp files
// of this folder only.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "common/base/refusal.h"
#include "common/net/buffer_pool.h"
#include "common/net/frame_guard.h"
#include "common/net/tls_stream.h"

namespace entente::net {

// Bytes of a buffer on this plane: many records at once for bulk, little memory for control.
[[nodiscard]] std::size_t buffer_bytes(Plane plane);

enum class PumpEnd : std::uint8_t {
  peer_closed,   // in order
  peer_lost,     // TCP or TLS broke
  peer_refused,  // the frame guard or a failure of our own ended it
  local_closed,  // the ZeroMQ socket left
  stopped,       // close() or stop()
};

struct PumpResult {
  PumpEnd end = PumpEnd::peer_closed;
  Refusal reason;  // empty for peer_closed, local_closed and stopped
};

class Pump : public std::enable_shared_from_this<Pump> {
 public:
  using Ended = std::function<void(const PumpResult&)>;

  // `local` is a connected unix socket, which the pump owns and keeps open until it is destroyed:
  // a ZeroMQ socket that sees its peer leave drops the messages that nobody has taken yet.
  // `pool` outlives `io`. `ended` is called exactly once, on the I/O thread.
  Pump(asio::io_context& io, TlsStream tls, int local, Plane plane, BufferPool& pool, Ended ended);

  void start();
  // Takes nothing more from the peer, sends what the unix side still has, and ends: after its end
  // of stream, after a short silence, or after limits::kLinger.
  void close();
  // Ends now, with no more than a close_notify.
  void stop();
  // Ends now when the peer's certificate is not good for `context`.
  void check_peer(const TlsContext& context);

  // Any thread.
  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }
  [[nodiscard]] std::uint64_t bytes_received() const { return bytes_received_; }
  // Whole messages that were handed to the unix side.
  [[nodiscard]] std::uint64_t messages_delivered() const { return messages_delivered_; }

 private:
  using Self = std::shared_ptr<Pump>;
  enum class Phase : std::uint8_t {
    carrying,
    closing,  // close() was called: the peer's bytes are discarded, ours still flow
    leaving,  // our close_notify is out; waiting for the peer's
    over,
  };

  void launch(asio::awaitable<void> work);
  asio::awaitable<void> carry_in(Self self);
  asio::awaitable<void> carry_out(Self self);
  asio::awaitable<void> close_when_quiet(Self self);
  [[nodiscard]] asio::awaitable<bool> forward(std::span<const std::byte> bytes);
  [[nodiscard]] asio::awaitable<bool> deliver(std::span<const std::byte> bytes);
  [[nodiscard]] asio::awaitable<bool> send(std::span<const std::byte> bytes);
  [[nodiscard]] asio::awaitable<bool> local_ready(asio::posix::stream_descriptor::wait_type what);
  void leave(PumpEnd end);
  // Ends with `result` in limits::kLinger if nothing else has ended it by then.
  void end_after_linger(PumpResult result);
  void end(const PumpResult& result);

  asio::io_context& io_;
  TlsStream tls_;
  asio::posix::stream_descriptor local_;
  asio::steady_timer linger_timer_;
  asio::steady_timer quiet_timer_;
  BufferPool& pool_;
  FrameGuard guard_;
  Ended ended_;
  Phase phase_ = Phase::carrying;
  PumpResult result_;  // known before the end when it is we who leave
  std::atomic<std::uint64_t> bytes_sent_ = 0;
  std::atomic<std::uint64_t> bytes_received_ = 0;
  std::atomic<std::uint64_t> messages_delivered_ = 0;
};

}  // namespace entente::net
