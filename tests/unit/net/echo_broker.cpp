#include "tests/unit/net/echo_broker.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace entente::net::test {
namespace {

using entente::test::kTestNow;
using entente::test::set_time;

TlsContext server_context(const Kit& kit) {
  auto context = TlsContext::server(kit).value();
  set_time(context, kTestNow);
  return context;
}

void send_back(RouterPort& port, RouterPort::Received received) {
  (void)port.send(received.session, std::move(received.frames));
}

}  // namespace

EchoBroker::EchoBroker(entente::test::TestConsortium& consortium, Answer answer, bool attaches,
                       HandshakeBounds bounds)
    : answer_(answer ? std::move(answer) : Answer(send_back)), attaches_(attaches) {
  threads_.emplace_back([this] { serve(Plane::control); });
  threads_.emplace_back([this] { serve(Plane::data); });
  const auto note = [this](auto list, auto what) {
    std::lock_guard lock(mutex_);
    (reported_.*list).push_back(std::move(what));
    changed_.notify_all();
  };
  front_ = std::make_unique<TlsFront>(
      "127.0.0.1", 0, server_context(consortium.broker()), consortium.id(),
      TlsFrontHandlers{
          .on_up =
              [this, note](SessionUp up) {
                note(&Reported::ups, up);
                (void)mailbox(up.plane).push(std::move(up));
              },
          .on_down =
              [this, note](SessionDown down) {
                note(&Reported::downs, down);
                (void)mailbox(down.plane).push(std::move(down));
              },
          .on_refused =
              [note](HandshakeRefused refused) { note(&Reported::refusals, std::move(refused)); }},
      bounds);
}

EchoBroker::~EchoBroker() {
  stop();
  control_.close();
  data_.close();
  for (auto& thread : threads_) {
    thread.join();
  }
}

std::string EchoBroker::address() const { return fmt::format("127.0.0.1:{}", front_->port()); }

bool EchoBroker::wait_until(const std::function<bool(const Reported&)>& holds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return holds(reported_); });
}

Reported EchoBroker::reported() {
  std::lock_guard lock(mutex_);
  return reported_;
}

void EchoBroker::serve(Plane plane) {
  RouterPort port(context_);
  for (;;) {
    std::array<zmq::pollitem_t, 2> items{{{port.socket().handle(), 0, ZMQ_POLLIN, 0},
                                          {nullptr, mailbox(plane).fd(), ZMQ_POLLIN, 0}}};
    zmq::poll(items.data(), items.size(), std::chrono::milliseconds(-1));
    if ((items[1].revents & ZMQ_POLLIN) != 0) {
      const auto events = mailbox(plane).drain();
      if (events.empty()) {
        return;
      }
      for (const auto& event : events) {
        if (const auto* up = std::get_if<SessionUp>(&event); up != nullptr && attaches_) {
          port.attach(*up);
        } else if (const auto* down = std::get_if<SessionDown>(&event)) {
          port.detach(down->session);
        }
      }
    }
    while (auto received = port.receive()) {
      answer_(port, std::move(*received));
    }
  }
}

TlsContext client_context(const Kit& kit, Plane plane) {
  auto context = TlsContext::client(kit, plane).value();
  set_time(context, kTestNow);
  return context;
}

DialOptions dial_options(const std::string& broker, const Kit& kit, Plane plane) {
  return DialOptions{.broker = broker,
                     .proxy = {},
                     .context = client_context(kit, plane),
                     .consortium = kit.identity.consortium,
                     .plane = plane};
}

Expected<std::unique_ptr<ClientSession>> open_session(const DialOptions& options) {
  static zmq::context_t context;
  return ClientSession::open(context, options);
}

Frames frames(std::string_view envelope) { return {zmq::message_t(envelope), std::nullopt}; }

Frames frames(std::string_view envelope, std::string_view payload) {
  return {zmq::message_t(envelope), zmq::message_t(payload)};
}

}  // namespace entente::net::test
