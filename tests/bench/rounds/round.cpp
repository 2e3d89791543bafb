#include "tests/bench/rounds/round.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/bench/rounds/memory_watch.h"
#include "tests/bench/rounds/stage.h"
#include "tests/support/process_probe.h"
#include "tests/support/wait.h"

namespace entente::bench {
namespace {

using integration::Consortium;
using nlohmann::json;

constexpr std::chrono::minutes kJobMax{20};

double cpu_of_all(Consortium& consortium, const std::vector<std::string>& sites) {
  double seconds = integration::cpu_seconds(consortium.pid("broker"));
  for (const auto& site : sites) {
    seconds += integration::cpu_seconds(consortium.pid(site));
  }
  return seconds;
}

// When each round was merged, and what all processes have used of the processors from the first of
// these moments to the last: to find that out costs as much as a small round does.
struct Laps {
  std::vector<double> unix_seconds;
  double cpu_before = 0;
  double cpu_after = 0;
};

Laps follow(Consortium& consortium, const std::string& job, int rounds,
            const std::vector<std::string>& sites) {
  auto watch = consortium.begin({"job", "watch", job, "--json"});
  Laps laps;
  std::size_t read = 0;
  integration::wait_until(
      fmt::format("{} has merged {} rounds", job, rounds),
      [&] {
        const auto& output = watch.output();
        for (auto end = output.find('\n', read); end != std::string::npos;
             end = output.find('\n', read)) {
          const auto event = json::parse(output.substr(read, end - read));
          read = end + 1;
          if (event["kind"] == "round_merged") {
            constexpr double kMillis = 1000;
            laps.unix_seconds.push_back(event["unix_ms"].get<double>() / kMillis);
            if (laps.unix_seconds.size() == 1) {
              laps.cpu_before = cpu_of_all(consortium, sites);
            }
          } else if (event["kind"] == "failed") {
            throw std::runtime_error(event["text"].get<std::string>());
          }
        }
        return laps.unix_seconds.size() == static_cast<std::size_t>(rounds);
      },
      kJobMax);
  laps.cpu_after = cpu_of_all(consortium, sites);
  return laps;
}

}  // namespace

json measure_rounds(const RoundSetup& setup) {
  Consortium consortium;
  const auto sites = add_echo_sites(consortium, setup.sites);
  MemoryWatch memory(consortium.pid("broker"));
  const auto laps = follow(consortium, consortium.submit(echo_job(setup)), setup.rounds, sites);
  std::vector<double> seconds;
  for (std::size_t i = 1; i < laps.unix_seconds.size(); ++i) {
    seconds.push_back(laps.unix_seconds[i] - laps.unix_seconds[i - 1]);
  }
  std::sort(seconds.begin(), seconds.end());
  const auto measured = static_cast<double>(seconds.size());
  return {{"sites", setup.sites},
          {"model_bytes", setup.model_bytes},
          {"rounds", seconds.size()},
          {"seconds", seconds[seconds.size() / 2]},
          {"seconds_worst", seconds.back()},
          {"cpu_seconds", (laps.cpu_after - laps.cpu_before) / measured},
          {"broker_anonymous_bytes", memory.largest()}};
}

}  // namespace entente::bench
