#include "common/net/tls_front.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <exception>
#include <future>
#include <list>
#include <map>
#include <thread>
#include <utility>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/net/local_link.h"
#include "common/net/pump.h"
#include "common/net/tls_stream.h"

namespace entente::net {
namespace {

using asio::ip::tcp;

// After a failed accept, most likely for want of descriptors.
constexpr std::chrono::milliseconds kAcceptPause{100};
// For the plane's thread of this process to take a session.
constexpr std::chrono::seconds kPlaneMax{5};
constexpr std::uint8_t kTlsHandshakeRecord = 22;

// One thread per plane, so that bulk data never delays a heartbeat. The control plane's thread also
// accepts, shakes hands and keeps the books.
struct Lane {
  explicit Lane(Plane plane) : pool(buffer_bytes(plane)) {}

  BufferPool pool;  // outlives the buffers that suspended work in `io` holds
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> open{io.get_executor()};
  std::thread thread;
};

Refusal refusal_of(std::string code, std::string message, std::string hint = {}) {
  return Refusal{std::move(code), std::move(message), std::move(hint), Scope::site};
}

std::string to_text(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

// For the log; empty when the peer closed in order.
std::string reason_of(const PumpResult& result) {
  switch (result.end) {
    case PumpEnd::peer_closed:
      return {};
    case PumpEnd::peer_lost:
    case PumpEnd::peer_refused:
      return result.reason.message;
    case PumpEnd::local_closed:
      return "the broker let go of the session or had no sign of life from the peer";
    case PumpEnd::stopped:
      return "the broker closed the session";
  }
  return {};
}

}  // namespace

class TlsFront::Impl {
 public:
  Impl(const std::string& host, std::uint16_t port, TlsContext context, ConsortiumId consortium,
       TlsFrontHandlers handlers, HandshakeBounds bounds);
  ~Impl();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void close(SessionId session);
  void renew(TlsContext context);
  void stop_accepting();

 private:
  // A connection on its way to become a session.
  struct Arrival {
    TlsStream tls;
    std::string remote;
    asio::steady_timer::time_point since = asio::steady_timer::clock_type::now();
    bool late = false;  // its time was over before the handshake was
  };

  struct Session {
    Plane plane = Plane::control;
    std::string identity;
    std::shared_ptr<LocalListener> listener;
    std::shared_ptr<Pump> pump;  // once the plane's ROUTER has connected
  };

  void listen(const std::string& host, std::uint16_t port);
  asio::awaitable<void> accept_all();
  asio::awaitable<void> make_room();
  asio::awaitable<void> receive(int descriptor, std::string remote);
  asio::awaitable<Expected<SessionUp>> shake_hands(Arrival& arrival);
  static void turn_away(Arrival& late);
  Expected<SessionUp> admit(Arrival& arrival);
  asio::awaitable<void> refuse_arrival(std::shared_ptr<Arrival> arrival, Refusal reason);
  asio::awaitable<void> open_session(std::shared_ptr<Arrival> arrival, SessionUp up);
  void carry(SessionId session, TlsStream tls, int local);
  void report_failure(std::exception_ptr failure, const std::string& remote);
  void end_session(SessionId session, std::string reason);
  void end_all_sessions();

  Lane& lane(Plane plane) { return plane == Plane::control ? control_ : data_; }
  asio::io_context& io() { return control_.io; }

  TlsContext context_;  // used on the control plane's thread only
  const ConsortiumId consortium_;
  const TlsFrontHandlers handlers_;
  const HandshakeBounds bounds_;
  Lane control_{Plane::control};
  Lane data_{Plane::data};

  // Used on the control plane's thread only.
  tcp::acceptor acceptor_{io()};
  asio::steady_timer handshake_ended_{io()};
  std::size_t handshakes_ = 0;
  std::list<std::shared_ptr<Arrival>> shaking_hands_;  // the oldest first
  SessionId last_session_ = 0;
  std::map<SessionId, Session> sessions_;
  std::map<std::string, std::size_t> sessions_of_;  // by identity path
  bool stopping_ = false;
  std::promise<void> all_ended_;

