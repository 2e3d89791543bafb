// Sessions between well-behaved ends: what goes in comes out, and every end is seen on both sides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>

#include "common/base/limits.h"
#include "tests/unit/net/echo_broker.h"

namespace entente::net::test {
namespace {

using entente::test::TestConsortium;
using testing::SizeIs;

class Sessions : public testing::Test {
 protected:
  std::unique_ptr<ClientSession> dial(EchoBroker& broker, const Kit& kit,
                                      Plane plane = Plane::control) {
    auto session = open_session(dial_options(broker.address(), kit, plane));
    if (!session) {
      ADD_FAILURE() << session.error().message;
      std::abort();
    }
    return std::move(*session);
  }

  TestConsortium consortium_;
  Kit north_ = consortium_.site("north");
};

bool awaits_end(ClientSession& session) {
  while (!session.ended()) {
    if (session.receive(kPatience) == std::nullopt && !session.ended()) {
      return false;
    }
  }
  return true;
}

std::size_t open_descriptors() {
  const auto folder = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

std::string noise(std::size_t bytes, unsigned seed) {
  std::string text(bytes, '\0');
  std::generate(text.begin(), text.end(), [state = seed]() mutable {
    state = state * 1664525U + 1013904223U;
    return static_cast<char>(state >> 24);
  });
  return text;
}

TEST_F(Sessions, EchoSmallMessagesOnTheControlPlane) {
  EchoBroker broker(consortium_);
  const auto session = dial(broker, north_);
  for (int i = 0; i < 100; ++i) {
    const std::string text = "message " + std::to_string(i);
    ASSERT_TRUE(session->send(frames(text)));
    const auto answer = session->receive(kPatience);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->envelope.to_string_view(), text);
    EXPECT_FALSE(answer->payload);
  }
  EXPECT_GT(session->bytes_sent(), 1000U);
  EXPECT_GT(session->bytes_received(), 1000U);
}

TEST_F(Sessions, OfAPeerThatWasRevokedAreClosedWhenTheListIsRenewed) {
  EchoBroker broker(consortium_);
  const auto north = dial(broker, north_);
  const auto bulk = dial(broker, north_, Plane::data);
  const auto south = dial(broker, consortium_.site("south"));
  ASSERT_TRUE(broker.wait_until([](const Reported& it) { return it.ups.size() == 3; }));
  consortium_.authority().revoke_member("site/north", entente::test::kTestNow, 30).value();
  auto kit = consortium_.broker();
  kit.crl_file = consortium_.folder() / "ca" / "crl.pem";
  const auto context = TlsContext::server(kit).value();
  entente::test::set_time(context, entente::test::kTestNow);
  broker.front().renew(context);
  ASSERT_TRUE(broker.wait_until([](const Reported& it) { return it.downs.size() == 2; }));
  for (const auto& down : broker.reported().downs) {
    EXPECT_THAT(down.reason, testing::HasSubstr("certificate revoked"));
  }
  EXPECT_TRUE(awaits_end(*north));
  EXPECT_TRUE(awaits_end(*bulk));
  ASSERT_TRUE(south->send(frames("still here")));
  EXPECT_TRUE(south->receive(kPatience));
  const auto again = open_session(dial_options(broker.address(), north_, Plane::control));
  EXPECT_TRUE(!again || awaits_end(**again));
}

TEST_F(Sessions, CarryWholeChunksBothWaysOnSeveralSessionsAtOnce) {
  EchoBroker broker(consortium_);
  constexpr unsigned kSessions = 4;
  constexpr unsigned kChunks = 8;
  std::vector<std::unique_ptr<ClientSession>> sessions;
  for (unsigned i = 0; i < kSessions; ++i) {
    sessions.push_back(dial(broker, north_, Plane::data));
  }
  for (unsigned i = 0; i < kSessions * kChunks; ++i) {
    const std::string payload = noise(limits::kChunkBytesMax, i);
    ASSERT_TRUE(sessions[i % kSessions]->send(frames(std::to_string(i), payload)));
  }
  for (unsigned i = 0; i < kSessions * kChunks; ++i) {
    const auto answer = sessions[i % kSessions]->receive(kPatience);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->envelope.to_string_view(), std::to_string(i));
    ASSERT_TRUE(answer->payload);
    EXPECT_TRUE(answer->payload->to_string_view() == noise(limits::kChunkBytesMax, i));
  }
}

TEST_F(Sessions, TakeIdentityAndPlaneFromTheHandshake) {
  EchoBroker broker(consortium_);
  const auto control = dial(broker, north_);
  const auto data = dial(broker, consortium_.site("south"), Plane::data);
  ASSERT_TRUE(broker.wait_until([](const Reported& r) { return r.ups.size() == 2; }));
  const auto ups = broker.reported().ups;
  EXPECT_EQ(ups[0].identity.path(), "site/north");
  EXPECT_EQ(ups[0].plane, Plane::control);
  EXPECT_EQ(ups[1].identity.path(), "site/south");
  EXPECT_EQ(ups[1].plane, Plane::data);
  EXPECT_EQ(ups[0].session, 1U);
  EXPECT_EQ(ups[1].session, 2U);
  EXPECT_THAT(ups[0].remote, testing::StartsWith("127.0.0.1:"));
}

TEST_F(Sessions, EndForTheBrokerWhenTheClientLeaves) {
  EchoBroker broker(consortium_);
  dial(broker, north_).reset();
  ASSERT_TRUE(broker.wait_until([](const Reported& r) { return !r.downs.empty(); }));
  const auto reported = broker.reported();
  EXPECT_EQ(reported.downs[0].session, reported.ups[0].session);
  EXPECT_EQ(reported.downs[0].reason, "");
}

TEST_F(Sessions, EndForTheClientWhenTheBrokerStops) {
  EchoBroker broker(consortium_);
  const auto session = dial(broker, north_);
  ASSERT_TRUE(session->send(frames("hello")));
  ASSERT_TRUE(session->receive(kPatience));
  EXPECT_FALSE(session->ended());
  broker.stop();
  ASSERT_TRUE(awaits_end(*session));
  EXPECT_EQ(session->ended()->code, "session_closed");
  EXPECT_FALSE(session->send(frames("too late")));
  EXPECT_THAT(broker.reported().downs, SizeIs(1));
}

TEST_F(Sessions, DeliverTheLastAnswerBeforeTheBrokerCloses) {
  TlsFront* front = nullptr;
  std::atomic<bool> ready = false;
  const std::string chunk = noise(limits::kChunkBytesMax, 1);
  EchoBroker broker(consortium_, [&](RouterPort& port, RouterPort::Received received) {
    ready.wait(false);
    const SessionId session = received.session;
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(port.send(session, frames("no", chunk)));
    }
    EXPECT_TRUE(port.send(session, frames("goodbye")));
    front->close(session);
  });
  front = &broker.front();
  ready = true;
  ready.notify_all();
  const auto session = dial(broker, north_, Plane::data);
  ASSERT_TRUE(session->send(frames("hello")));
  for (int i = 0; i < 5; ++i) {
    const auto answer = session->receive(kPatience);
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->envelope.to_string_view(), "no");
  }
  const auto last = session->receive(kPatience);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->envelope.to_string_view(), "goodbye");
  EXPECT_EQ(session->receive(kPatience), std::nullopt);
  ASSERT_TRUE(session->ended());
  EXPECT_EQ(session->ended()->code, "session_closed");
}

