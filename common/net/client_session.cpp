#include "common/net/client_session.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <asio/co_spawn.hpp>
#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <mutex>
#include <span>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/net/context.h"
#include "common/net/local_link.h"
#include "common/net/pump.h"
#include "common/net/tls_stream.h"
#include "common/runtime/event_fd.h"

namespace entente::net {
namespace {

using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

// A proxy's answer to CONNECT: a status line and a few headers.
constexpr std::size_t kProxyAnswerBytesMax = 8 << 10;

struct HostPort {
  std::string host;  // without brackets
  std::string port;
};

tl::unexpected<Refusal> unreachable(std::string message,
                                    std::string hint = "check the address and the network") {
  return refuse("broker_unreachable", std::move(message), std::move(hint), Scope::broker);
}

tl::unexpected<Refusal> proxy_refused(const std::string& proxy, std::string_view cause) {
  return refuse("proxy_refused", fmt::format("the proxy {} {}", quote(proxy), cause),
                "check \"proxy\" in kit.toml, and whether the proxy allows the broker's address",
                Scope::broker);
}

// "host:port", "address:port" or "[IPv6 address]:port".
Expected<HostPort> parse_host_port(const std::string& text) {
  const auto colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  std::string host = colon == std::string::npos ? "" : text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    host.clear();
  }
  const auto is_host_byte = [](char c) { return c > ' ' && c < 0x7f; };
  std::uint16_t number = 0;
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), number);
  if (host.empty() || !std::all_of(host.begin(), host.end(), is_host_byte) ||
      parsed.ec != std::errc{} || parsed.ptr != port.data() + port.size() || number == 0) {
    return unreachable(fmt::format("{} is not a host and a port", quote(text)),
                       "write it as HOST:PORT or [IPV6]:PORT");
  }
  return HostPort{host, port};
}

Millis until(Clock::time_point deadline) {
  return std::max(Millis(0), std::chrono::ceil<Millis>(deadline - Clock::now()));
}

// Until one of `items` is ready, for `limit` at most; a signal may end it early.
void wait_for(std::span<zmq_pollitem_t> items, Millis limit) {
  const int ready = ::zmq_poll(items.data(), static_cast<int>(items.size()), limit.count());
  ENTENTE_CHECK(ready >= 0 || zmq_errno() == EINTR);
}

}  // namespace

class ClientSession::Impl {
 public:
  Impl(zmq::context_t& context, Plane plane)
      : pool_(buffer_bytes(plane)), dealer_(context, zmq::socket_type::dealer) {
    set_common_options(dealer_);
    if (plane == Plane::control) {
      dealer_.set(zmq::sockopt::sndhwm, limits::kOwnMessagesMax);
    }
  }
  ~Impl();

  Expected<void> open(const DialOptions& options);

  bool send(Frames frames);
  std::optional<Frames> receive(Millis timeout);
  std::optional<Refusal> ended() const;

  zmq::socket_ref socket() { return dealer_; }
  int ended_fd() const { return ended_fd_.fd(); }
  std::uint64_t bytes_sent() const { return pump_->bytes_sent(); }
  std::uint64_t bytes_received() const { return pump_->bytes_received(); }

 private:
  asio::awaitable<Expected<void>> connect(const DialOptions& options);
  asio::awaitable<Expected<int>> reach(const DialOptions& options, const HostPort& broker);
  asio::awaitable<Expected<void>> ask_proxy(tcp::socket& socket, const std::string& proxy,
                                            const std::string& broker);
  asio::awaitable<Expected<void>> secure(TlsStream& tls, const DialOptions& options,
                                         const std::string& host);
  asio::awaitable<Expected<void>> link(TlsStream tls, Plane plane);
  std::optional<Frames> take();
  void end(const PumpResult& result);

  BufferPool pool_;  // outlives the buffers that suspended work in io_ holds
  asio::io_context io_{1};
  zmq::socket_t dealer_;
  std::shared_ptr<Pump> pump_;
  std::thread thread_;
  std::string doing_;  // what open() waits for
  std::uint64_t messages_taken_ = 0;

  EventFd ended_fd_;
  mutable std::mutex mutex_;
  std::optional<Refusal> ended_;
  bool local_closed_ = false;  // the DEALER left by itself: it hands out nothing more
};

ClientSession::Impl::~Impl() {
  dealer_.close();
  if (thread_.joinable()) {
    // The DEALER's end makes the pump take its leave of the broker, which it bounds itself.
    std::array<zmq_pollitem_t, 1> items{{{nullptr, ended_fd_.fd(), ZMQ_POLLIN, 0}}};
    wait_for(items, 2 * limits::kLinger);
    io_.stop();
    thread_.join();
  }
}

