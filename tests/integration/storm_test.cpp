// Processes are killed in no particular order and at no particular moment, while several jobs run:
// in the end every job has completed, with the models of calm weather.
//
// The victims follow from a seed, the moments do not. To look for trouble longer:
//   ENTENTE_STORM_SEED=7 ENTENTE_STORM_KILLS=100 integration_test --gtest_filter='Storm.*'
#include <gmock/gmock.h>

#include <cstdlib>
#include <random>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

unsigned number_from(const char* variable, unsigned otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

constexpr std::size_t kCompleted = 1000;

// Updates accepted so far, or kCompleted.
std::size_t progress(Consortium& consortium, const std::string& job) {
  const auto shown = consortium.ask({"job", "show", job});
  std::size_t updates = 0;
  for (const auto& site : shown["sites"]) {
    updates += site["updates_accepted"].get<std::size_t>();
  }
  return shown["state"] == "completed" ? kCompleted : updates;
}

TEST(Storm, OfKillsChangesNoModel) {
  const auto seed = number_from("ENTENTE_STORM_SEED", 1);
  const auto kills = number_from("ENTENTE_STORM_KILLS", 3);
  std::mt19937 random(seed);
  const std::vector<std::string> processes{"broker", "north", "south", "east"};
  Consortium consortium;
  SiteSetup two_slots;
  two_slots.slots = 2;
  for (const auto* site : {"north", "south", "east"}) {
    consortium.add_site(site, two_slots);
  }
  consortium.wait_for_sites(3);
  JobFile file;
  file.sites_min = 3;
  file.rounds = 5;
  const auto calm = consortium.model_hash(consortium.complete(file));

  // Two jobs of the same content at a time; the next pair comes when one of them has ended.
  std::vector<std::string> jobs;
  for (unsigned kill = 0; kill < kills; ++kill) {
    if (jobs.empty() || progress(consortium, jobs.back()) == kCompleted) {
      jobs.push_back(consortium.submit(file));
      jobs.push_back(consortium.submit(file));
    }
    const auto& victim = processes[random() % processes.size()];
    SCOPED_TRACE("seed " + std::to_string(seed) + ", kill " + std::to_string(kill) + ": " + victim);
    const auto before = progress(consortium, jobs.back());
    consortium.kill(victim);
    consortium.start(victim);
    wait_until("the job moves", [&] {
      const auto now = progress(consortium, jobs.back());
      return now > before || now == kCompleted;
    });
  }
  for (const auto& job : jobs) {
    const auto ended = consortium.wait_for_end(job);
    EXPECT_EQ(ended["state"], "completed") << ended.dump(2);
    EXPECT_EQ(consortium.model_hash(job), calm) << job << ", seed " << seed;
  }
}

}  // namespace
}  // namespace entente::integration
