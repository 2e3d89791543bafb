// Members with good certificates and bad manners: closed one by one, at no cost to the broker.
#include <gmock/gmock.h>

#include "common/base/limits.h"
#include "common/net/client_session.h"
#include "common/runtime/system_clock.h"
#include "common/wire/control_codec.h"
#include "tests/support/consortium.h"
#include "tests/support/process_probe.h"
#include "tests/support/wait.h"
#include "tests/unit/net/raw_client.h"
#include "tests/unit/net/zmtp_bytes.h"

namespace entente::integration {
namespace {

using net::ClientSession;
using net::test::RawClient;
using testing::HasSubstr;
namespace zmtp = net::zmtp;

constexpr std::uint64_t kGrowthMax = 30 << 20;

class HostileMember : public testing::Test {
 protected:
  HostileMember() { consortium_.issue(Role::site, "north"); }

  Kit kit() { return *load_kit(consortium_.kit("north"), system_now().unix_ms); }

  std::unique_ptr<ClientSession> dial(Plane plane = Plane::control) {
    const auto north = kit();
    auto session = ClientSession::open(zmq_, {north.broker, "", *TlsContext::client(north, plane),
                                              north.identity.consortium, plane});
    if (!session) {
      throw std::runtime_error(session.error().message);
    }
    return std::move(*session);
  }

  static bool send(ClientSession& session, std::string_view bytes) {
    return session.send({zmq::message_t(bytes.data(), bytes.size()), {}});
  }

  // The broker's answer, if it is a refusal; nothing when it ends the session without one.
  static std::optional<Refusal> refusal(ClientSession& session) {
    const auto frames = session.receive(kPatience);
    if (!frames) {
      return std::nullopt;
    }
    const auto message =
        wire::decode_control({frames->envelope.data<std::byte>(), frames->envelope.size()});
    const auto* refused = message ? std::get_if<msg::Refused>(&*message) : nullptr;
    return refused == nullptr ? std::nullopt : std::optional(refused->reason);
  }

  static void expect_end(ClientSession& session) {
    wait_until("the broker ends the session", [&] { return session.ended().has_value(); });
  }

  std::uint64_t broker_bytes() { return resident_bytes(consortium_.pid("broker")); }

  zmq::context_t zmq_;  // of the members
  Consortium consortium_;
};

TEST_F(HostileMember, WhoNeverEndsAMessageIsClosedAndMemoryStaysFlat) {
  const auto before = broker_bytes();
  for (const auto plane : {Plane::control, Plane::data}) {
    const std::string frame = zmtp::frame(std::string(64 << 10, 'x'), true);
    for (int peer = 0; peer < 8; ++peer) {
      RawClient client(consortium_.port());
      ASSERT_TRUE(client.start_tls(*TlsContext::client(kit(), plane)));
      (void)client.send(zmtp::greeting() + zmtp::ready());
      constexpr int kFramesTried = 2000;  // 128 MB
      int sent = 0;
      while (sent < kFramesTried && client.send(frame)) {
        ++sent;
      }
      EXPECT_LT(sent, kFramesTried);
    }
  }
  EXPECT_LT(broker_bytes(), before + kGrowthMax);
  EXPECT_THAT(consortium_.log("broker"), HasSubstr("more than 2 frames"));
}

TEST_F(HostileMember, WhoSendsAFrameOverTheBoundIsClosedBeforeItIsStored) {
  const auto before = broker_bytes();
  auto session = dial();
  (void)send(*session, std::string(32 << 20, 'x'));
  expect_end(*session);
  EXPECT_LT(broker_bytes(), before + kGrowthMax);
}

TEST_F(HostileMember, WhoSendsGarbageIsRefusedInWords) {
  auto session = dial();
  ASSERT_TRUE(send(*session, "this is no message of the protocol"));
  const auto reason = refusal(*session);
  ASSERT_TRUE(reason);
  EXPECT_EQ(reason->code, "message_invalid");
  expect_end(*session);
}

TEST_F(HostileMember, WhoDoesNotGreetFirstIsRefused) {
  auto session = dial();
  ASSERT_TRUE(send(*session, wire::encode(msg::Control(msg::Advert{}))));
  const auto reason = refusal(*session);
  ASSERT_TRUE(reason);
  EXPECT_EQ(reason->code, "protocol_violated");
  expect_end(*session);
}

TEST_F(HostileMember, WhoSpeaksANewerProtocolIsToldBothVersions) {
  auto session = dial();
  msg::Hello hello;
  hello.protocol_min = 98;
  hello.protocol_max = 99;
  hello.version = "7.0.0";
  ASSERT_TRUE(send(*session, wire::encode(msg::Control(hello))));
  const auto reason = refusal(*session);
  ASSERT_TRUE(reason);
  EXPECT_EQ(reason->code, "protocol_unsupported");
  EXPECT_THAT(reason->message, HasSubstr("speaks protocol 1 to 1, the peer (7.0.0) 98 to 99"));
}

TEST_F(HostileMember, WhoSendsABrokersMessagesIsRefused) {
  auto session = dial();
  msg::Hello hello;
  hello.version = "0.1.0";
  hello.instance = 7;
  ASSERT_TRUE(send(*session, wire::encode(msg::Control(hello))));
  ASSERT_TRUE(session->receive(kPatience));  // Welcome
  ASSERT_TRUE(send(*session, wire::encode(msg::Control(
                                 msg::JobClosed{JobId::literal("stripes-1"), "because"}))));
  const auto reason = refusal(*session);
  ASSERT_TRUE(reason);
  EXPECT_EQ(reason->code, "protocol_violated");
  expect_end(*session);
}

TEST_F(HostileMember, AmongOthersDoesNotDisturbTheirJob) {
  consortium_.add_site("east");
  consortium_.add_site("west");
  consortium_.wait_for_sites(2);
  consortium_.hold("east", "train-1");
  const auto job = consortium_.submit({});
  (void)consortium_.wait_until_held("east", "train-1");
  for (int i = 0; i < 10; ++i) {
    auto session = dial(i % 2 == 0 ? Plane::control : Plane::data);
    (void)send(*session, std::string(1000, static_cast<char>(i)));
    expect_end(*session);
  }
  consortium_.release("east", "train-1");
  EXPECT_EQ(consortium_.wait_for_end(job)["state"], "completed");
}

}  // namespace
}  // namespace entente::integration