  std::uint16_t port_ = 0;
};

TlsFront::Impl::Impl(const std::string& host, std::uint16_t port, TlsContext context,
                     ConsortiumId consortium, TlsFrontHandlers handlers, HandshakeBounds bounds)
    : context_(std::move(context)),
      consortium_(std::move(consortium)),
      handlers_(std::move(handlers)),
      bounds_(bounds) {
  try {
    listen(host, port);
  } catch (const std::system_error& error) {
    throw std::system_error(error.code(), fmt::format("cannot listen on {}:{}", host, port));
  }
  asio::co_spawn(io(), accept_all(), asio::detached);
  for (Lane* lane : {&control_, &data_}) {
    lane->thread = std::thread([lane] { lane->io.run(); });
  }
}

void TlsFront::Impl::listen(const std::string& host, std::uint16_t port) {
  tcp::resolver resolver(io());
  const tcp::endpoint address =
      *resolver.resolve(host, std::to_string(port), tcp::resolver::passive).begin();
  acceptor_.open(address.protocol());
  acceptor_.set_option(tcp::acceptor::reuse_address(true));
  ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
  acceptor_.bind(address);
  acceptor_.listen(static_cast<int>(limits::kHandshakesInFlightMax));
  port_ = acceptor_.local_endpoint().port();
}

TlsFront::Impl::~Impl() {
  asio::post(io(), [this] { end_all_sessions(); });
  all_ended_.get_future().wait();
  for (Lane* lane : {&control_, &data_}) {
    lane->io.stop();
    lane->thread.join();
  }
}

void TlsFront::Impl::close(SessionId session) {
  asio::post(io(), [this, session] {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) {
      return;
    }
    if (const auto& pump = found->second.pump) {
      asio::post(lane(found->second.plane).io, [pump] { pump->close(); });
    } else {
      found->second.listener->close();
    }
  });
}

void TlsFront::Impl::renew(TlsContext context) {
  asio::post(io(), [this, context = std::move(context)] {
    context_ = context;
    for (const auto& [id, session] : sessions_) {
      if (const auto& pump = session.pump) {
        asio::post(lane(session.plane).io, [pump, context] { pump->check_peer(context); });
      }
    }
  });
}

void TlsFront::Impl::stop_accepting() {
  asio::post(io(), [this] {
    std::error_code ignored;
    acceptor_.close(ignored);
  });
}

asio::awaitable<void> TlsFront::Impl::accept_all() {
  while (acceptor_.is_open()) {
    std::error_code error;
    if (handshakes_ >= bounds_.in_flight_max) {
      co_await make_room();
      continue;
    }
    tcp::endpoint remote;
    tcp::socket socket(io());
    co_await acceptor_.async_accept(socket, remote,
                                    asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      ++handshakes_;
      const std::string from = to_text(remote);
      asio::co_spawn(io(), receive(socket.release(), from),
                     [this, from](std::exception_ptr failure) {
                       --handshakes_;
                       handshake_ended_.cancel();
                       report_failure(failure, from);
                     });
    } else if (acceptor_.is_open()) {
      asio::steady_timer pause(io(), kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

// Waits until a handshake has ended, and ends the oldest one when it has had its time. Who comes
// meanwhile waits in the kernel's queue.
asio::awaitable<void> TlsFront::Impl::make_room() {
  const auto limit = shaking_hands_.empty() ? asio::steady_timer::time_point::max()
                                            : shaking_hands_.front()->since + bounds_.crowded_max;
  std::error_code ended;
  handshake_ended_.expires_at(limit);
  co_await handshake_ended_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
  if (!ended && !shaking_hands_.empty()) {
    turn_away(*shaking_hands_.front());
  }
}

// A connection's way from accept to its session or its refusal.
asio::awaitable<void> TlsFront::Impl::receive(int descriptor, std::string remote) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  auto arrival = std::make_shared<Arrival>(
      Arrival{TlsStream(io(), descriptor, context_, TlsSide::server), std::move(remote)});

  asio::steady_timer limit(io(), bounds_.max);
  limit.async_wait([arrival](std::error_code error) {
    if (!error) {
      turn_away(*arrival);
    }
  });
  const auto place = shaking_hands_.insert(shaking_hands_.end(), arrival);
  auto up = co_await shake_hands(*arrival);
  shaking_hands_.erase(place);
  limit.cancel();
  if (!up) {
    co_await refuse_arrival(arrival, std::move(up.error()));
  } else if (!stopping_) {
    asio::co_spawn(io(), open_session(arrival, std::move(*up)),
                   [this, from = arrival->remote](std::exception_ptr failure) {
                     report_failure(failure, from);
                   });
  }
}

void TlsFront::Impl::turn_away(Arrival& late) {
  late.late = true;
  late.tls.close();
}

asio::awaitable<Expected<SessionUp>> TlsFront::Impl::shake_hands(Arrival& arrival) {
  const bool heard = co_await arrival.tls.ready(TlsState::wants_read);
  if (heard) {
    const auto first = arrival.tls.peek();
    if (!first) {
      co_return tl::unexpected(
          refusal_of("handshake_abandoned", "the client left before the TLS handshake"));
    }
    if (*first != kTlsHandshakeRecord) {
      co_return tl::unexpected(refusal_of(
          "not_tls", "the client does not speak TLS, and nothing else is served on this port",
          "connect with the programs of Entente and a kit"));
    }
  }
  const TlsState state = heard ? co_await arrival.tls.handshake() : TlsState::failed;
  if (arrival.late) {
    co_return tl::unexpected(
        refusal_of("handshake_timeout", "the TLS handshake took too long",
                   "see whether the client is slow or the network loses packets"));
  }
  if (state != TlsState::open) {
    co_return tl::unexpected(arrival.tls.failure());
  }
  co_return admit(arrival);
}

// Reads from a finished handshake who came and for what, and whether there is room.
Expected<SessionUp> TlsFront::Impl::admit(Arrival& arrival) {
  auto identity = peer_identity(arrival.tls.handle(), consortium_, false);
  if (!identity) {
    return tl::unexpected(std::move(identity.error()));
  }
  const auto plane = negotiated_plane(arrival.tls.handle());
  if (!plane) {
    return tl::unexpected(refusal_of("tls_failed", "the client chose no plane (ALPN)"));
  }
  const std::string path = identity->path();
  const auto open = sessions_of_.find(path);
  if (open != sessions_of_.end() && open->second >= limits::kSessionsPerIdentityMax) {
    return tl::unexpected(refusal_of(
        "sessions_exhausted", fmt::format("{} has {} sessions already", path, open->second),
        "stop the programs that use this certificate and are not needed"));
  }
  return SessionUp{0, std::move(*identity), *plane, {}, arrival.remote};
}

asio::awaitable<void> TlsFront::Impl::refuse_arrival(std::shared_ptr<Arrival> arrival,
                                                     Refusal reason) {
  handlers_.on_refused(HandshakeRefused{arrival->remote, std::move(reason)});
  asio::steady_timer limit(io(), limits::kLinger);
  limit.async_wait([arrival](std::error_code error) {
    if (!error) {
      arrival->tls.close();
    }
  });
  co_await arrival->tls.discard_until_closed();
}

// `failure` is what a connection died of for want of descriptors or memory, if anything.
void TlsFront::Impl::report_failure(std::exception_ptr failure, const std::string& remote) {
  try {
    if (failure) {
      std::rethrow_exception(failure);
    }
  } catch (const std::exception& error) {
    handlers_.on_refused(HandshakeRefused{
        remote, refusal_of("handshake_failed",
                           fmt::format("the connection cannot be served: {}", error.what()))});
  }
}

asio::awaitable<void> TlsFront::Impl::open_session(std::shared_ptr<Arrival> arrival, SessionUp up) {
  auto listener = std::make_shared<LocalListener>(io());
  const SessionId session = ++last_session_;
  sessions_.emplace(session, Session{up.plane, up.identity.path(), listener, nullptr});
  ++sessions_of_[up.identity.path()];
  up.session = session;
  up.endpoint = listener->endpoint();
  handlers_.on_up(std::move(up));

  asio::steady_timer limit(io(), kPlaneMax);
  limit.async_wait([listener](std::error_code error) {
    if (!error) {
      listener->close();
    }
  });
  const auto local = co_await listener->accept_own();
  if (!local) {
    arrival->tls.send_close();
    end_session(session, "the broker's plane did not take the session");
    co_return;
  }
  try {
    carry(session, std::move(arrival->tls), *local);
  } catch (const std::system_error& error) {
    end_session(session, fmt::format("the session cannot be carried: {}", error.what()));
  }
}

void TlsFront::Impl::carry(SessionId session, TlsStream tls, int local) {
  Session& entry = sessions_.at(session);
  Lane& home = lane(entry.plane);
  tls.move_to(home.io);
  entry.pump = std::make_shared<Pump>(
      home.io, std::move(tls), local, entry.plane, home.pool,
      [this, session](const PumpResult& result) {
        asio::post(io(),
                   [this, session, reason = reason_of(result)] { end_session(session, reason); });
      });
  // Its handshake may have begun under an earlier context.
  asio::post(home.io, [pump = entry.pump, context = context_] {
    pump->start();
    pump->check_peer(context);
  });
}

void TlsFront::Impl::end_session(SessionId session, std::string reason) {
  const auto found = sessions_.find(session);
  ENTENTE_CHECK(found != sessions_.end());
  const Plane plane = found->second.plane;
  const auto count = sessions_of_.find(found->second.identity);
  if (--count->second == 0) {
    sessions_of_.erase(count);
  }
  sessions_.erase(found);
  handlers_.on_down(SessionDown{session, plane, std::move(reason)});
  if (stopping_ && sessions_.empty()) {
    all_ended_.set_value();
  }
}

void TlsFront::Impl::end_all_sessions() {
  stopping_ = true;
  std::error_code ignored;
  acceptor_.close(ignored);
  for (const auto& [id, session] : sessions_) {
    if (session.pump) {
      asio::post(lane(session.plane).io, [pump = session.pump] { pump->stop(); });
    } else {
      session.listener->close();
    }
  }
  if (sessions_.empty()) {
    all_ended_.set_value();
  }
}

TlsFront::TlsFront(const std::string& host, std::uint16_t port, TlsContext context,
                   const ConsortiumId& consortium, TlsFrontHandlers handlers,
                   HandshakeBounds bounds)
    : impl_(std::make_unique<Impl>(host, port, std::move(context), consortium, std::move(handlers),
                                   bounds)) {}

TlsFront::~TlsFront() = default;

std::uint16_t TlsFront::port() const { return impl_->port(); }

void TlsFront::close(SessionId session) { impl_->close(session); }

void TlsFront::renew(TlsContext context) { impl_->renew(std::move(context)); }

void TlsFront::stop_accepting() { impl_->stop_accepting(); }

}  // namespace entente::net
