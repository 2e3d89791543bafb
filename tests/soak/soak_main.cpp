// `soak --minutes M [--seconds N] [--seed S]`: a consortium of five sites works while an adversary
// breaks it at random; then every promise is checked. Exits with 1 on a violation. CONTRIBUTING.md
// says how to read and replay a run.
#include <fmt/format.h>
#include <poll.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "tests/soak/adversary.h"
#include "tests/soak/promises.h"
#include "tests/soak/scene.h"
#include "tests/soak/vitals.h"
#include "tests/soak/workload.h"
#include "tests/support/wait.h"

namespace {

using namespace entente::soak;

constexpr int kTickMs = 50;
constexpr std::chrono::minutes kSettlesWithin{5};

struct Options {
  std::uint64_t seconds = 60;
  std::uint64_t seed = 1;
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view word = argv[i];
    const std::string_view text = argv[i + 1];
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
      return std::nullopt;
    }
    if (word == "--minutes" || word == "--seconds") {
      options.seconds = word == "--minutes" ? value * 60 : value;
    } else if (word == "--seed") {
      options.seed = value;
    } else {
      return std::nullopt;
    }
  }
  return argc % 2 == 1 ? std::optional(options) : std::nullopt;
}

void expect_nobody_died(Scene& scene) {
  if (const auto end = scene.unexpected_end()) {
    throw std::runtime_error(*end + ", and nobody made it do so");
  }
}

void work_until(Scene& scene, Workload& workload, bool more, const std::function<bool()>& is_over,
                const std::function<void(Clock::time_point)>& meanwhile) {
  while (!is_over()) {
    const auto now = Clock::now();
    meanwhile(now);
    workload.act(now, more);
    expect_nobody_died(scene);
    ::poll(nullptr, 0, kTickMs);
  }
}

void settle(Scene& scene, Workload& workload) {
  const auto until = Clock::now() + kSettlesWithin;
  work_until(
      scene, workload, false, [&] { return workload.is_idle(); },
      [&](Clock::time_point now) {
        if (now > until) {
          throw std::runtime_error("the jobs do not end though nothing is wrong any more");
        }
      });
  entente::integration::wait_until(
      "all sites are back",
      [&] {
        std::size_t back = 0;
        for (const auto& site : scene.consortium().ask({"site", "list"})) {
          back += site["connected"] ? 1 : 0;
        }
        return back == kSites.size();
      },
      std::chrono::minutes(2));
}

void print_table(const Adversary& adversary, const Workload& workload, const Examined& examined,
                 const AllVitals& start, const AllVitals& end) {
  int faults = 0;
  for (const auto& [name, times] : adversary.injected()) {
    faults += times;
  }
  fmt::print("\n{:<40}{:>8}\n", "faults injected", faults);
  for (const auto& [name, times] : adversary.injected()) {
    fmt::print("  {:<38}{:>8}\n", name, times);
  }
  fmt::print("{:<40}{:>8}\n", "jobs completed", workload.count("completed"));
  fmt::print("{:<40}{:>8}\n", "jobs aborted", workload.count("aborted"));
  fmt::print("{:<40}{:>8}\n", "models recomputed bit for bit", examined.models);
  fmt::print("{:<40}{:>8}\n", "updates in them", examined.updates);
  fmt::print("{:<40}{:>8}\n", "trainings, none of them twice", examined.trainings);
  fmt::print("{:<40}{:>8}\n", "data directory checked", examined.checks);
  fmt::print("{:<16}{:>24}{:>24}\n", "", "memory (KiB)", "descriptors");
  for (const auto& [process, before] : start) {
    const auto& after = end.at(process);
    fmt::print("  {:<14}{:>12} ->{:>9}{:>12} ->{:>9}\n", process, before.bytes >> 10U,
               after.bytes >> 10U, before.descriptors, after.descriptors);
  }
}

Examined soak(const Options& options) {
  Examined examined;
  Scene scene;
  Workload workload(scene, options.seed);
  Adversary adversary(scene, options.seed,
                      [&] { check_data_directory(scene.consortium(), examined); });

  workload.act(Clock::now(), true);
  settle(scene, workload);
  const auto start = take_vitals(scene);

  const auto until = Clock::now() + std::chrono::seconds(options.seconds);
  work_until(
      scene, workload, true, [&] { return Clock::now() > until; },
      [&](Clock::time_point now) { adversary.act(now); });
  adversary.relent();
  settle(scene, workload);
  const auto end = take_vitals(scene);

  for (const auto& process : Scene::processes()) {
    scene.stop(process);
  }
  check_data_directory(scene.consortium(), examined);
  examine_models(scene.consortium().folder() / "broker/data", workload.jobs(), examined);
  examine_trainings(scene.consortium(), examined);
  const auto grown = growth(start, end, workload.jobs().size());
  examined.violations.insert(examined.violations.end(), grown.begin(), grown.end());
  print_table(adversary, workload, examined, start, end);
  return examined;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (!options) {
    fmt::print(stderr, "usage: soak [--minutes M] [--seconds N] [--seed S]\n");
    return 2;
  }
  Examined examined;
  try {
    examined = soak(*options);
  } catch (const std::exception& failure) {
    examined.violations.emplace_back(failure.what());
  }
  for (const auto& violation : examined.violations) {
    fmt::print("violation: {}\n", violation);
  }
  fmt::print("{:<40}{:>8}\n", "violations", examined.violations.size());
  if (!examined.violations.empty()) {
    fmt::print("again: ./run soak --minutes {} --seed {}\n", (options->seconds + 59) / 60,
               options->seed);
    return 1;
  }
  return 0;
}
