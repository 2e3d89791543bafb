// Several agents of one machine that share a pool of trainers.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;

class TrainerPoolOfAMachine : public testing::Test {
 protected:
  void add_sites(const std::vector<std::string>& sites, SiteSetup setup, int running, int warm) {
    setup.keys = "trainer_pool = { folder = \"" + (consortium_.folder() / "trainers").string() +
                 "\", running = " + std::to_string(running) + ", warm = " + std::to_string(warm) +
                 " }\n";
    for (const auto& site : sites) {
      consortium_.add_site(site, setup);
    }
    consortium_.wait_for_sites(sites.size());
  }

  // How many trainers have computed at the same time at most, as quick-trainer has noted it.
  int most_at_once(const std::vector<std::string>& sites) {
    std::multimap<std::int64_t, int> changes;  // by time: one more, one less
    for (const auto& site : sites) {
      std::ifstream times(consortium_.site_folder(site) / "times");
      std::string word;
      for (std::int64_t at = 0; times >> at >> word;) {
        changes.emplace(at, word == "begin" ? 1 : -1);
      }
    }
    EXPECT_GE(changes.size(), 2 * sites.size()) << "not every site has noted its times";
    int running = 0;
    int most = 0;
    for (const auto& [time, change] : changes) {
      running += change;
      most = std::max(most, running);
    }
    return most;
  }

  Consortium consortium_;
};

TEST_F(TrainerPoolOfAMachine, ComputesInItsPlacesAndNoMore) {
  const std::vector<std::string> sites{"a", "b", "c", "d", "e"};
  SiteSetup slow;
  slow.trainer = "quick-trainer";
  add_sites(sites, slow, 2, 1);
  for (const auto& site : sites) {
    write_text(consortium_.site_folder(site) / "pace", "10");  // ms for each of 30 steps
  }
  JobFile job;
  job.rounds = 3;
  job.sites_min = static_cast<int>(sites.size());
  (void)consortium_.complete(job);
  EXPECT_EQ(most_at_once(sites), 2);
}

TEST_F(TrainerPoolOfAMachine, GetsThePlaceOfAKilledAgentBack) {
  const std::vector<std::string> sites{"north", "south"};
  add_sites(sites, {}, 1, 0);
  for (const auto& site : sites) {
    consortium_.hold(site, "train-1");
  }
  const auto job = consortium_.submit({});
  const auto held = [&](const std::string& site) {
    return fs::exists(consortium_.site_folder(site) / "hold" / "train-1.held");
  };
  wait_until("one of them trains", [&] { return held("north") || held("south"); });
  EXPECT_NE(held("north"), held("south")) << "there is one place";
  const std::string first = held("north") ? "north" : "south";
  const std::string second = held("north") ? "south" : "north";
  consortium_.kill(first);
  (void)consortium_.wait_until_held(second, "train-1");
  for (const auto& site : sites) {
    consortium_.release(site, "train-1");
  }
  consortium_.start_agent(first);
  EXPECT_EQ(consortium_.wait_for_end(job)["state"], "completed");
}

}  // namespace
}  // namespace entente::integration
