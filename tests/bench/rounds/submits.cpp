#include "tests/bench/rounds/submits.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "common/config/job_file.h"
#include "coordinator/broker_client.h"
#include "tests/bench/rounds/stage.h"

namespace entente::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

nlohmann::json measure_submits(const SubmitSetup& setup) {
  integration::Consortium consortium;
  (void)add_echo_sites(consortium, 1);
  // One that waits for a second site for ever.
  const auto spec = parse_job_file(echo_job({2, 0, 1}).toml(), "waiting", {}).value();
  std::vector<cli::BrokerClient> clients;
  for (int i = 0; i < setup.clients; ++i) {
    clients.push_back(cli::BrokerClient::connect({false, consortium.kit("alice")}).value());
  }
  const int each = setup.jobs / setup.clients;
  std::vector<std::vector<double>> taken(clients.size());
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < clients.size(); ++i) {
      threads.emplace_back([&spec, each, &client = clients[i], &seconds = taken[i]] {
        for (int job = 0; job < each; ++job) {
          const auto start = Clock::now();
          (void)client.ask<JobSummary>(msg::SubmitJob{spec, {}}).value();
          seconds.push_back(seconds_since(start));
        }
      });
    }
  }
  const auto whole = seconds_since(begin);
  std::vector<double> all;
  for (const auto& some : taken) {
    all.insert(all.end(), some.begin(), some.end());
  }
  std::sort(all.begin(), all.end());
  return {{"clients", setup.clients},
          {"jobs", all.size()},
          {"per_second", static_cast<double>(all.size()) / whole},
          {"median_seconds", all[all.size() / 2]},
          {"p99_seconds", all[all.size() * 99 / 100]}};
}

}  // namespace entente::bench
