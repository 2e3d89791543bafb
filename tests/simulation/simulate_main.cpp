// `simulate --seeds N [--seed S] [--verbose]`: runs N simulated consortia, or just the one of seed
// S. See CONTRIBUTING.md, "Does the simulation find bugs?".
#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/domain/job_kind.h"
#include "tests/simulation/simulation.h"

namespace {

using entente::simulation::Plan;
using entente::simulation::plan_of;
using entente::simulation::Simulation;
using entente::simulation::Violation;

constexpr std::size_t kTraceLines = 80;

struct Options {
  std::uint64_t seeds = 300;
  std::uint64_t first = 1;
  bool verbose = false;
};

struct Totals {
  std::uint64_t seeds = 0;
  std::uint64_t rounds = 0;
  std::uint64_t happenings = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t aborted = 0;
  std::uint64_t drained = 0;
  std::uint64_t replaced = 0;
  std::uint64_t paused = 0;
  std::uint64_t queued_again = 0;
  std::uint64_t damaged = 0;
  std::uint64_t buffered = 0;
  std::uint64_t predicted_by_own = 0;
  std::uint64_t from_files = 0;
  std::map<entente::JobKind, std::uint64_t> completed_of;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  bool has_seeds = false;
  bool has_seed = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--verbose") {
      options.verbose = true;
      continue;
    }
    const auto value = i + 1 < argc ? number(argv[++i]) : std::nullopt;
    if (!value || (word != "--seeds" && word != "--seed")) {
      return std::nullopt;
    }
    (word == "--seeds" ? options.seeds : options.first) = *value;
    (word == "--seeds" ? has_seeds : has_seed) = true;
  }
  if (has_seed && !has_seeds) {
    options.seeds = 1;
  }
  return options;
}

// A failed check in a core ends the process; the seed must not be lost with it.
char g_last_words[128];
void on_abort(int) { (void)!write(STDOUT_FILENO, g_last_words, std::strlen(g_last_words)); }

void remember(std::uint64_t seed) {
  const auto end = fmt::format_to_n(g_last_words, sizeof g_last_words - 1,
                                    "seed {} broke a check of the cores\n"
                                    "replay: ./run simulate --seed {} --verbose\n",
                                    seed, seed);
  *end.out = '\0';
}

// Nothing when all promises held.
std::optional<std::string> simulate(std::uint64_t seed, bool verbose, Totals& totals) {
  remember(seed);
  Simulation simulation(plan_of(seed));
  simulation.world.trace.is_on = verbose;
  std::optional<std::string> broken;
  try {
    simulation.let_the_adversary_loose();
    simulation.run();
  } catch (const Violation& violation) {
    broken = violation.what();
  }
  if (verbose) {
    const auto& lines = simulation.world.trace.lines();
    const auto skipped = broken && lines.size() > kTraceLines ? lines.size() - kTraceLines : 0;
    for (std::size_t i = skipped; i < lines.size(); ++i) {
      fmt::print("{}\n", lines[i]);
    }
  }
  ++totals.seeds;
  totals.rounds += simulation.rounds_published();
  totals.happenings += simulation.happenings();
  totals.drained += simulation.events(entente::JobEventKind::site_draining);
  totals.replaced += simulation.events(entente::JobEventKind::site_replaced);
  totals.paused += simulation.events(entente::JobEventKind::paused);
  totals.queued_again += simulation.events(entente::JobEventKind::queued);
  totals.damaged += simulation.updates_lost_to_damage();
  for (const auto& [id, job] : simulation.disk.jobs) {
    const auto completed = job.state == entente::JobState::completed ? 1U : 0U;
    totals.completed += completed;
    totals.buffered += job.spec.async ? completed : 0;
    totals.predicted_by_own += job.spec.predict && job.spec.predict->own ? completed : 0;
    totals.from_files += job.spec.init && job.spec.init->file ? completed : 0;
    totals.completed_of[job.spec.kind] += completed;
    totals.failed += job.state == entente::JobState::failed ? 1 : 0;
    totals.aborted += job.state == entente::JobState::aborted ? 1 : 0;
  }
  return broken;
}

// What no seed of so many has come to; a promise that is never put to the test holds for nothing.
std::optional<std::string> never_tried(const Totals& totals) {
  using entente::JobKind;
  constexpr std::uint64_t kManySeeds = 300;
  constexpr std::array kPlanned{JobKind::train,  JobKind::evaluate,       JobKind::statistics,
                                JobKind::cyclic, JobKind::cross_evaluate, JobKind::predict};
  const std::array<std::pair<std::uint64_t, std::string_view>, 11> tried{{
      {totals.completed, "a job that completes"},
      {totals.failed, "a job that fails"},
      {totals.aborted, "a job that is aborted"},
      {totals.drained, "a site that drains"},
      {totals.replaced, "a site that is replaced"},
      {totals.paused, "a job that is paused"},
      {totals.queued_again, "a job that goes back to the queue"},
      {totals.damaged, "an update that is damaged"},
      {totals.buffered, "a job that trains asynchronously and completes"},
      {totals.from_files, "a job that completes from a file of its coordinator's"},
      {totals.predicted_by_own, "a job that predicts by what another has left at its sites"},
  }};
  if (totals.seeds < kManySeeds) {
    return std::nullopt;
  }
  for (const auto& [times, what] : tried) {
    if (times == 0) {
      return std::string(what);
    }
  }
  for (const auto kind : kPlanned) {
    if (!totals.completed_of.contains(kind) || totals.completed_of.at(kind) == 0) {
      return fmt::format("a job of the kind \"{}\" that completes", to_string(kind));
    }
  }
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (!options) {
    fmt::print(stderr, "usage: simulate [--seeds N] [--seed S] [--verbose]\n");
    return 2;
  }
  std::signal(SIGABRT, on_abort);
  const auto start = std::chrono::steady_clock::now();
  Totals totals;
  for (auto seed = options->first; seed < options->first + options->seeds; ++seed) {
    if (const auto broken = simulate(seed, options->verbose, totals)) {
      fmt::print("seed {} broke a promise: {}\nreplay: ./run simulate --seed {} --verbose\n", seed,
                 *broken, seed);
      return 1;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  fmt::print(
      "{} seeds, every promise held: {} jobs completed, {} failed, {} aborted; {} models, "
      "{} drains, {} sites replaced, {} pauses, {} times back in the queue, {} updates damaged; "
      "{} events in {:.1f} s ({:.0f} rounds per second)\n",
      totals.seeds, totals.completed, totals.failed, totals.aborted, totals.rounds, totals.drained,
      totals.replaced, totals.paused, totals.queued_again, totals.damaged, totals.happenings,
      took.count(), static_cast<double>(totals.rounds) / took.count());
  if (const auto missing = never_tried(totals)) {
    fmt::print("none of them had {}: the adversary has lost its teeth\n", *missing);
    return 1;
  }
  return 0;
}