TEST_F(Sessions, DeliverWhatArrivedBeforeTheEndIsReported) {
  EchoBroker broker(consortium_);
  const auto session = dial(broker, north_);
  ASSERT_TRUE(session->send(frames("hello")));
  ASSERT_TRUE(session->receive(kPatience));

  constexpr std::size_t kMessages = 50;
  constexpr std::size_t kBytes = 1000;
  constexpr std::size_t kFrameHeaderBytes = 9;
  const auto expected = session->bytes_received() + kMessages * (kBytes + kFrameHeaderBytes);
  for (std::size_t i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(session->send(frames(std::string(kBytes, 'x'))));
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (session->bytes_received() < expected && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  broker.stop();
  std::size_t received = 0;
  while (session->receive(kPatience)) {
    ++received;
  }
  EXPECT_TRUE(session->ended());
  EXPECT_EQ(received, kMessages);
}

TEST_F(Sessions, EndInOrderWhenTheBrokerDetaches) {
  EchoBroker broker(consortium_, [](RouterPort& port, RouterPort::Received received) {
    EXPECT_TRUE(port.send(received.session, frames("refused")));
    port.detach(received.session);
    EXPECT_FALSE(port.send(received.session, frames("gone")));
  });
  const auto session = dial(broker, north_);
  ASSERT_TRUE(session->send(frames("hello")));
  const auto answer = session->receive(kPatience);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->envelope.to_string_view(), "refused");
  ASSERT_TRUE(awaits_end(*session));
  EXPECT_EQ(session->ended()->code, "session_closed");
}

TEST_F(Sessions, ReceiveReturnsAtItsTimeout) {
  EchoBroker broker(consortium_);
  const auto session = dial(broker, north_);
  EXPECT_EQ(session->receive(Millis(0)), std::nullopt);
  EXPECT_EQ(session->receive(Millis(5)), std::nullopt);
  EXPECT_FALSE(session->ended());
}

TEST_F(Sessions, AreReportedDownExactlyOnceWhenTheFrontEnds) {
  std::vector<std::unique_ptr<ClientSession>> sessions;
  EchoBroker broker(consortium_);
  for (int i = 0; i < 10; ++i) {
    sessions.push_back(dial(broker, north_, i % 2 == 0 ? Plane::control : Plane::data));
  }
  ASSERT_TRUE(broker.wait_until([](const Reported& r) { return r.ups.size() == 10; }));
  broker.stop();
  std::vector<SessionId> down;
  for (const auto& event : broker.reported().downs) {
    down.push_back(event.session);
  }
  EXPECT_THAT(down, testing::UnorderedElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
}

TEST_F(Sessions, LiveOnWhenNobodyElseIsAccepted) {
  EchoBroker broker(consortium_);
  const auto session = dial(broker, north_);
  broker.front().stop_accepting();
  ASSERT_TRUE(session->send(frames("still here")));
  EXPECT_TRUE(session->receive(kPatience));
}

TEST_F(Sessions, LeaveNoDescriptorsBehind) {
  EchoBroker broker(consortium_);
  const auto one_session = [&] {
    const auto session = dial(broker, north_, Plane::data);
    ASSERT_TRUE(session->send(frames("hello", "payload")));
    ASSERT_TRUE(session->receive(kPatience));
  };
  one_session();
  ASSERT_TRUE(broker.wait_until([](const Reported& r) { return r.downs.size() == 1; }));
  const auto before = open_descriptors();
  constexpr std::size_t kSessions = 200;
  for (std::size_t i = 0; i < kSessions; ++i) {
    one_session();
  }
  ASSERT_TRUE(broker.wait_until([&](const Reported& r) { return r.downs.size() > kSessions; }));
  // libzmq closes its ends on a thread of its own.
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (open_descriptors() > before && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_LE(open_descriptors(), before);
}

}  // namespace
}  // namespace entente::net::test
