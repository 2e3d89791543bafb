#include "tests/soak/adversary.h"

#include <signal.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace entente::soak {
namespace {

constexpr int kBetweenStrikesMs = 1500;
constexpr int kWoundMs = 2500;

// One wounded process in this many is the broker: it is one of six, and matters most.
constexpr unsigned kBrokerOneIn = 3;
// One dead broker in this many is looked at before it starts again.
constexpr unsigned kAutopsyOneIn = 3;

}  // namespace

const std::vector<Adversary::Fault> Adversary::kFaults{
    {"killed", 3, &Adversary::kill},
    {"restarted in order", 2, &Adversary::restart},
    {"stopped for a while", 3, &Adversary::pause},
    {"connections cut", 3, &Adversary::cut},
    {"trainer killed", 1, &Adversary::kill_trainer},
    {"trainer stopped for a while", 2, &Adversary::pause_trainer},
};

Adversary::Adversary(Scene& scene, std::uint64_t seed, std::function<void()> on_dead_broker)
    : scene_(scene), random_(seed), on_dead_broker_(std::move(on_dead_broker)) {}

void Adversary::act(Clock::time_point now) {
  for (std::size_t i = 0; i < wounds_.size();) {
    if (wounds_[i].until > now) {
      ++i;
      continue;
    }
    const auto heal = std::move(wounds_[i].heal);
    wounds_.erase(wounds_.begin() + static_cast<std::ptrdiff_t>(i));
    heal();
  }
  if (now >= next_strike_) {
    strike(now);
    next_strike_ = now + up_to(kBetweenStrikesMs);
  }
}

void Adversary::relent() {
  for (auto& wound : std::exchange(wounds_, {})) {
    wound.heal();
  }
}

void Adversary::strike(Clock::time_point now) {
  const auto total =
      std::accumulate(kFaults.begin(), kFaults.end(), 0U,
                      [](unsigned sum, const Fault& fault) { return sum + fault.weight; });
  auto lot = static_cast<unsigned>(random_() % total);
  const auto fault = std::find_if(kFaults.begin(), kFaults.end(), [&lot](const Fault& one) {
    const bool drawn = lot < one.weight;
    lot -= drawn ? 0 : one.weight;
    return drawn;
  });
  const bool strikes_broker = random_() % kBrokerOneIn == 0;
  const std::string site = kSites[random_() % kSites.size()];
  const auto lasts = up_to(kWoundMs);
  const bool at_trainer =
      fault->inflict == &Adversary::kill_trainer || fault->inflict == &Adversary::pause_trainer;
  const bool at_site = at_trainer || fault->inflict == &Adversary::cut;
  const auto victim = strikes_broker && !at_site ? std::string("broker") : site;
  const bool is_wounded = std::any_of(wounds_.begin(), wounds_.end(),
                                      [&](const Wound& wound) { return wound.process == victim; });
  if (is_wounded) {
    return;
  }
  if (auto heal = (this->*fault->inflict)(victim)) {
    ++injected_[(victim == "broker" ? "broker " : "site: ") + std::string(fault->name)];
    wounds_.push_back({now + lasts, victim, std::move(heal)});
  }
}

Adversary::Remedy Adversary::kill(const std::string& victim) {
  scene_.kill(victim);
  if (victim == "broker" && random_() % kAutopsyOneIn == 0) {
    on_dead_broker_();
  }
  return [this, victim] { scene_.start(victim); };
}

Adversary::Remedy Adversary::restart(const std::string& victim) {
  scene_.stop(victim);
  return [this, victim] { scene_.start(victim); };
}

Adversary::Remedy Adversary::pause(const std::string& victim) {
  scene_.pause(victim);
  return [this, victim] { scene_.resume(victim); };
}

Adversary::Remedy Adversary::cut(const std::string& victim) {
  scene_.cut(victim);
  return [] {};
}

Adversary::Remedy Adversary::kill_trainer(const std::string& victim) {
  const auto trainer = scene_.trainer(victim);
  if (!trainer) {
    return {};
  }
  ::kill(*trainer, SIGKILL);
  return [] {};
}

Adversary::Remedy Adversary::pause_trainer(const std::string& victim) {
  const auto trainer = scene_.trainer(victim);
  if (!trainer) {
    return {};
  }
  ::kill(*trainer, SIGSTOP);
  // Its agent may have ended it meanwhile; then this reaches nobody.
  return [trainer] { ::kill(*trainer, SIGCONT); };
}

std::chrono::milliseconds Adversary::up_to(int milliseconds) {
  return std::chrono::milliseconds(random_() % static_cast<unsigned>(milliseconds));
}

}  // namespace entente::soak
