#include "common/blob/pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

namespace entente {
namespace {

// A line of `bytes_per_second`, `delay` long: chunks go one after the other, and credit for each
// comes back when it has arrived. The sender always uses its whole credit.
class Line {
 public:
  Line(double bytes_per_second, Millis delay)
      : bytes_per_ms_(bytes_per_second / 1000), delay_(delay) {}

  void change_to(double bytes_per_second) { bytes_per_ms_ = bytes_per_second / 1000; }

  void carry(Millis time) {
    const Monotonic end = now_ + time;
    send_all();
    while (!taken_at_.empty() && taken_at_.front() <= end) {
      now_ = taken_at_.front();
      taken_at_.pop_front();
      pace_.taken(1, now_);
      send_all();
    }
    now_ = end;
  }

  [[nodiscard]] std::size_t chunk_bytes() const { return pace_.chunk_bytes(); }
  [[nodiscard]] std::uint64_t carried() const { return bytes_; }
  // How long something new would wait before the line.
  [[nodiscard]] Millis queue() const { return std::max(Millis(0), free_at_ - now_); }

 private:
  void send_all() {
    while (taken_at_.size() < limits::kCreditChunks) {
      const auto bytes = static_cast<double>(pace_.chunk_bytes());
      free_at_ = std::max(free_at_, now_) + Millis(static_cast<int>(bytes / bytes_per_ms_));
      taken_at_.push_back(free_at_ + 2 * delay_);
      pace_.sent(now_);
      bytes_ += pace_.chunk_bytes();
    }
  }

  double bytes_per_ms_;
  const Millis delay_;
  Pace pace_;
  Monotonic now_{};
  Monotonic free_at_{};
  std::deque<Monotonic> taken_at_;
  std::uint64_t bytes_ = 0;
};

constexpr double kKilo = 1000;
constexpr double kMega = 1000 * kKilo;
using std::chrono::seconds;

TEST(Pace, BeginsSmall) { EXPECT_EQ(Pace().chunk_bytes(), limits::kChunkBytesMin); }

TEST(Pace, SendsFullChunksOverAFastLineAfterAFewRoundTrips) {
  Line line(100 * kMega, Millis(1));
  line.carry(Millis(200));
  EXPECT_EQ(line.chunk_bytes(), limits::kChunkBytesMax);
}

TEST(Pace, SendsFullChunksOverALongLineThatIsFast) {
  Line line(10 * kMega, seconds(2));
  line.carry(seconds(120));
  EXPECT_EQ(line.chunk_bytes(), limits::kChunkBytesMax);
}

TEST(Pace, KeepsTheQueueBeforeASlowLineShort) {
  for (const double rate : {10 * kKilo, 32 * kKilo, 100 * kKilo, 1 * kMega}) {
    for (const Millis delay : {Millis(1), Millis(100), Millis(2000)}) {
      Line line(rate, delay);
      for (int i = 0; i < 600; ++i) {
        line.carry(Millis(500));
        EXPECT_LT(line.queue(), seconds(4) + 2 * delay)
            << rate << " bytes/s, delay " << delay.count() << " ms";
      }
    }
  }
}

TEST(Pace, LeavesNoSlowLineIdle) {
  for (const double rate : {10 * kKilo, 32 * kKilo, 100 * kKilo, 1 * kMega}) {
    Line line(rate, Millis(100));
    line.carry(seconds(60));
    EXPECT_GT(static_cast<double>(line.carried()), 0.9 * 60 * rate) << rate << " bytes/s";
  }
}

TEST(Pace, GetsSmallWhenALineBecomesSlow) {
  Line line(2 * kMega, Millis(10));
  line.carry(seconds(10));
  const std::size_t before = line.chunk_bytes();
  line.change_to(50 * kKilo);
  line.carry(seconds(120));
  EXPECT_LT(line.chunk_bytes(), before / 4);
  EXPECT_LT(line.queue(), seconds(4));
}

TEST(Pace, IgnoresCreditForWhatWasNeverSent) {
  Pace pace;
  pace.taken(1000, Monotonic(Millis(5)));
  EXPECT_EQ(pace.chunk_bytes(), limits::kChunkBytesMin);
  pace.sent(Monotonic(Millis(10)));
  pace.forget_under_way();
  pace.taken(1, Monotonic(Millis(11)));
  EXPECT_EQ(pace.chunk_bytes(), limits::kChunkBytesMin);
}

}  // namespace
}  // namespace entente
