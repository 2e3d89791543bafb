#include "common/runtime/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <thread>
#include <vector>

namespace entente {
namespace {

bool readable(int fd) {
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, 0) == 1;
}

TEST(Mailbox, IsReadableExactlyWhileMessagesWait) {
  Mailbox<int> mailbox(4);
  EXPECT_FALSE(readable(mailbox.fd()));
  EXPECT_TRUE(mailbox.try_push(1));
  EXPECT_TRUE(mailbox.try_push(2));
  EXPECT_TRUE(readable(mailbox.fd()));
  EXPECT_EQ(mailbox.drain(), (std::vector<int>{1, 2}));
  EXPECT_FALSE(readable(mailbox.fd()));
}

TEST(Mailbox, StaysReadableOnceClosedThoughItIsDrained) {
  Mailbox<int> mailbox(4);
  EXPECT_TRUE(mailbox.try_push(1));
  mailbox.close();
  EXPECT_EQ(mailbox.drain(), (std::vector<int>{1}));
  EXPECT_TRUE(readable(mailbox.fd()));
}

TEST(Mailbox, LeavesARefusedMessageUnchanged) {
  Mailbox<std::unique_ptr<int>> mailbox(1);
  EXPECT_TRUE(mailbox.try_push(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(mailbox.try_push(std::move(second)));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
}

TEST(Mailbox, DrainsAfterCloseAndRefusesPushes) {
  Mailbox<int> mailbox(4);
  EXPECT_TRUE(mailbox.try_push(1));
  mailbox.close();
  EXPECT_FALSE(mailbox.try_push(2));
  EXPECT_FALSE(mailbox.push(3));
  EXPECT_EQ(mailbox.wait_and_drain(), std::vector<int>{1});
  EXPECT_TRUE(mailbox.wait_and_drain().empty());
}

TEST(Mailbox, LosesNothingBetweenManyProducersAndASlowConsumer) {
  constexpr int kEach = 1000;
  Mailbox<int> mailbox(2);
  std::vector<std::thread> producers;
  for (int producer = 0; producer < 3; ++producer) {
    producers.emplace_back([&mailbox] {
      for (int i = 0; i < kEach; ++i) {
        mailbox.push(i);
      }
    });
  }
  std::size_t received = 0;
  long sum = 0;
  while (received < 3 * kEach) {
    for (const int message : mailbox.wait_and_drain()) {
      ++received;
      sum += message;
    }
  }
  for (auto& producer : producers) {
    producer.join();
  }
  EXPECT_EQ(sum, 3L * kEach * (kEach - 1) / 2);
}

}  // namespace
}  // namespace entente
