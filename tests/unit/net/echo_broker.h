// A broker that answers every message with itself: a real TLS front and a ROUTER per plane, on
// loopback. It remembers what the front has reported.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "common/net/client_session.h"
#include "common/net/router_port.h"
#include "common/net/tls_front.h"
#include "common/runtime/mailbox.h"
#include "tests/unit/crypto/test_consortium.h"

namespace entente::net::test {

// Longer than anything here may take; a test that reaches it has failed.
constexpr std::chrono::seconds kPatience{20};

// What the front has reported so far.
struct Reported {
  std::vector<SessionUp> ups;
  std::vector<SessionDown> downs;
  std::vector<HandshakeRefused> refusals;
};

// What the ROUTER of a plane does with a message; the default sends it back.
using Answer = std::function<void(RouterPort&, RouterPort::Received)>;

class EchoBroker {
 public:
  explicit EchoBroker(entente::test::TestConsortium& consortium, Answer answer = {},
                      bool attaches = true, HandshakeBounds bounds = {});
  ~EchoBroker();

  [[nodiscard]] TlsFront& front() { return *front_; }
  [[nodiscard]] std::string address() const;
  // Ends the front, and with it every session.
  void stop() { front_.reset(); }

  // Waits until `holds`; false after kPatience.
  [[nodiscard]] bool wait_until(const std::function<bool(const Reported&)>& holds);
  [[nodiscard]] Reported reported();

 private:
  using Event = std::variant<SessionUp, SessionDown>;
  void serve(Plane plane);
  Mailbox<Event>& mailbox(Plane plane) { return plane == Plane::data ? data_ : control_; }

  const Answer answer_;
  const bool attaches_;
  zmq::context_t context_;
  Mailbox<Event> control_{10'000};
  Mailbox<Event> data_{10'000};
  std::mutex mutex_;
  std::condition_variable changed_;
  Reported reported_;
  std::vector<std::thread> threads_;
  std::unique_ptr<TlsFront> front_;
};

// The present is kTestNow for both sides.
[[nodiscard]] TlsContext client_context(const Kit& kit, Plane plane);
[[nodiscard]] DialOptions dial_options(const std::string& broker, const Kit& kit,
                                       Plane plane = Plane::control);
// In the one ZeroMQ context of the test's clients.
[[nodiscard]] Expected<std::unique_ptr<ClientSession>> open_session(const DialOptions& options);
[[nodiscard]] Frames frames(std::string_view envelope);
[[nodiscard]] Frames frames(std::string_view envelope, std::string_view payload);

}  // namespace entente::net::test
