// The ROUTER and peers that leave at bad moments: libzmq must not abort, and no message is mixed
// up.
#include "common/net/router_port.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "common/crypto/random.h"

namespace entente::net::test {
namespace {

constexpr std::chrono::seconds kPatience{20};

class Router : public testing::Test {
 protected:
  static constexpr auto kMonitor = "inproc://what-the-router-sees";

  Router() {
    ::zmq_socket_monitor(port_.socket().handle(), kMonitor,
                         ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    monitor_.connect(kMonitor);
  }

  // The far end of a session's unix socket, attached and ready.
  zmq::socket_t attach(SessionId session, const std::string& site) {
    zmq::socket_t far(context_, zmq::socket_type::dealer);
    const auto endpoint = "ipc://@entente-test-" + random_hex(8);
    far.set(zmq::sockopt::linger, 0);
    far.bind(endpoint);
    const Identity identity{ConsortiumId::literal("lungs"), Role::site, site};
    port_.attach(SessionUp{session, identity, Plane::data, endpoint, "nowhere"});
    wait_for(ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    return far;
  }

  // What libzmq's own thread does before it reports `event` is done then.
  void wait_for(std::uint16_t event) {
    for (;;) {
      zmq::message_t what;
      zmq::message_t where;
      std::array<zmq::pollitem_t, 1> items{{{monitor_.handle(), 0, ZMQ_POLLIN, 0}}};
      ASSERT_EQ(zmq::poll(items.data(), items.size(), kPatience), 1);
      (void)monitor_.recv(what);
      (void)monitor_.recv(where);
      std::uint16_t seen = 0;
      std::memcpy(&seen, what.data(), sizeof(seen));
      if (seen == event) {
        return;
      }
    }
  }

  // A poll that finds a message has read its first frame.
  void poll() {
    std::array<zmq::pollitem_t, 1> items{{{port_.socket().handle(), 0, ZMQ_POLLIN, 0}}};
    ASSERT_EQ(zmq::poll(items.data(), items.size(), kPatience), 1);
  }

  zmq::context_t context_;
  RouterPort port_{context_};
  zmq::socket_t monitor_{context_, zmq::socket_type::pair};
};

void say(zmq::socket_t& far, std::string_view envelope, std::string_view payload) {
  far.send(zmq::buffer(envelope), zmq::send_flags::sndmore);
  far.send(zmq::buffer(payload), zmq::send_flags::none);
}

TEST_F(Router, LetsGoOfAPeerWhoseMessageAPollHasBegunToRead) {
  auto north = attach(1, "north");
  say(north, "chunk", "bytes");
  poll();
  port_.detach(1);
  EXPECT_FALSE(port_.receive());

  auto south = attach(2, "south");
  say(south, "envelope", "payload");
  poll();
  const auto received = port_.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->session, 2U);
  EXPECT_EQ(received->frames.envelope.to_string_view(), "envelope");
  ASSERT_TRUE(received->frames.payload);
  EXPECT_EQ(received->frames.payload->to_string_view(), "payload");
}

TEST_F(Router, KeepsAnothersMessageThatWasBeingReadWhenAPeerIsLetGoOf) {
  auto north = attach(1, "north");
  auto south = attach(2, "south");
  say(south, "envelope", "payload");
  poll();
  port_.detach(1);
  EXPECT_TRUE(port_.holds_message());
  const auto received = port_.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->session, 2U);
  EXPECT_EQ(received->frames.envelope.to_string_view(), "envelope");
  EXPECT_FALSE(port_.holds_message());
}

TEST_F(Router, ReadsToItsEndTheMessageOfAPeerThatLeavesMeanwhile) {
  auto north = attach(1, "north");
  say(north, "chunk", "bytes");
  poll();
  north.close();
  wait_for(ZMQ_EVENT_DISCONNECTED);
  auto south = attach(2, "south");
  poll();
  const auto received = port_.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->session, 1U);
  ASSERT_TRUE(received->frames.payload);
  EXPECT_EQ(received->frames.payload->to_string_view(), "bytes");
}

}  // namespace
}  // namespace entente::net::test
