#include "common/net/frame_guard.h"

#include <gtest/gtest.h>

#include "zmtp_bytes.h"

namespace entente::net {
namespace {

constexpr std::size_t kFrameMax = 1000;

std::optional<std::string> consume(FrameGuard& guard, std::string_view bytes) {
  return guard.consume(std::as_bytes(std::span(bytes)));
}

TEST(FrameGuard, LetsMessagesOfOneAndTwoFramesPass) {
  FrameGuard guard(kFrameMax, 2);
  const std::string stream = zmtp::greeting() + zmtp::ready() + zmtp::frame("one", false) +
                             zmtp::frame("envelope", true) + zmtp::frame("payload", false) +
                             zmtp::frame("", false) +
                             zmtp::frame(std::string(kFrameMax, 'x'), false);
  EXPECT_EQ(consume(guard, stream), std::nullopt);
  EXPECT_EQ(guard.messages(), 4U);
}

TEST(FrameGuard, ClosesOnAThirdFrame) {
  FrameGuard guard(kFrameMax, 2);
  ASSERT_EQ(consume(guard, zmtp::greeting() + zmtp::frame("a", true) + zmtp::frame("b", true)),
            std::nullopt);
  EXPECT_TRUE(consume(guard, zmtp::frame("c", false)));
}

TEST(FrameGuard, ClosesOnAThirdFrameThatIsEmpty) {
  FrameGuard guard(kFrameMax, 2);
  EXPECT_TRUE(consume(guard, zmtp::greeting() + zmtp::frame("", true) + zmtp::frame("", true) +
                                 zmtp::frame("", true)));
}

TEST(FrameGuard, CountsFramesOfEachMessageAnew) {
  FrameGuard guard(kFrameMax, 2);
  ASSERT_EQ(consume(guard, zmtp::greeting()), std::nullopt);
  for (int message = 0; message < 10; ++message) {
    EXPECT_EQ(consume(guard, zmtp::frame("a", true) + zmtp::frame("b", false)), std::nullopt);
  }
  EXPECT_EQ(guard.messages(), 10U);
}

TEST(FrameGuard, DoesNotCountHeartbeatsBetweenFrames) {
  FrameGuard guard(kFrameMax, 2);
  EXPECT_EQ(consume(guard, zmtp::greeting() + zmtp::frame("a", true) + zmtp::ping() +
                               zmtp::frame("b", false) + zmtp::ping()),
            std::nullopt);
  EXPECT_EQ(guard.messages(), 1U);
}

TEST(FrameGuard, ClosesOnAFrameOverTheBoundBeforeItsBody) {
  FrameGuard guard(kFrameMax, 2);
  const std::string too_long = zmtp::frame(std::string(kFrameMax + 1, 'x'), false);
  EXPECT_TRUE(consume(guard, zmtp::greeting() + too_long.substr(0, 9)));
}

TEST(FrameGuard, HoldsCommandsToTheSameBound) {
  FrameGuard guard(kFrameMax, 2);
  EXPECT_TRUE(consume(guard, zmtp::greeting() + zmtp::command(std::string(kFrameMax + 1, 'x'))));
}

TEST(FrameGuard, ClosesOnALengthThatOverflows) {
  FrameGuard guard(kFrameMax, 2);
  EXPECT_TRUE(consume(guard, zmtp::greeting() + std::string("\x02") + std::string(8, '\xff')));
}

TEST(FrameGuard, ClosesOnReservedFlagsAndOnCommandsThatWantMore) {
  for (const char flags : {'\x08', '\x80', '\x05', '\x07'}) {
    FrameGuard guard(kFrameMax, 2);
    EXPECT_TRUE(consume(guard, zmtp::greeting() + flags));
  }
}

TEST(FrameGuard, SpeaksNoOlderZmtpAndNoMechanism) {
  for (const auto& [position, byte] : {std::pair{0, '\x01'},
                                       {9, '\x00'},
                                       {10, '\x01'},
                                       {10, '\x00'},
                                       {12, 'P'},
                                       {16, 'X'},
                                       {31, 'X'}}) {
    std::string greeting = zmtp::greeting();
    greeting[static_cast<std::size_t>(position)] = byte;
    FrameGuard guard(kFrameMax, 2);
    EXPECT_TRUE(consume(guard, greeting)) << "position " << position;
  }
}

TEST(FrameGuard, JudgesTheSameWhereverTheStreamIsCut) {
  const std::string good = zmtp::greeting() + zmtp::ready() + zmtp::frame("envelope", true) +
                           zmtp::frame(std::string(600, 'x'), false) + zmtp::ping() +
                           zmtp::frame("", false);
  const std::string bad = good + zmtp::frame("a", true) + zmtp::frame("", true) + '\x00';
  for (std::size_t cut = 0; cut <= good.size(); ++cut) {
    FrameGuard guard(kFrameMax, 2);
    EXPECT_EQ(consume(guard, good.substr(0, cut)), std::nullopt) << cut;
    EXPECT_EQ(consume(guard, good.substr(cut)), std::nullopt) << cut;
    EXPECT_EQ(guard.messages(), 2U) << cut;
  }
  for (std::size_t cut = 0; cut < bad.size(); ++cut) {
    FrameGuard guard(kFrameMax, 2);
    EXPECT_EQ(consume(guard, bad.substr(0, cut)), std::nullopt) << cut;
    EXPECT_TRUE(consume(guard, bad.substr(cut))) << cut;
  }
}

}  // namespace
}  // namespace entente::net
