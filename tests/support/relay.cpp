#include "tests/support/relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

namespace entente::integration {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int make_socket() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    throw std::system_error(errno, std::generic_category(), "socket");
  }
  return descriptor;
}

bool send_all(int descriptor, const char* bytes, std::size_t count) {
  while (count > 0) {
    const auto sent = ::send(descriptor, bytes, count, MSG_NOSIGNAL);
    if (sent <= 0) {
      return false;
    }
    bytes += sent;
    count -= static_cast<std::size_t>(sent);
  }
  return true;
}

void hang_up(int agent, int broker) {
  ::shutdown(agent, SHUT_RDWR);
  ::shutdown(broker, SHUT_RDWR);
}

}  // namespace

Relay::Relay(std::uint16_t broker_port)
    : broker_port_(broker_port), listener_(make_socket()), limit_(kNever) {
  auto address = loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, SOMAXCONN) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "relay");
  }
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { accept_all(); });
}

Relay::~Relay() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    changed_.notify_all();
  }
  ::shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  for (auto& connection : connections_) {
    hang_up(connection.agent, connection.broker);
    close(connection);
  }
  ::close(listener_);
}

std::string Relay::address() const { return "127.0.0.1:" + std::to_string(port_); }

void Relay::stall_after(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
}

bool Relay::is_stalling() const {
  const std::lock_guard lock(mutex_);
  return waiting_ > 0;
}

void Relay::resume() {
  const std::lock_guard lock(mutex_);
  limit_ = kNever;
  changed_.notify_all();
}

void Relay::cut() {
  const std::lock_guard lock(mutex_);
  for (const auto& connection : connections_) {
    hang_up(connection.agent, connection.broker);
  }
}

// Under mutex_. What they carried stays known.
void Relay::bury_the_ended() {
  for (auto& connection : connections_) {
    if (connection.ends_open == 0) {
      close(connection);
    }
  }
}

void Relay::close(Connection& connection) {
  if (connection.up.joinable()) {
    connection.up.join();
    connection.down.join();
    ::close(std::exchange(connection.agent, -1));
    ::close(std::exchange(connection.broker, -1));
  }
}

std::vector<std::uint64_t> Relay::bytes_down() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> bytes;
  for (const auto& connection : connections_) {
    bytes.push_back(connection.bytes_down);
  }
  return bytes;
}

std::vector<std::uint64_t> Relay::bytes_up() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> bytes;
  for (const auto& connection : connections_) {
    bytes.push_back(connection.bytes_up);
  }
  return bytes;
}

void Relay::accept_all() {
  while (true) {
    const int agent = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (agent < 0) {
      return;
    }
    const int broker = make_socket();
    const auto address = loopback(broker_port_);
    if (::connect(broker, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      ::close(agent);
      ::close(broker);
      continue;
    }
    const std::lock_guard lock(mutex_);
    bury_the_ended();
    auto& connection = connections_.emplace_back();
    connection.agent = agent;
    connection.broker = broker;
    connection.up = std::thread([this, &connection] { carry_up(connection); });
    connection.down = std::thread([this, &connection] { carry_down(connection); });
  }
}

void Relay::carry_up(Connection& connection) {
  std::array<char, 16 << 10> part;
  while (true) {
    const auto got = ::recv(connection.agent, part.data(), part.size(), 0);
    if (got <= 0) {
      break;
    }
    {
      std::unique_lock lock(mutex_);
      connection.bytes_up += static_cast<std::uint64_t>(got);
      const auto may_pass = [&] { return connection.bytes_up <= limit_ || closing_; };
      const int waits = may_pass() ? 0 : 1;
      waiting_ += waits;
      changed_.wait(lock, may_pass);
      waiting_ -= waits;
    }
    if (!send_all(connection.broker, part.data(), static_cast<std::size_t>(got))) {
      break;
    }
  }
  hang_up(connection.agent, connection.broker);
  --connection.ends_open;
}

void Relay::carry_down(Connection& connection) {
  std::array<char, 16 << 10> part;
  while (true) {
    const auto got = ::recv(connection.broker, part.data(), part.size(), 0);
    if (got <= 0) {
      break;
    }
    {
      const std::lock_guard lock(mutex_);
      connection.bytes_down += static_cast<std::uint64_t>(got);
    }
    if (!send_all(connection.agent, part.data(), static_cast<std::size_t>(got))) {
      break;
    }
  }
  hang_up(connection.agent, connection.broker);
  --connection.ends_open;
}

}  // namespace entente::integration
