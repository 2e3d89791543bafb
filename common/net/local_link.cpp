#include "common/net/local_link.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include "common/base/check.h"
#include "common/crypto/random.h"

namespace entente::net {
namespace {

// Enough that a curious program on the machine doesn't matter; whoever wants to disturb is stopped.
constexpr int kStrangersMax = 64;
constexpr std::size_t kNameRandomBytes = 16;

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

int open_listener(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A name that begins with a zero byte is abstract: it is no file and goes with the socket.
  ENTENTE_CHECK(name.size() + 1 < sizeof(address.sun_path));
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());

  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    throw_errno("unix socket");
  }
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(descriptor, kStrangersMax) != 0) {
    const int error = errno;
    ::close(descriptor);
    errno = error;
    throw_errno("unix socket");
  }
  return descriptor;
}

bool is_own_process(int descriptor) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  return ::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
         credentials.pid == ::getpid();
}

}  // namespace

LocalListener::LocalListener(asio::io_context& io)
    : endpoint_("ipc://@entente-" + random_hex(kNameRandomBytes)),
      socket_(io, open_listener(endpoint_.substr(std::string_view("ipc://@").size()))) {}

asio::awaitable<std::optional<int>> LocalListener::accept_own() {
  int strangers = 0;
  while (strangers < kStrangersMax && socket_.is_open()) {
    const int accepted =
        ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      if (is_own_process(accepted)) {
        close();
        co_return accepted;
      }
      ::close(accepted);
      ++strangers;
      continue;
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      break;
    }
    std::error_code error;
    co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      break;
    }
  }
  close();
  co_return std::nullopt;
}

void LocalListener::close() {
  std::error_code ignored;
  socket_.close(ignored);
}

}  // namespace entente::net
