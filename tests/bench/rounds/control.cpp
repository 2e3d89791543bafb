#include "tests/bench/rounds/control.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/config/job_file.h"
#include "coordinator/broker_client.h"
#include "tests/bench/rounds/stage.h"
#include "tests/support/wait.h"

namespace entente::bench {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr int kRequests = 300;

template <class Ask>
json percentiles(Ask ask) {
  std::vector<double> seconds;
  for (int i = 0; i < kRequests; ++i) {
    const auto begin = Clock::now();
    ask();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::sort(seconds.begin(), seconds.end());
  constexpr int kPercent = 100;
  return {{"median", seconds[kRequests / 2]}, {"p99", seconds[kRequests * 99 / kPercent]}};
}

}  // namespace

json measure_control(RoundSetup setup) {
  constexpr int kWithoutEnd = 10'000;
  setup.rounds = kWithoutEnd;
  integration::Consortium consortium;
  const auto sites = add_echo_sites(consortium, setup.sites);
  const auto busy = consortium.submit(echo_job(setup));
  integration::wait_until("the job has its first model", [&] {
    return !consortium.ask({"model", "list"}).empty();
  });
  // One that waits for a second site of its kind forever.
  auto waiting = echo_job({setup.sites + 1, 0, 1});
  waiting.name = "waiting";
  const auto spec = parse_job_file(waiting.toml(), "waiting", {}).value();
  auto client = cli::BrokerClient::connect({false, consortium.kit("alice")}).value();
  const auto read =
      percentiles([&] { (void)client.ask<std::vector<SiteView>>(msg::ListSites{}).value(); });
  const auto committed = percentiles([&] {
    (void)client.ask<JobSummary>(msg::SubmitJob{spec, {}}).value();
  });
  return {{"sites", setup.sites},
          {"model_bytes", setup.model_bytes},
          {"requests", kRequests},
          {"read_seconds", read},
          {"commit_seconds", committed}};
}

}  // namespace entente::bench
