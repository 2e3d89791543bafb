#include "common/net/pump.h"

#include <sys/socket.h>

#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <exception>
#include <string>
#include <utility>

#include "common/base/limits.h"

namespace entente::net {
namespace {

constexpr std::size_t kControlBufferBytes = 16 << 10;
constexpr std::size_t kDataBufferBytes = 256 << 10;
constexpr std::size_t kFramesPerMessageMax = 2;

// A unix side that has written nothing for so long while closing has nothing more to say.
constexpr std::chrono::milliseconds kQuiet{100};

std::size_t frame_bytes_max(Plane plane) {
  switch (plane) {
    case Plane::control:
      return limits::kControlMessageBytesMax;
    case Plane::data:
      return limits::kFrameBytesMax;
  }
  return 0;
}

}  // namespace

std::size_t buffer_bytes(Plane plane) {
  return plane == Plane::data ? kDataBufferBytes : kControlBufferBytes;
}

Pump::Pump(asio::io_context& io, TlsStream tls, int local, Plane plane, BufferPool& pool,
           Ended ended)
    : io_(io),
      tls_(std::move(tls)),
      local_(io, local),
      linger_timer_(io),
      quiet_timer_(io),
      pool_(pool),
      guard_(frame_bytes_max(plane), kFramesPerMessageMax),
      ended_(std::move(ended)) {}

void Pump::start() {
  launch(carry_in(shared_from_this()));
  launch(carry_out(shared_from_this()));
}

void Pump::close() {
  if (phase_ != Phase::carrying) {
    return;
  }
  phase_ = Phase::closing;
  result_ = PumpResult{PumpEnd::stopped, {}};
  end_after_linger(result_);
  launch(close_when_quiet(shared_from_this()));
}

void Pump::stop() { end(PumpResult{PumpEnd::stopped, {}}); }

void Pump::check_peer(const TlsContext& context) {
  if (phase_ == Phase::over) {
    return;
  }
  if (auto why = context.distrust(tls_.handle())) {
    end(PumpResult{PumpEnd::peer_refused, std::move(*why)});
  }
}

void Pump::launch(asio::awaitable<void> work) {
  asio::co_spawn(io_, std::move(work), [self = shared_from_this()](std::exception_ptr failure) {
    try {
      if (failure) {
        std::rethrow_exception(failure);
      }
    } catch (const std::exception& error) {
      self->end(
          PumpResult{PumpEnd::peer_refused,
                     Refusal{.code = "session_failed",
                             .message = std::string("the session cannot go on: ") + error.what(),
                             .hint = {},
                             .scope = Scope::site}});
    }
  });
}

// From the peer to the unix side.
asio::awaitable<void> Pump::carry_in(Self) {
  while (phase_ != Phase::over) {
    TlsState state = TlsState::open;
    {
      const auto buffer = pool_.take();
      const TlsProgress progress = tls_.read(pool_.whole(buffer));
      state = progress.state;
      bytes_received_ += progress.bytes;
      if (!co_await forward(pool_.whole(buffer).first(progress.bytes))) {
        co_return;
      }
    }
    switch (state) {
      case TlsState::open:
        // There may be more at once; the other sessions of this thread come first.
        co_await asio::post(asio::use_awaitable);
        break;
      case TlsState::wants_read:
      case TlsState::wants_write:
        if (!co_await tls_.ready(state)) {
          co_return;
        }
        break;
      case TlsState::closed:
        end(result_);
        co_return;
      case TlsState::failed:
        end(phase_ == Phase::carrying ? PumpResult{PumpEnd::peer_lost, tls_.failure()} : result_);
        co_return;
    }
  }
}

// From the unix side to the peer.
asio::awaitable<void> Pump::carry_out(Self) {
  while (phase_ == Phase::carrying || phase_ == Phase::closing) {
    ssize_t got = 0;
    int error = 0;
    {
      const auto buffer = pool_.take();
      const auto space = pool_.whole(buffer);
      got = ::recv(local_.native_handle(), space.data(), space.size(), MSG_DONTWAIT);
      error = errno;
      if (got > 0 && !co_await send(space.first(static_cast<std::size_t>(got)))) {
        co_return;
      }
    }
    if (got > 0) {
      co_await asio::post(asio::use_awaitable);
    } else if (got < 0 && error == EAGAIN) {
      if (!co_await local_ready(asio::posix::stream_descriptor::wait_read)) {
        co_return;
      }
    } else if (got == 0 || error != EINTR) {
      leave(PumpEnd::local_closed);
      co_return;
    }
  }
}

asio::awaitable<void> Pump::close_when_quiet(Self) {
  std::uint64_t before = 0;
  do {
    before = bytes_sent_;
    std::error_code error;
    quiet_timer_.expires_after(kQuiet);
    co_await quiet_timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  } while (phase_ == Phase::closing && bytes_sent_ != before);
  leave(PumpEnd::stopped);
}

// False when the session has ended meanwhile.
asio::awaitable<bool> Pump::forward(std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    co_return true;
  }
  // While closing, too, when nothing is delivered any more: a peer that breaks the bounds is not
  // listened to until the linger time is over.
  if (auto violation = guard_.consume(bytes)) {
    end(PumpResult{PumpEnd::peer_refused,
                   Refusal{.code = "frame_refused",
                           .message = "the peer broke the message bounds: " + *violation,
                           .hint = "check that both ends are Entente of a compatible version",
                           .scope = Scope::site}});
    co_return false;
  }
  if (phase_ != Phase::carrying) {
    co_return true;
  }
  if (co_await deliver(bytes)) {
    messages_delivered_ = guard_.messages();
  } else if (phase_ == Phase::carrying) {
    // The unix side has left; carry_out still has what it wrote before.
    phase_ = Phase::closing;
    result_ = PumpResult{PumpEnd::local_closed, {}};
    end_after_linger(result_);
  }
  co_return phase_ != Phase::over;
}

