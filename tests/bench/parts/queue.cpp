// A full cycle of the queue: a thousand jobs wait for a thousand sites, one of which says
// something. All slots are taken, so that every job is looked at and none starts. Warm: no advert
// has changed since the last plan. The other one: the site's advert has.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>

#include "broker/core/broker_core.h"

namespace entente::bench {
namespace {

constexpr std::size_t kSites = 1000;
constexpr std::size_t kJobs = 1000;
constexpr std::size_t kCoordinators = 20;

SiteAdvert advert(std::uint64_t examples) {
  SiteAdvert advert;
  advert.datasets = {{"scans", "idx", examples, {4}, 2}};
  return advert;
}

JobSpec spec(std::uint32_t min) {
  JobSpec spec;
  spec.name = "job";
  spec.deadline = std::chrono::hours(1000);
  spec.stall_window = std::chrono::hours(1000);
  spec.sites.min = min;
  spec.model.input = {4};
  spec.model.layers = {LayerSpec{"linear", "fc", {{"out_features", std::int64_t{2}}}}};
  spec.train.dataset = "scans";
  return spec;
}

class BusyConsortium {
 public:
  BusyConsortium() {
    for (std::size_t i = 0; i < kSites; ++i) {
      connect(Role::site, fmt::format("site-{}", i));
      hear(session_, msg::Advert{advert(1)});
    }
    connect(Role::coordinator, "first");
    hear(session_, msg::Request{1, msg::SubmitJob{spec(1), {}}});  // takes every slot
    for (std::size_t i = 0; i < kJobs; ++i) {
      if (i % (kJobs / kCoordinators) == 0) {
        connect(Role::coordinator, fmt::format("coordinator-{}", i));
      }
      const auto min = static_cast<std::uint32_t>(1 + i % 50);
      hear(session_, msg::Request{1, msg::SubmitJob{spec(min), {}}});
    }
  }

  // The first site, whose advert says so many examples.
  void advertise(std::uint64_t examples) { hear(1, msg::Advert{advert(examples)}); }

 private:
  void connect(Role role, const std::string& name) {
    const Identity who{ConsortiumId::literal("bench"), role, name};
    benchmark::DoNotOptimize(core_.step(broker::SessionOpened{++session_, who}, now_));
    hear(session_, msg::Hello{});
  }
  void hear(SessionId session, msg::Control message) {
    now_.monotonic += Millis(1);
    benchmark::DoNotOptimize(
        core_.step(broker::MessageReceived{session, std::move(message), {}}, now_));
  }

  Now now_{Monotonic{Millis(1'000'000)}, 0};
  SessionId session_ = 0;
  broker::BrokerCore core_{{"hub", "bench"}, {}, now_};
};

BusyConsortium& busy_consortium() {
  static BusyConsortium consortium;
  return consortium;
}

void plan_warm(benchmark::State& state) {
  auto& consortium = busy_consortium();
  consortium.advertise(1);
  for (auto unused : state) {
    consortium.advertise(1);
  }
}

void plan_after_a_changed_advert(benchmark::State& state) {
  auto& consortium = busy_consortium();
  std::uint64_t examples = 1;
  for (auto unused : state) {
    consortium.advertise(++examples);
  }
}

BENCHMARK(plan_warm)->Name("ours/plan_warm")->Unit(benchmark::kMillisecond);
BENCHMARK(plan_after_a_changed_advert)
    ->Name("ours/plan_after_a_changed_advert")
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace entente::bench