Expected<void> ClientSession::Impl::open(const DialOptions& options) {
  std::optional<Expected<void>> outcome;
  std::exception_ptr failure;
  asio::co_spawn(io_, connect(options), [&](std::exception_ptr thrown, Expected<void> result) {
    failure = thrown;
    outcome = std::move(result);
    io_.stop();
  });
  io_.run_for(options.patience);
  if (failure) {
    std::rethrow_exception(failure);
  }
  if (!outcome) {
    return unreachable(fmt::format("{} took longer than {:.0f} s", doing_,
                                   std::chrono::duration<double>(options.patience).count()));
  }
  if (*outcome) {
    io_.restart();
    pump_->start();
    thread_ = std::thread([this] { io_.run(); });
  }
  return *outcome;
}

asio::awaitable<Expected<void>> ClientSession::Impl::connect(const DialOptions& options) {
  const auto broker = parse_host_port(options.broker);
  if (!broker) {
    co_return tl::unexpected(broker.error());
  }
  auto descriptor = co_await reach(options, *broker);
  if (!descriptor) {
    co_return tl::unexpected(descriptor.error());
  }
  TlsStream tls(io_, *descriptor, options.context, TlsSide::client);
  auto secured = co_await secure(tls, options, broker->host);
  if (!secured) {
    co_return secured;
  }
  co_return co_await link(std::move(tls), options.plane);
}

// A TCP connection to the broker, through the proxy if there is one.
asio::awaitable<Expected<int>> ClientSession::Impl::reach(const DialOptions& options,
                                                          const HostPort& broker) {
  const bool proxied = !options.proxy.empty();
  const std::string& first_hop = proxied ? options.proxy : options.broker;
  const auto hop = proxied ? parse_host_port(options.proxy) : Expected<HostPort>(broker);
  if (!hop) {
    co_return tl::unexpected(hop.error());
  }
  std::error_code error;
  doing_ = fmt::format("looking up {}", quote(hop->host));
  tcp::resolver resolver(io_);
  const auto addresses = co_await resolver.async_resolve(
      hop->host, hop->port, asio::redirect_error(asio::use_awaitable, error));
  if (error) {
    co_return unreachable(
        fmt::format("{} cannot be looked up: {}", quote(hop->host), error.message()));
  }
  doing_ = fmt::format("connecting to {}", quote(first_hop));
  tcp::socket socket(io_);
  co_await asio::async_connect(socket, addresses, asio::redirect_error(asio::use_awaitable, error));
  if (error) {
    co_return unreachable(
        fmt::format("{} cannot be reached: {}", quote(first_hop), error.message()));
  }
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  socket.set_option(tcp::no_delay(true), error);
  if (proxied) {
    if (auto opened = co_await ask_proxy(socket, options.proxy, options.broker); !opened) {
      co_return tl::unexpected(opened.error());
    }
  }
  co_return socket.release();
}

// RFC 9110, section 9.3.6. The broker says nothing before our ClientHello, so that nothing but the
// proxy's answer can arrive.
asio::awaitable<Expected<void>> ClientSession::Impl::ask_proxy(tcp::socket& socket,
                                                               const std::string& proxy,
                                                               const std::string& broker) {
  doing_ = fmt::format("the proxy {}", quote(proxy));
  const std::string request = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", broker);
  std::error_code error;
  co_await asio::async_write(socket, asio::buffer(request),
                             asio::redirect_error(asio::use_awaitable, error));
  std::string answer;
  while (!error && answer.find("\r\n\r\n") == std::string::npos) {
    if (answer.size() >= kProxyAnswerBytesMax) {
      co_return proxy_refused(proxy, "does not speak HTTP");
    }
    std::array<char, 1024> part;
    const auto got = co_await socket.async_read_some(
        asio::buffer(part), asio::redirect_error(asio::use_awaitable, error));
    answer.append(part.data(), got);
  }
  if (error) {
    co_return proxy_refused(proxy, fmt::format("broke off: {}", error.message()));
  }
  const std::string status = answer.substr(0, answer.find("\r\n"));
  if (!status.starts_with("HTTP/1.") || status.find(" 2") != std::string_view("HTTP/1.1").size()) {
    co_return proxy_refused(proxy, fmt::format("answers {}", quote(status)));
  }
  if (!answer.ends_with("\r\n\r\n")) {
    co_return proxy_refused(proxy, "sends more than its answer");
  }
  co_return Expected<void>();
}

asio::awaitable<Expected<void>> ClientSession::Impl::secure(TlsStream& tls,
                                                            const DialOptions& options,
                                                            const std::string& host) {
  doing_ = fmt::format("the TLS handshake with {}", quote(options.broker));
  if (!verify_host(tls.handle(), host)) {
    co_return unreachable(fmt::format("{} is neither a DNS name nor an address", quote(host)));
  }
  const TlsState state = co_await tls.handshake();
  if (state == TlsState::closed) {
    co_return unreachable(fmt::format("{} closed the connection", quote(options.broker)));
  }
  if (state != TlsState::open) {
    Refusal reason = tls.failure();
    const bool lost = reason.code == "connection_lost";
    co_return refuse(lost ? "broker_unreachable" : "broker_untrusted", std::move(reason.message),
                     std::move(reason.hint), Scope::broker);
  }
  const auto identity = peer_identity(tls.handle(), options.consortium, true);
  if (!identity) {
    co_return refuse("broker_untrusted", identity.error().message, identity.error().hint,
                     Scope::broker);
  }
  if (negotiated_plane(tls.handle()) != options.plane) {
    co_return refuse(
        "broker_untrusted",
        fmt::format("{} does not serve {}", quote(options.broker), alpn(options.plane)),
        "check that both ends are Entente of a compatible version", Scope::broker);
  }
  co_return Expected<void>();
}

