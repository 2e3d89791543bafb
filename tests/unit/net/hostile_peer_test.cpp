// Peers that do not mean well: each is closed by itself, with a reason, at no great cost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <memory>
#include <vector>

#include "common/base/limits.h"
#include "tests/unit/net/echo_broker.h"
#include "tests/unit/net/raw_client.h"
#include "tests/unit/net/zmtp_bytes.h"

namespace entente::net::test {
namespace {

using entente::test::TestConsortium;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class HostilePeer : public testing::Test {
 protected:
  // The reason with which the only session ended.
  std::string reason_of_the_end() {
    EXPECT_TRUE(broker_.wait_until([](const Reported& r) { return !r.downs.empty(); }));
    const auto downs = broker_.reported().downs;
    return downs.size() == 1 ? downs[0].reason : "not exactly one session ended";
  }
  std::string code_of_the_refusal() {
    EXPECT_TRUE(broker_.wait_until([](const Reported& r) { return !r.refusals.empty(); }));
    const auto refusals = broker_.reported().refusals;
    return refusals.size() == 1 ? refusals[0].reason.code : "not exactly one refusal";
  }

  TestConsortium consortium_;
  Kit north_ = consortium_.site("north");
  EchoBroker broker_{consortium_};
};

// Greets, and waits for the other side's greeting and READY: until then ZMTP allows no message.
[[nodiscard]] bool greet(const RawClient& client, const std::string& ready = zmtp::ready()) {
  if (!client.send(zmtp::greeting() + ready)) {
    return false;
  }
  const std::string greeting = client.receive(zmtp::greeting().size());
  const std::string header = client.receive(2);
  return header.size() == 2 && header[0] == '\x04' &&
         client.receive(static_cast<std::uint8_t>(header[1])).starts_with("\x05READY");
}

// Whether `bytes` arrive sooner or later.
[[nodiscard]] bool hears(const RawClient& client, const std::string& bytes) {
  std::string received;
  while (received.find(bytes) == std::string::npos) {
    const std::string more = client.receive(1);
    if (more.empty()) {
      return false;
    }
    received += more;
  }
  return true;
}

std::size_t resident_bytes() {
  std::size_t total = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_F(HostilePeer, SpeaksZmtpByHandAndIsHeard) {
  RawClient client(broker_.front().port());
  ASSERT_TRUE(client.start_tls(client_context(north_, Plane::control)));
  ASSERT_TRUE(greet(client));
  ASSERT_TRUE(client.send(zmtp::frame("hello", false)));
  EXPECT_TRUE(hears(client, zmtp::frame("hello", false)));
}

TEST_F(HostilePeer, ThatNeverEndsAMessageIsClosedAndMemoryStaysFlat) {
  RawClient client(broker_.front().port());
  ASSERT_TRUE(client.start_tls(client_context(north_, Plane::data)));
  ASSERT_TRUE(greet(client));
  const std::string endless = zmtp::frame(std::string(limits::kChunkBytesMax, 'x'), true);
  const auto before = resident_bytes();
  constexpr int kFramesTried = 512;
  int sent = 0;
  while (sent < kFramesTried && client.send(endless)) {
    ++sent;
  }
  EXPECT_LT(sent, 64);
  EXPECT_THAT(reason_of_the_end(), HasSubstr("more than 2 frames"));
  EXPECT_LT(resident_bytes(), before + (64U << 20));
}

// The broker's side has left and only lingers for the peer's own end: no reason to listen on.
TEST(LeavingPeer, ThatPoursOnWithoutEndIsCutOff) {
  TestConsortium consortium;
  EchoBroker broker(consortium, [](RouterPort& port, RouterPort::Received received) {
    port.detach(received.session);
  });
  RawClient client(broker.front().port());
  ASSERT_TRUE(client.start_tls(client_context(consortium.site("north"), Plane::data)));
  ASSERT_TRUE(greet(client));
  ASSERT_TRUE(client.send(zmtp::frame("hello", false)));
  EXPECT_EQ(client.receive(1), "");
  const std::string endless = zmtp::frame(std::string(limits::kChunkBytesMax, 'x'), true);
  constexpr int kFramesTried = 2048;
  int sent = 0;
  while (sent < kFramesTried && client.send(endless)) {
    ++sent;
  }
  EXPECT_LT(sent, 64);
}

TEST_F(HostilePeer, ThatSendsAFrameOverItsPlanesBoundIsClosed) {
  RawClient client(broker_.front().port());
  ASSERT_TRUE(client.start_tls(client_context(north_, Plane::control)));
  const std::string frame =
      zmtp::frame(std::string(limits::kControlMessageBytesMax + 1, 'x'), false);
  (void)client.send(zmtp::greeting() + zmtp::ready() + frame);
  EXPECT_THAT(reason_of_the_end(), HasSubstr("allowed are 1048576"));
  EXPECT_TRUE(client.sees_the_end());
}

TEST_F(HostilePeer, ThatSpeaksAnOlderZmtpIsClosed) {
  RawClient client(broker_.front().port());
  ASSERT_TRUE(client.start_tls(client_context(north_, Plane::control)));
  std::string greeting = zmtp::greeting();
  greeting[10] = '\x01';
  ASSERT_TRUE(client.send(greeting));
  EXPECT_THAT(reason_of_the_end(), HasSubstr("ZMTP 3 greeting"));
}

TEST_F(HostilePeer, ThatClaimsARoutingIdGetsNoneButItsCertificates) {
  // Were the claim honoured, the second session would take the first one's place and answers.
  const auto victim = open_session(dial_options(broker_.address(), north_));
  ASSERT_TRUE(victim) << victim.error().message;
  RawClient client(broker_.front().port());
  ASSERT_TRUE(client.start_tls(client_context(consortium_.site("south"), Plane::control)));
  using namespace std::string_view_literals;
  const std::string claim = zmtp::command(
      "\x05READY\x0bSocket-Type\0\0\0\x06"
      "DEALER\x08Identity\0\0\0\x0csite/north#1"sv);
  ASSERT_TRUE(greet(client, claim));
  ASSERT_TRUE(client.send(zmtp::frame("from south", false)));
  EXPECT_TRUE(hears(client, zmtp::frame("from south", false)));
  ASSERT_TRUE((*victim)->send(frames("from north")));
  const auto answer = (*victim)->receive(kPatience);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->envelope.to_string_view(), "from north");
}

TEST_F(HostilePeer, ThatSpeaksPlainTextIsRefused) {
  RawClient client(broker_.front().port());
  client.send_plain("GET / HTTP/1.1\r\nHost: broker\r\n\r\n");
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_EQ(code_of_the_refusal(), "not_tls");
  EXPECT_THAT(broker_.reported().ups, IsEmpty());
}

TEST_F(HostilePeer, ThatSpeaksGarbageInTlsClothesIsRefused) {
  RawClient client(broker_.front().port());
  client.send_plain(std::string("\x16\x03\x01\x00\x05") + "garbage");
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_EQ(code_of_the_refusal(), "tls_failed");
}

TEST_F(HostilePeer, ThatOnlyConnectsAndLeavesIsNoted) {
  { const RawClient client(broker_.front().port()); }
  EXPECT_EQ(code_of_the_refusal(), "handshake_abandoned");
}

constexpr std::chrono::seconds kNeverHere{3600};

TEST(StalledHandshakes, AreClosedWithoutHurtingOthers) {
  TestConsortium consortium;
  EchoBroker broker(consortium, {}, true, {10, std::chrono::seconds(2), kNeverHere});
  const RawClient silent(broker.front().port());
  const RawClient halting(broker.front().port());
  halting.send_plain("\x16\x03\x01");
  const auto other = open_session(dial_options(broker.address(), consortium.site("north")));
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_TRUE(silent.sees_the_end());
  EXPECT_TRUE(halting.sees_the_end());
  ASSERT_TRUE(broker.wait_until([](const Reported& r) { return r.refusals.size() == 2; }));
  for (const auto& refused : broker.reported().refusals) {
    EXPECT_EQ(refused.reason.code, "handshake_timeout");
  }
  EXPECT_FALSE((*other)->ended());
}

TEST(StalledHandshakes, ThatTakeAllPlacesMakeRoomForOthers) {
  TestConsortium consortium;
  EchoBroker broker(consortium, {}, true, {3, kNeverHere, std::chrono::milliseconds(200)});
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 10; ++i) {
    silent.push_back(std::make_unique<RawClient>(broker.front().port()));
  }
  const auto other = open_session(dial_options(broker.address(), consortium.site("north")));
  ASSERT_TRUE(other) << other.error().message;
  ASSERT_TRUE((*other)->send(frames("hello")));
  EXPECT_TRUE((*other)->receive(kPatience));
}

TEST(StalledHandshakes, KeepTheirPlacesWhileThereIsRoom) {
  TestConsortium consortium;
  EchoBroker broker(consortium, {}, true, {4, kNeverHere, std::chrono::milliseconds(0)});
  const RawClient silent(broker.front().port());
  const RawClient halting(broker.front().port());
  const auto other = open_session(dial_options(broker.address(), consortium.site("north")));
  ASSERT_TRUE(other) << other.error().message;
  ASSERT_TRUE((*other)->send(frames("hello")));
  EXPECT_TRUE((*other)->receive(kPatience));
  EXPECT_THAT(broker.reported().refusals, IsEmpty());
}

TEST_F(HostilePeer, GetsNoMoreSessionsThanAnIdentityMayHave) {
  std::vector<std::unique_ptr<ClientSession>> sessions;
  for (std::size_t i = 0; i < limits::kSessionsPerIdentityMax; ++i) {
    sessions.push_back(open_session(dial_options(broker_.address(), north_)).value());
  }
  ASSERT_TRUE(broker_.wait_until(
      [](const Reported& r) { return r.ups.size() == limits::kSessionsPerIdentityMax; }));
  const auto too_many = open_session(dial_options(broker_.address(), north_)).value();
  EXPECT_EQ(code_of_the_refusal(), "sessions_exhausted");
  EXPECT_EQ(too_many->receive(kPatience), std::nullopt);
  EXPECT_TRUE(too_many->ended());
  const auto other = open_session(dial_options(broker_.address(), consortium_.site("south")));
  ASSERT_TRUE(other);
  ASSERT_TRUE((*other)->send(frames("hello")));
  EXPECT_TRUE((*other)->receive(kPatience));
}

TEST(UnattachedSession, IsClosedAndReportedDown) {
  TestConsortium consortium;
  EchoBroker broker(consortium, {}, false);
  const auto session = open_session(dial_options(broker.address(), consortium.site("north")));
  ASSERT_TRUE(session);
  ASSERT_TRUE(broker.wait_until([](const Reported& r) { return !r.downs.empty(); }));
  EXPECT_THAT(broker.reported().downs, SizeIs(1));
  EXPECT_EQ((*session)->receive(kPatience), std::nullopt);
  EXPECT_TRUE((*session)->ended());
}

// Connects to the abstract unix socket of a session from a process of its own. True when the
// connection was taken and closed without a byte.
bool stranger_is_turned_away(const std::string& endpoint) {
  const std::string name = endpoint.substr(std::string("ipc://@").size());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const bool turned_away =
        ::connect(socket, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
        ::recv(socket, &byte, 1, 0) <= 0;
    ::_exit(turned_away ? 0 : 1);
  }
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

TEST(UnattachedSession, IsNotGivenToAnotherProcess) {
  TestConsortium consortium;
  EchoBroker broker(consortium, {}, false);
  const auto session = open_session(dial_options(broker.address(), consortium.site("north")));
  ASSERT_TRUE(session);
  ASSERT_TRUE(broker.wait_until([](const Reported& r) { return !r.ups.empty(); }));
  const SessionUp up = broker.reported().ups[0];
  EXPECT_TRUE(stranger_is_turned_away(up.endpoint));

  zmq::context_t context;
  RouterPort port(context);
  port.attach(up);
  ASSERT_TRUE((*session)->send(frames("for the broker only")));
  std::array<zmq::pollitem_t, 1> items{{{port.socket().handle(), 0, ZMQ_POLLIN, 0}}};
  zmq::poll(items.data(), items.size(), kPatience);
  const auto received = port.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->frames.envelope.to_string_view(), "for the broker only");
}

}  // namespace
}  // namespace entente::net::test
