#include "tests/unit/net/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>

namespace entente::net::test {
namespace {

// OpenSSL writes with write(2), which raises SIGPIPE on a connection that is gone.
const auto kIgnoreSigpipe = std::signal(SIGPIPE, SIG_IGN);

}  // namespace

RawClient::RawClient(std::uint16_t port)
    : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval limit{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("connect");
  }
}

RawClient::~RawClient() {
  session_.reset();
  ::close(descriptor_);
}

void RawClient::send_plain(std::string_view bytes) const {
  (void)!::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

bool RawClient::sees_the_end() const {
  std::array<char, 4096> dropped;
  for (;;) {
    const auto got = ::recv(descriptor_, dropped.data(), dropped.size(), 0);
    if (got <= 0) {
      return got == 0 || errno == ECONNRESET;
    }
  }
}

bool RawClient::start_tls(const TlsContext& context) {
  session_.reset(SSL_new(context.handle()));
  SSL_set_fd(session_.get(), descriptor_);
  return SSL_connect(session_.get()) == 1;
}

bool RawClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    std::size_t taken = 0;
    if (SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &taken) != 1) {
      return false;
    }
    bytes.remove_prefix(taken);
  }
  return true;
}

std::string RawClient::receive(std::size_t bytes) const {
  std::string received;
  std::array<char, 4096> part;
  std::size_t got = 0;
  while (received.size() < bytes &&
         SSL_read_ex(session_.get(), part.data(), std::min(part.size(), bytes - received.size()),
                     &got) == 1) {
    received.append(part.data(), got);
  }
  return received;
}

}  // namespace entente::net::test
