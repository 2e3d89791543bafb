// The bad line of tests/support is as bad as it says, and no worse.
#include "tests/support/line.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <set>
#include <system_error>

#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Direction = Line::Direction;

constexpr std::uint16_t kPort = 7000;
constexpr std::size_t kIpAndUdpBytes = 28;

// A UDP socket at one end, connected to its fellow at the other.
class End {
 public:
  End(const NetworkSpace& space, const char* own, const char* other) {
    const NetworkSpace::Inside inside(&space);
    socket_ = Handle(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto here = address(own);
    const auto there = address(other);
    if (::bind(socket_.fd(), reinterpret_cast<const sockaddr*>(&here), sizeof(here)) != 0 ||
        ::connect(socket_.fd(), reinterpret_cast<const sockaddr*>(&there), sizeof(there)) != 0) {
      throw std::system_error(errno, std::generic_category(), "an end of the line");
    }
  }

  void send(int number, std::size_t bytes = 100) const {
    std::string packet(bytes, '\0');
    std::copy_n(reinterpret_cast<const char*>(&number), sizeof(number), packet.begin());
    (void)!::send(socket_.fd(), packet.data(), packet.size(), 0);
  }
  // The number of the next packet within `limit`, or -1.
  [[nodiscard]] int receive(milliseconds limit = kPatience) const {
    pollfd item{socket_.fd(), POLLIN, 0};
    std::array<char, 2000> packet{};
    int number = -1;
    if (::poll(&item, 1, static_cast<int>(limit.count())) == 1 &&
        ::recv(socket_.fd(), packet.data(), packet.size(), 0) >= ssize_t{sizeof(number)}) {
      std::copy_n(packet.begin(), sizeof(number), reinterpret_cast<char*>(&number));
    }
    return number;
  }

 private:
  static sockaddr_in address(const char* text) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(kPort);
    ::inet_pton(AF_INET, text, &in.sin_addr);
    return in;
  }
  Handle socket_;
};

struct Ends {
  explicit Ends(std::uint64_t seed) : line(seed) {}
  Line line;
  End near{line.near(), Line::kNearAddress, Line::kFarAddress};
  End far{line.far(), Line::kFarAddress, Line::kNearAddress};
};

class LineItself : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = Line::refusal()) {
      GTEST_SKIP() << *why;
    }
  }
};

TEST_F(LineItself, CarriesPacketsBothWaysInOrder) {
  const Ends ends(1);
  for (int i = 0; i < 10; ++i) {
    ends.near.send(i);
    ends.far.send(100 + i);
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(ends.far.receive(), i);
    EXPECT_EQ(ends.near.receive(), 100 + i);
  }
}

TEST_F(LineItself, DelaysEachPacket) {
  Ends ends(1);
  ends.line.set({.delay = milliseconds(200)});
  const auto start = Clock::now();
  ends.near.send(1);
  ends.near.send(2);
  EXPECT_EQ(ends.far.receive(), 1);
  EXPECT_GE(Clock::now() - start, milliseconds(200));
  EXPECT_EQ(ends.far.receive(), 2);
}

TEST_F(LineItself, CarriesNoMoreBytesThanItsRate) {
  Ends ends(1);
  ends.line.set({.bytes_per_second = 10'000});
  const auto start = Clock::now();
  for (int i = 0; i < 10; ++i) {
    ends.near.send(i, 1000 - kIpAndUdpBytes);
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(ends.far.receive(), i);
    EXPECT_GE(Clock::now() - start, milliseconds(100 * (i + 1)));
  }
}

TEST_F(LineItself, LosesPacketsThatFindItsQueueFull) {
  Ends ends(1);
  ends.line.set({.bytes_per_second = 10'000});
  for (int i = 0; i < 200; ++i) {
    ends.near.send(i, 1000);
  }
  wait_until("every packet has its fate",
             [&] { return ends.line.traffic(Direction::to_far).lost > 0; });
  EXPECT_EQ(ends.far.receive(), 0) << "the first ones are on their way";
}

TEST_F(LineItself, LosesTheSamePacketsForTheSameSeed) {
  const auto lost = [](std::uint64_t seed) {
    Ends ends(seed);
    ends.line.set({.loss = 0.3});
    for (int i = 0; i < 100; ++i) {
      ends.near.send(i);
    }
    ends.line.set({});
    ends.near.send(100);
    std::set<int> arrived;
    while (!arrived.contains(100)) {
      arrived.insert(ends.far.receive());
    }
    return arrived;
  };
  const auto first = lost(7);
  EXPECT_THAT(first.size(), testing::AllOf(testing::Gt(50U), testing::Lt(95U)));
  EXPECT_EQ(lost(7), first);
  EXPECT_NE(lost(8), first);
}

TEST_F(LineItself, IsCutInOneDirectionAlone) {
  Ends ends(1);
  ends.line.set(Direction::to_far, {.cut = true});
  ends.near.send(1);
  ends.far.send(2);
  EXPECT_EQ(ends.near.receive(), 2);
  wait_until("the packet is lost", [&] { return ends.line.traffic(Direction::to_far).lost == 1; });
  ends.line.set({});
  ends.near.send(3);
  EXPECT_EQ(ends.far.receive(), 3);
}

}  // namespace
}  // namespace entente::integration
