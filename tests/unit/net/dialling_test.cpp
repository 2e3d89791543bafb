// Opening a session: what is said when it cannot be, and the way through a proxy.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "tests/unit/net/echo_broker.h"
#include "tests/unit/net/raw_client.h"

namespace entente::net::test {
namespace {

using entente::test::TestConsortium;
using testing::HasSubstr;

// Listens on loopback, takes one connection and lets `serve` have it.
class OneConnection {
 public:
  explicit OneConnection(std::function<void(int)> serve)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve = std::move(serve)] {
      pollfd waiting{listener_, POLLIN, 0};
      if (::poll(&waiting, 1, 20'000) == 1) {
        const int connection = ::accept(listener_, nullptr, nullptr);
        serve(connection);
        ::close(connection);
      }
    });
  }
  ~OneConnection() {
    thread_.join();
    ::close(listener_);
  }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

std::string read_request(int connection) {
  std::string request;
  std::array<char, 1024> part;
  while (request.find("\r\n\r\n") == std::string::npos) {
    const auto got = ::recv(connection, part.data(), part.size(), 0);
    if (got <= 0) {
      break;
    }
    request.append(part.data(), static_cast<std::size_t>(got));
  }
  return request;
}

void write_all(int connection, std::string_view bytes) {
  (void)!::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

// Bytes from either to the other until one ends.
void relay(int one, int other) {
  std::array<char, 4096> part;
  for (;;) {
    std::array<pollfd, 2> waiting{{{one, POLLIN, 0}, {other, POLLIN, 0}}};
    if (::poll(waiting.data(), waiting.size(), 20'000) <= 0) {
      return;
    }
    for (const auto& side : waiting) {
      if (side.revents == 0) {
        continue;
      }
      const auto got = ::recv(side.fd, part.data(), part.size(), 0);
      if (got <= 0) {
        return;
      }
      write_all(side.fd == one ? other : one, {part.data(), static_cast<std::size_t>(got)});
    }
  }
}

int connect_to(std::uint16_t port) {
  const int connection = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return connection;
}

class Dialling : public testing::Test {
 protected:
  Refusal refusal(const DialOptions& options) {
    const auto session = open_session(options);
    return session ? Refusal{"opened", "", "", Scope::broker} : session.error();
  }

  TestConsortium consortium_;
  Kit north_ = consortium_.site("north");
};

// A port on which nobody listens, held so that nobody else takes it.
class ClosedPort {
 public:
  ClosedPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~ClosedPort() { ::close(socket_); }
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  int socket_;
  std::string address_;
};

TEST_F(Dialling, SaysWhenNobodyListens) {
  const ClosedPort port;
  const auto refused = refusal(dial_options(port.address(), north_));
  EXPECT_EQ(refused.code, "broker_unreachable");
  EXPECT_THAT(refused.message, HasSubstr(port.address()));
}

TEST_F(Dialling, RefusesAnAddressThatIsNone) {
  for (const char* address : {"", "broker", "broker:", ":7443", "broker:0", "broker:70000",
                              "broker:12x", "::1:7443", "a b:1", "a\r\nb:1"}) {
    const auto refused = refusal(dial_options(address, north_));
    EXPECT_EQ(refused.code, "broker_unreachable") << address;
    EXPECT_THAT(refused.message, HasSubstr("is not a host and a port")) << address;
  }
}

TEST_F(Dialling, RefusesABrokerOfAnotherAuthority) {
  TestConsortium other;
  EchoBroker broker(other);
  EXPECT_EQ(refusal(dial_options(broker.address(), north_)).code, "broker_untrusted");
  ASSERT_TRUE(broker.wait_until([](const Reported& r) { return !r.refusals.empty(); }));
}

TEST_F(Dialling, RefusesABrokerUnderAnotherName) {
  EchoBroker broker(consortium_);
  auto options = dial_options(broker.address(), north_);
  options.broker = "localhost:" + std::to_string(broker.front().port());
  EXPECT_EQ(refusal(options).code, "broker_untrusted");
}

TEST_F(Dialling, RefusesABrokerOfAnotherConsortium) {
  EchoBroker broker(consortium_);
  auto options = dial_options(broker.address(), north_);
  options.consortium = ConsortiumId::literal("elsewhere");
  EXPECT_EQ(refusal(options).code, "broker_untrusted");
}

TEST_F(Dialling, RefusesAPeerThatIsNoTls) {
  OneConnection server([](int connection) { write_all(connection, "SSH-2.0-OpenSSH_9.2\r\n"); });
  EXPECT_EQ(refusal(dial_options(server.address(), north_)).code, "broker_untrusted");
}

TEST_F(Dialling, GivesUpOnAPeerThatSaysNothing) {
  OneConnection server([](int connection) {
    std::array<char, 4096> part;
    while (::recv(connection, part.data(), part.size(), 0) > 0) {
    }
  });
  auto options = dial_options(server.address(), north_);
  options.patience = std::chrono::seconds(2);
  const auto refused = refusal(options);
  EXPECT_EQ(refused.code, "broker_unreachable");
  EXPECT_THAT(refused.message, HasSubstr("took longer than 2 s"));
}

TEST_F(Dialling, LearnsAtTheFirstReceiveThatItsCertificateIsNotAccepted) {
  auto leaf = consortium_.site_leaf();
  leaf.validity.not_after = entente::test::kTestNow - 1000;
  leaf.validity.not_before = leaf.validity.not_after - pki::kDayMs;
  const Kit expired = consortium_.with_leaf(Role::site, leaf);
  EchoBroker broker(consortium_);
  for (int i = 0; i < 20; ++i) {
    const auto session = open_session(dial_options(broker.address(), expired));
    ASSERT_TRUE(session) << session.error().message;
    EXPECT_EQ((*session)->receive(kPatience), std::nullopt);
    const auto reason = (*session)->ended();
    ASSERT_TRUE(reason);
    EXPECT_EQ(reason->code, "certificate_refused") << reason->message;
    EXPECT_THAT(reason->message, HasSubstr("expired"));
  }
  EXPECT_TRUE(broker.reported().ups.empty());
}

TEST_F(Dialling, GoesThroughAProxy) {
  EchoBroker broker(consortium_);
  std::string request;
  OneConnection proxy([&](int connection) {
    request = read_request(connection);
    const int onward = connect_to(broker.front().port());
    write_all(connection, "HTTP/1.1 200 Connection established\r\nVia: a proxy\r\n\r\n");
    relay(connection, onward);
    ::close(onward);
  });
  auto options = dial_options(broker.address(), north_);
  options.proxy = proxy.address();
  auto session = open_session(options);
  ASSERT_TRUE(session) << session.error().message;
  ASSERT_TRUE((*session)->send(frames("through the proxy")));
  const auto answer = (*session)->receive(kPatience);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->envelope.to_string_view(), "through the proxy");
  EXPECT_THAT(request, testing::StartsWith("CONNECT " + broker.address() + " HTTP/1.1\r\n"));
}

TEST_F(Dialling, SaysWhyAProxyRefuses) {
  const std::array<std::pair<std::string, std::string>, 4> answers{{
      {"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"},
      {"HTTP/1.1 200 OK\r\n\r\nand more", "more than its answer"},
      {std::string(20'000, 'x'), "does not speak HTTP"},
      {"HTTP/1.1 200", "broke off"},
  }};
  for (const auto& [answer, cause] : answers) {
    OneConnection proxy([&](int connection) {
      (void)read_request(connection);
      write_all(connection, answer);
    });
    auto options = dial_options("broker.example:7443", north_);
    options.proxy = proxy.address();
    const auto refused = refusal(options);
    EXPECT_EQ(refused.code, "proxy_refused");
    EXPECT_THAT(refused.message, HasSubstr(cause));
  }
}

}  // namespace
}  // namespace entente::net::test
