// Breaks things, at random but from a seed: which fault comes next, whom it hits and how long it
// lasts is decided by the seed alone; what is going on at that moment is not.
//
// At most one fault for each process at a time, several processes at once. Used by the main thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/soak/scene.h"

namespace entente::soak {

using Clock = std::chrono::steady_clock;

class Adversary {
 public:
  // `on_dead_broker` is called while a killed broker lies dead, now and then.
  Adversary(Scene& scene, std::uint64_t seed, std::function<void()> on_dead_broker);

  // Begins and ends what is due.
  void act(Clock::time_point now);
  // Mends everything and does no more harm.
  void relent();

  // How often each fault was injected.
  [[nodiscard]] const std::map<std::string, int>& injected() const { return injected_; }

 private:
  using Remedy = std::function<void()>;
  struct Wound {
    Clock::time_point until;
    std::string process;
    Remedy heal;
  };
  struct Fault {
    const char* name;
    unsigned weight;
    Remedy (Adversary::*inflict)(const std::string& victim);
  };
  static const std::vector<Fault> kFaults;

  void strike(Clock::time_point now);
  Remedy kill(const std::string& victim);
  Remedy restart(const std::string& victim);
  Remedy pause(const std::string& victim);
  Remedy cut(const std::string& victim);
  Remedy kill_trainer(const std::string& victim);
  Remedy pause_trainer(const std::string& victim);
  std::chrono::milliseconds up_to(int milliseconds);

  Scene& scene_;
  std::mt19937_64 random_;
  std::function<void()> on_dead_broker_;
  Clock::time_point next_strike_;
  std::vector<Wound> wounds_;
  std::map<std::string, int> injected_;
};

}  // namespace entente::soak
