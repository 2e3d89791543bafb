// A bad line: two network namespaces and the only way between them, a thread that carries packets
// as slowly, as late and as rarely as a test likes. Kernels without netem have it too, because it
// is two TUN devices and a queue.
//
// Each direction has its own quality, which may change at any moment. Packets queue for the rate,
// as they do in a router with a small memory: who sends faster loses packets. Then they travel for
// the delay, in their order. Which packets are lost follows from the seed and from their number.
//
// Owns its thread and the namespaces; all is gone with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/network_space.h"

namespace entente::integration {

struct LineQuality {
  std::uint64_t bytes_per_second = 0;  // 0: as fast as this machine
  std::chrono::milliseconds delay{0};
  double loss = 0;   // of packets, 0 to 1
  bool cut = false;  // nothing passes, and what is under way is lost
};

class Line {
 public:
  static constexpr const char* kNearAddress = "10.77.0.1";
  static constexpr const char* kFarAddress = "10.77.0.2";

  // Throws std::system_error where namespaces or TUN devices are refused.
  explicit Line(std::uint64_t seed);
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  // Why a Line cannot be made here; nothing when it can.
  [[nodiscard]] static std::optional<std::string> refusal();

  [[nodiscard]] const NetworkSpace& near() const;
  [[nodiscard]] const NetworkSpace& far() const;

  enum class Direction : std::uint8_t { to_far, to_near };
  void set(Direction direction, const LineQuality& quality);
  void set(const LineQuality& both);

  // Packets and bytes that came out at the other end so far, and packets that did not.
  struct Traffic {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t lost = 0;
  };
  [[nodiscard]] Traffic traffic(Direction direction) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace entente::integration
