// bench_rounds: measures with real processes and prints one line of JSON. bench.py puts the lines
// together.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <nlohmann/json.hpp>

#include "tests/bench/rounds/control.h"
#include "tests/bench/rounds/idle.h"
#include "tests/bench/rounds/round.h"
#include "tests/bench/rounds/submits.h"

int main(int argc, char** argv) {
  using namespace entente::bench;
  CLI::App app{"Measures whole rounds, control round trips, submissions and idle sites."};
  app.require_subcommand(1);
  RoundSetup setup;
  int megabytes = 0;
  auto* round = app.add_subcommand("round", "seconds, CPU and memory of a round");
  auto* control = app.add_subcommand("control", "control round trips while uploads saturate");
  for (auto* command : {round, control}) {
    command->add_option("--sites", setup.sites, "sites of the job");
    command->add_option("--mb", megabytes, "size of the model");
  }
  round->add_option("--rounds", setup.rounds, "rounds of the job")->check(CLI::Range(2, 10'000));
  auto* idle = app.add_subcommand("idle", "what sites cost that have nothing to do");
  int idle_sites = 1000;
  idle->add_option("--sites", idle_sites, "connected sites");
  SubmitSetup submit_setup;
  auto* submits = app.add_subcommand("submits", "jobs submitted in a second, each durable");
  submits->add_option("--clients", submit_setup.clients, "that submit at the same time")
      ->check(CLI::Range(1, 60));
  submits->add_option("--jobs", submit_setup.jobs, "of all of them")
      ->check(CLI::Range(60, 100'000));
  CLI11_PARSE(app, argc, argv);
  constexpr std::uint64_t kMegabyte = 1'000'000;
  setup.model_bytes = static_cast<std::uint64_t>(megabytes) * kMegabyte;
  try {
    const auto result = *round     ? measure_rounds(setup)
                        : *control ? measure_control(setup)
                        : *submits ? measure_submits(submit_setup)
                                   : measure_idle(idle_sites);
    fmt::print("{}\n", result.dump());
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
