#include "common/net/tls_stream.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <utility>

namespace entente::net {
namespace {

// Ciphertext that one system call may bring: four records. OpenSSL moves what is left to the front
// after each record, so that a larger buffer costs more than it saves.
constexpr std::size_t kReadAheadBytes = 68 << 10;

std::string_view peer_of(TlsSide side) { return side == TlsSide::client ? "broker" : "client"; }

}  // namespace

void TlsStream::FreeSession::operator()(ssl_st* session) const { SSL_free(session); }

TlsStream::TlsStream(asio::io_context& io, int descriptor, const TlsContext& context, TlsSide side)
    : socket_(io, descriptor), ssl_(SSL_new(context.handle())), side_(side) {
  if (!ssl_ || SSL_set_fd(ssl_.get(), descriptor) != 1) {
    throw std::system_error(std::make_error_code(std::errc::not_enough_memory), "SSL_new");
  }
  socket_.non_blocking(true);
  SSL_set_mode(ssl_.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                               SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_set_read_ahead(ssl_.get(), 1);
  SSL_set_default_read_buffer_len(ssl_.get(), kReadAheadBytes);
  if (side == TlsSide::client) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

TlsStream::~TlsStream() = default;
TlsStream::TlsStream(TlsStream&&) noexcept = default;

asio::awaitable<TlsState> TlsStream::handshake() {
  for (;;) {
    ERR_clear_error();
    const TlsState state = state_after(SSL_do_handshake(ssl_.get()));
    if (state != TlsState::wants_read && state != TlsState::wants_write) {
      co_return state;
    }
    if (!co_await ready(state)) {
      lose("the handshake was broken off");
      co_return TlsState::failed;
    }
  }
}

TlsProgress TlsStream::read(std::span<std::byte> into) {
  TlsProgress progress;
  if (!socket_.is_open()) {
    progress.state = TlsState::failed;
    return progress;
  }
  while (progress.bytes < into.size()) {
    const auto rest = into.subspan(progress.bytes);
    std::size_t got = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), rest.data(), rest.size(), &got);
    if (result != 1) {
      progress.state = state_after(result);
      break;
    }
    progress.bytes += got;
  }
  return progress;
}

TlsProgress TlsStream::write(std::span<const std::byte> bytes) {
  TlsProgress progress;
  if (!socket_.is_open()) {
    progress.state = TlsState::failed;
    return progress;
  }
  while (progress.bytes < bytes.size()) {
    const auto rest = bytes.subspan(progress.bytes);
    std::size_t taken = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_.get(), rest.data(), rest.size(), &taken);
    if (result != 1) {
      progress.state = state_after(result);
      break;
    }
    progress.bytes += taken;
  }
  return progress;
}

std::optional<std::uint8_t> TlsStream::peek() {
  std::uint8_t first = 0;
  return ::recv(socket_.native_handle(), &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1
             ? std::optional(first)
             : std::nullopt;
}

asio::awaitable<bool> TlsStream::ready(TlsState state) {
  std::error_code error;
  co_await socket_.async_wait(state == TlsState::wants_write
                                  ? asio::posix::stream_descriptor::wait_write
                                  : asio::posix::stream_descriptor::wait_read,
                              asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

void TlsStream::send_close() {
  if (!socket_.is_open()) {
    return;
  }
  if (!broken_ && SSL_is_init_finished(ssl_.get()) == 1) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(socket_.native_handle(), SHUT_WR);
}

void TlsStream::close() {
  std::error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<void> TlsStream::discard_until_closed() {
  send_close();
  std::array<std::byte, 4096> discarded;
  while (socket_.is_open()) {
    const auto got =
        ::recv(socket_.native_handle(), discarded.data(), discarded.size(), MSG_DONTWAIT);
    if (got > 0 || (got < 0 && errno == EINTR)) {
      continue;
    }
    const bool waits = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (!waits || !co_await ready(TlsState::wants_read)) {
      break;
    }
  }
  close();
}

void TlsStream::move_to(asio::io_context& io) {
  socket_ = asio::posix::stream_descriptor(io, socket_.release());
}

// What the last OpenSSL call, which returned `result`, leaves to do.
TlsState TlsStream::state_after(int result) {
  if (result == 1) {
    return TlsState::open;
  }
  const int system_error = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return TlsState::wants_read;
    case SSL_ERROR_WANT_WRITE:
      return TlsState::wants_write;
    case SSL_ERROR_ZERO_RETURN:
      return TlsState::closed;
    case SSL_ERROR_SSL:
      if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        lose("it ended without a word");
      } else {
        broken_ = true;
        failure_ = explain_tls_error(ssl_.get(), side_ == TlsSide::client);
      }
      return TlsState::failed;
    default:
      lose(system_error == 0 ? "it ended without a word"
                             : std::generic_category().message(system_error));
      return TlsState::failed;
  }
}

void TlsStream::lose(const std::string& cause) {
  broken_ = true;
  ERR_clear_error();
  failure_ =
      Refusal{.code = "connection_lost",
              .message = fmt::format("the connection to the {} is lost: {}", peer_of(side_), cause),
              .hint = {},
              .scope = Scope::site};
}

}  // namespace entente::net