asio::awaitable<bool> Pump::deliver(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t taken =
        ::send(local_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(taken));
    } else if (errno == EAGAIN) {
      if (!co_await local_ready(asio::posix::stream_descriptor::wait_write)) {
        co_return false;
      }
    } else if (errno != EINTR) {
      co_return false;
    }
  }
  co_return true;
}

asio::awaitable<bool> Pump::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const TlsProgress progress = tls_.write(bytes);
    bytes = bytes.subspan(progress.bytes);
    bytes_sent_ += progress.bytes;
    if (progress.state == TlsState::open) {
      continue;
    }
    if (progress.state == TlsState::failed || progress.state == TlsState::closed) {
      // What the peer said last (an alert, perhaps) tells more than a failed write.
      if (phase_ != Phase::over) {
        end_after_linger(PumpResult{PumpEnd::peer_lost, tls_.failure()});
      }
      co_return false;
    }
    if (!co_await tls_.ready(progress.state) || phase_ == Phase::over) {
      co_return false;
    }
  }
  co_return true;
}

asio::awaitable<bool> Pump::local_ready(asio::posix::stream_descriptor::wait_type what) {
  std::error_code error;
  co_await local_.async_wait(what, asio::redirect_error(asio::use_awaitable, error));
  co_return !error && phase_ != Phase::over;
}

void Pump::leave(PumpEnd end) {
  if (phase_ == Phase::carrying) {
    result_ = PumpResult{end, {}};
  }
  if (phase_ == Phase::carrying || phase_ == Phase::closing) {
    phase_ = Phase::leaving;
    tls_.send_close();
    end_after_linger(result_);
  }
}

void Pump::end_after_linger(PumpResult result) {
  linger_timer_.expires_after(limits::kLinger);
  linger_timer_.async_wait(
      [self = shared_from_this(), result = std::move(result)](std::error_code error) {
        if (!error) {
          self->end(result);
        }
      });
}

void Pump::end(const PumpResult& result) {
  if (phase_ == Phase::over) {
    return;
  }
  phase_ = Phase::over;
  tls_.send_close();
  tls_.close();
  local_.cancel();
  linger_timer_.cancel();
  quiet_timer_.cancel();
  std::exchange(ended_, {})(result);
}

}  // namespace entente::net
