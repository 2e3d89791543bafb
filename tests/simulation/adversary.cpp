// The adversary of a Simulation: what goes wrong, when, and for how long.
#include "tests/simulation/simulation.h"

namespace entente::simulation {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// Gentle faults come in bursts, with time between them in which everybody finds each other again:
// the longest pause before a new dial is a minute.
constexpr seconds kBurstMax{30};
constexpr minutes kCalmMin{4};

// By then every site has joined, without faults, and its advert is known ever after.
constexpr minutes kArrivalMax{1};

// A broker that stood still blames nobody for it, however long.
constexpr minutes kSleepMax{20};

// A process that is to die somewhere in the middle of a step does so within its next chances.
constexpr std::uint32_t kMomentsMax = 60;

}  // namespace

void Simulation::let_the_adversary_loose() {
  faults_end_ = world.timeline.now() + plan.faults_end;
  world.timeline.at(faults_end_, [this] { end_faults(); });
  plan_fault();
}

void Simulation::plan_fault() {
  const auto pause = plan.gentle ? world.random.between(kCalmMin, kCalmMin + minutes(3))
                                 : world.random.between(seconds(1), minutes(3));
  const auto first = world.timeline.now() == Monotonic{Millis(1'000'000)};
  const auto first_pause = plan.gentle ? kArrivalMax : Millis(seconds(1));
  world.timeline.after(first ? world.random.between(first_pause, minutes(4)) : pause, [this] {
    if (world.timeline.now() >= faults_end_) {
      return;
    }
    if (plan.gentle) {
      const auto blows = world.random.between(1, 4);
      for (std::uint64_t blow = 0; blow < blows; ++blow) {
        world.timeline.after(world.random.between(Millis(0), Millis(kBurstMax) / 2),
                             [this] { strike_gently(); });
      }
    } else {
      strike();
    }
    plan_fault();
  });
}

SiteHost& Simulation::some_site() { return sites[world.random.below(sites.size())]; }

void Simulation::strike_gently() {
  const auto down = world.random.between(Millis(100), Millis(kBurstMax) / 2);
  const auto moments = static_cast<std::uint32_t>(world.random.between(1, kMomentsMax));
  switch (world.random.below(8)) {
    case 0:
      broker.arm(moments, down);
      return;
    case 1:
      broker.crash(down);
      return;
    case 2:
      some_site().arm(moments, down);
      return;
    case 3:
      some_site().crash(down);
      return;
    case 4: {
      auto& site = some_site();
      world.say(site.plan().id.str(), "is cut off for {} ms", down.count());
      network.partition(site);
      site.cut_transfers();
      world.timeline.after(down, [this, &site] { network.heal(site); });
      return;
    }
    case 5:
      broker.sleep(world.random.between(seconds(1), kSleepMax));
      return;
    case 6:
      damage_update();
      return;
    default: {
      auto& site = some_site();
      network.cut(site);
      site.cut_transfers();
      network.cut(coordinator);
      return;
    }
  }
}

void Simulation::strike() {
  switch (world.random.below(12)) {
    case 0: {
      auto& site = some_site();
      const auto away = world.random.between(seconds(10), minutes(15));
      world.say(site.plan().id.str(), "is cut off for {} ms", away.count());
      network.partition(site);
      site.cut_transfers();
      world.timeline.after(away, [this, &site] { network.heal(site); });
      return;
    }
    case 1:
      some_site().crash(world.random.between(seconds(1), minutes(15)));
      return;
    case 2:
      broker.crash(world.random.between(seconds(1), minutes(15)));
      return;
    case 3: {
      auto& site = some_site();
      site.crash(world.random.between(seconds(1), minutes(5)));
      if (!site.is_alive() && world.random.chance(200)) {
        site.lose_disk();
      }
      return;
    }
    case 4:
      network.cut_all();
      return;
    case 5:
      world.wall_clock_offset_ms += world.random.chance(500) ? 3'600'000 : -3'600'000;
      return;
    case 6: {
      const auto site = some_site().plan().id;
      mary.drain(site);
      world.timeline.after(world.random.between(seconds(10), minutes(15)),
                           [this, site] { mary.resume(site); });
      return;
    }
    case 7:
      if (world.random.chance(100)) {
        damage_model();
      }
      return;
    default:
      strike_gently();
      return;
  }
}

void Simulation::end_faults() {
  world.say("world", "the faults end");
  network.heal_all();
  mary.resume_all();
  broker.arm(0, Millis(0));
  for (auto& site : sites) {
    site.arm(0, Millis(0));
    site.end_faults();
  }
}

}  // namespace entente::simulation