// Joins the TLS session and the DEALER.
asio::awaitable<Expected<void>> ClientSession::Impl::link(TlsStream tls, Plane plane) {
  LocalListener listener(io_);
  dealer_.set(zmq::sockopt::linger, 0);
  dealer_.connect(listener.endpoint());
  const auto local = co_await listener.accept_own();
  if (!local) {
    co_return refuse("broker_unreachable",
                     "other programs on this machine keep the session from being opened", {},
                     Scope::broker);
  }
  pump_ = std::make_shared<Pump>(io_, std::move(tls), *local, plane, pool_,
                                 [this](const PumpResult& result) { end(result); });
  co_return Expected<void>();
}

bool ClientSession::Impl::send(Frames frames) {
  if (ended()) {
    return false;
  }
  const auto last = zmq::send_flags::dontwait;
  if (!frames.payload) {
    return dealer_.send(frames.envelope, last).has_value();
  }
  return dealer_.send(frames.envelope, last | zmq::send_flags::sndmore).has_value() &&
         dealer_.send(*frames.payload, last).has_value();
}

std::optional<Frames> ClientSession::Impl::receive(Millis timeout) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    // In this order: once the session has ended, no message is delivered that is not counted.
    bool over = false;
    bool complete = false;
    {
      std::lock_guard lock(mutex_);
      over = ended_.has_value();
      complete = local_closed_;
    }
    if (auto frames = take()) {
      return frames;
    }
    const Millis left = until(deadline);
    if (left == Millis(0)) {
      return std::nullopt;
    }
    if (over && (complete || messages_taken_ >= pump_->messages_delivered())) {
      return std::nullopt;
    }
    // What is delivered but not yet here is on its way through libzmq's own thread.
    std::array<zmq_pollitem_t, 2> items{
        {{dealer_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, ended_fd_.fd(), ZMQ_POLLIN, 0}}};
    wait_for(std::span(items).first(over ? 1 : 2), left);
  }
}

// The next message that waits, without the frames that no message of ours has.
std::optional<Frames> ClientSession::Impl::take() {
  for (;;) {
    std::vector<zmq::message_t> parts(1);
    if (!dealer_.recv(parts.back(), zmq::recv_flags::dontwait)) {
      return std::nullopt;
    }
    while (parts.back().more()) {
      zmq::message_t part;
      (void)dealer_.recv(part, zmq::recv_flags::dontwait);
      parts.push_back(std::move(part));
    }
    ++messages_taken_;
    if (parts.size() > 2) {
      continue;
    }
    Frames frames{std::move(parts[0]), std::nullopt};
    if (parts.size() == 2) {
      frames.payload = std::move(parts[1]);
    }
    return frames;
  }
}

std::optional<Refusal> ClientSession::Impl::ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}

void ClientSession::Impl::end(const PumpResult& result) {
  Refusal reason = result.reason;
  switch (result.end) {
    case PumpEnd::peer_closed:
    case PumpEnd::stopped:
      reason = Refusal{"session_closed", "the broker closed the session", {}, Scope::broker};
      break;
    case PumpEnd::local_closed:
      reason = Refusal{"connection_lost", "the broker gives no sign of life any more",
                       "check the network", Scope::broker};
      break;
    case PumpEnd::peer_lost:
    case PumpEnd::peer_refused:
      break;
  }
  std::lock_guard lock(mutex_);
  ended_ = std::move(reason);
  local_closed_ = result.end == PumpEnd::local_closed;
  ended_fd_.signal();
}

ClientSession::ClientSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ClientSession::~ClientSession() = default;

Expected<std::unique_ptr<ClientSession>> ClientSession::open(zmq::context_t& context,
                                                             const DialOptions& options) {
  auto impl = std::make_unique<Impl>(context, options.plane);
  if (auto opened = impl->open(options); !opened) {
    return tl::unexpected(opened.error());
  }
  return std::unique_ptr<ClientSession>(new ClientSession(std::move(impl)));
}

bool ClientSession::send(Frames frames) { return impl_->send(std::move(frames)); }

std::optional<Frames> ClientSession::receive(Millis timeout) { return impl_->receive(timeout); }

std::optional<Refusal> ClientSession::ended() const { return impl_->ended(); }

zmq::socket_ref ClientSession::socket() { return impl_->socket(); }

int ClientSession::ended_fd() const { return impl_->ended_fd(); }

std::uint64_t ClientSession::bytes_sent() const { return impl_->bytes_sent(); }

std::uint64_t ClientSession::bytes_received() const { return impl_->bytes_received(); }

}  // namespace entente::net
