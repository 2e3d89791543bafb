#include "tests/support/line.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <mutex>
#include <random>
#include <system_error>
#include <thread>
#include <vector>

#include "common/runtime/event_fd.h"

namespace entente::integration {
namespace {

using Clock = std::chrono::steady_clock;

// Memory of the router before the line: 6 s of a line of 10 KB/s.
constexpr std::size_t kQueueBytesMax = 64 << 10;

// More than the device's MTU.
constexpr std::size_t kPacketBytesMax = 4096;

using Packet = std::vector<char>;

// One direction. Thread-safety is the Line's.
class Lane {
 public:
  Lane(std::uint64_t seed, int from, int to) : random_(seed), from_(from), to_(to) {}

  [[nodiscard]] int from() const { return from_; }
  [[nodiscard]] const Line::Traffic& traffic() const { return traffic_; }

  void set(const LineQuality& quality) {
    quality_ = quality;
    if (quality.cut) {
      traffic_.lost += travelling_.size();
      travelling_.clear();
      queued_.clear();
      queued_bytes_ = 0;
    }
    free_at_ = Clock::now();
  }

  // Takes every packet that has come to the line.
  void take(Clock::time_point now) {
    forget_departed(now);
    std::array<char, kPacketBytesMax> bytes;
    for (;;) {
      const auto got = ::read(from_, bytes.data(), bytes.size());
      if (got <= 0) {
        return;
      }
      // Drawn for each packet, so that the fate of one does not hang on the quality before it.
      const bool lost = std::uniform_real_distribution<>(0, 1)(random_) < quality_.loss;
      if (lost || quality_.cut || queued_bytes_ > kQueueBytesMax) {
        ++traffic_.lost;
      } else {
        enqueue({bytes.data(), bytes.data() + got}, now);
      }
    }
  }

  void deliver(Clock::time_point now) {
    for (; !travelling_.empty() && travelling_.front().arrives <= now; travelling_.pop_front()) {
      const Packet& packet = travelling_.front().packet;
      if (::write(to_, packet.data(), packet.size()) > 0) {
        ++traffic_.packets;
        traffic_.bytes += packet.size();
      }
    }
  }

  [[nodiscard]] std::optional<Clock::time_point> next_arrival() const {
    return travelling_.empty() ? std::nullopt : std::optional(travelling_.front().arrives);
  }

 private:
  struct Travelling {
    Packet packet;
    Clock::time_point arrives;
  };
  struct Queued {
    std::size_t bytes;
    Clock::time_point departs;
  };

  void enqueue(Packet packet, Clock::time_point now) {
    free_at_ = std::max(free_at_, now);
    if (quality_.bytes_per_second > 0) {
      free_at_ +=
          std::chrono::nanoseconds(packet.size() * 1'000'000'000 / quality_.bytes_per_second);
      queued_.push_back({packet.size(), free_at_});
      queued_bytes_ += packet.size();
    }
    const auto before = travelling_.empty() ? now : travelling_.back().arrives;
    const auto arrives = std::max<Clock::time_point>(before, free_at_ + quality_.delay);
    travelling_.push_back({std::move(packet), arrives});
  }

  void forget_departed(Clock::time_point now) {
    for (; !queued_.empty() && queued_.front().departs <= now; queued_.pop_front()) {
      queued_bytes_ -= queued_.front().bytes;
    }
  }

  std::mt19937_64 random_;
  int from_;
  int to_;
  LineQuality quality_;
  Line::Traffic traffic_;
  std::deque<Travelling> travelling_;
  std::deque<Queued> queued_;  // those of the travelling packets that still wait for the rate
  std::size_t queued_bytes_ = 0;
  Clock::time_point free_at_{};  // when the rate allows another packet
};

}  // namespace

class Line::Impl {
 public:
  explicit Impl(std::uint64_t seed)
      : near_tun_(near_.open_tun(kNearAddress, kFarAddress)),
        far_tun_(far_.open_tun(kFarAddress, kNearAddress)),
        to_far_(2 * seed, near_tun_.fd(), far_tun_.fd()),
        to_near_(2 * seed + 1, far_tun_.fd(), near_tun_.fd()),
        thread_([this] { carry(); }) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    changed_.signal();
    thread_.join();
  }

  [[nodiscard]] const NetworkSpace& near() const { return near_; }
  [[nodiscard]] const NetworkSpace& far() const { return far_; }

  void set(Direction direction, const LineQuality& quality) {
    const std::lock_guard lock(mutex_);
    lane(direction).take(Clock::now());  // what came before meets the quality of before
    lane(direction).set(quality);
  }

  [[nodiscard]] Traffic traffic(Direction direction) {
    const std::lock_guard lock(mutex_);
    return lane(direction).traffic();
  }

 private:
  Lane& lane(Direction direction) { return direction == Direction::to_far ? to_far_ : to_near_; }

  void carry() {
    for (;;) {
      std::optional<Clock::time_point> next;
      {
        const std::lock_guard lock(mutex_);
        if (closing_) {
          return;
        }
        const auto now = Clock::now();
        for (Lane* lane : {&to_far_, &to_near_}) {
          lane->take(now);
          lane->deliver(now);
          if (const auto arrival = lane->next_arrival(); arrival && (!next || *arrival < *next)) {
            next = arrival;
          }
        }
      }
      wait_until(next);
    }
  }

  void wait_until(std::optional<Clock::time_point> next) {
    std::array<pollfd, 3> items{
        {{to_far_.from(), POLLIN, 0}, {to_near_.from(), POLLIN, 0}, {changed_.fd(), POLLIN, 0}}};
    const auto left =
        next ? std::max(Clock::duration(0), *next - Clock::now()) : Clock::duration(0);
    const timespec limit{std::chrono::duration_cast<std::chrono::seconds>(left).count(),
                         (left % std::chrono::seconds(1)).count()};
    ::ppoll(items.data(), items.size(), next ? &limit : nullptr, nullptr);
  }

  NetworkSpace near_;
  NetworkSpace far_;
  Handle near_tun_;
  Handle far_tun_;
  std::mutex mutex_;
  Lane to_far_;
  Lane to_near_;
  EventFd changed_;
  bool closing_ = false;
  std::thread thread_;  // last: starts when everything above is there
};

Line::Line(std::uint64_t seed) : impl_(std::make_unique<Impl>(seed)) {}

Line::~Line() = default;

std::optional<std::string> Line::refusal() {
  try {
    (void)Line(0);
    return std::nullopt;
  } catch (const std::system_error& error) {
    return std::string(
               "no line can be made here (network namespaces and TUN devices need root): ") +
           error.what();
  }
}

const NetworkSpace& Line::near() const { return impl_->near(); }
const NetworkSpace& Line::far() const { return impl_->far(); }

void Line::set(Direction direction, const LineQuality& quality) { impl_->set(direction, quality); }

void Line::set(const LineQuality& both) {
  set(Direction::to_far, both);
  set(Direction::to_near, both);
}

Line::Traffic Line::traffic(Direction direction) const { return impl_->traffic(direction); }

}  // namespace entente::integration
