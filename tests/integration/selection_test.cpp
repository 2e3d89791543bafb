// Jobs that choose: a sample of their sites in each round, steps by each site's speed, and when to
// stop.
#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;

class ChoosingJob : public testing::Test {
 protected:
  void add_sites(const std::vector<std::string>& sites) {
    SiteSetup setup;
    setup.trainer = "quick-trainer";
    for (const auto& site : sites) {
      consortium_.add_site(site, setup);
    }
    consortium_.wait_for_sites(sites.size());
  }
  std::string submit(const JobFile& file, const std::vector<std::string>& settings) {
    std::vector<std::string> arguments{"job", "submit", consortium_.write_job(file).string()};
    for (const auto& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    return consortium_.ask(arguments)["job"];
  }
  json receipt(const std::string& job, int round) {
    return consortium_.ask({"model", "show", job + "@" + std::to_string(round)});
  }
  // What each site has done for that version of the model.
  std::map<std::string, int> steps(const std::string& job, int round) {
    const auto model = receipt(job, round);
    std::map<std::string, int> steps;
    for (const auto& part : model["contributions"]) {
      steps[part["site"]] = part["steps"];
    }
    return steps;
  }

  Consortium consortium_;
};

TEST_F(ChoosingJob, TrainsAtTwoOfItsSitesInEachRoundAndAtTheSameOnesWhenItIsSubmittedAgain) {
  add_sites({"east", "north", "south", "west"});
  JobFile file;
  file.rounds = 6;
  file.sites_min = 4;
  file.extra = "seed = 7";
  const std::vector<std::string> sampled{"sites.sample.count=2", "sites.sample.separation=1"};
  const auto first = submit(file, sampled);
  ASSERT_EQ(consortium_.wait_for_end(first)["state"], "completed");
  const auto again = submit(file, sampled);
  ASSERT_EQ(consortium_.wait_for_end(again)["state"], "completed");
  EXPECT_EQ(consortium_.model_hash(again), consortium_.model_hash(first));
  std::map<std::string, int> before;
  for (int round = 1; round <= 6; ++round) {
    const auto drawn = steps(first, round);
    EXPECT_THAT(drawn, SizeIs(2));
    EXPECT_EQ(steps(again, round), drawn);
    for (const auto& [site, unused] : drawn) {
      EXPECT_FALSE(before.contains(site)) << site << " rests after round " << round - 1;
    }
    before = drawn;
  }
}

TEST_F(ChoosingJob, NamesTheSitesOfTheRoundAndThoseThatSitOut) {
  for (const auto* site : {"east", "north"}) {
    consortium_.add_site(site);
    consortium_.hold(site, "train-1");
  }
  consortium_.wait_for_sites(2);
  JobFile file;
  file.extra = "seed = 7";
  const auto job = submit(file, {"sites.sample.count=1"});
  std::string drawn;
  wait_until("a site to be drawn", [&] {
    const auto shown = consortium_.ask({"job", "show", job});
    for (const auto& site : shown["sites"]) {
      if (site["task"].is_object() && site["task"]["kind"] == "train") {
        drawn = site["site"].get<std::string>();
      }
    }
    return !drawn.empty();
  });
  (void)consortium_.wait_until_held(drawn, "train-1");
  const std::string other = drawn == "east" ? "north" : "east";
  EXPECT_THAT(consortium_.entente({"job", "show", job}).out, HasSubstr("sits out"));
  const auto explained = consortium_.entente({"job", "explain", job}).out;
  EXPECT_THAT(explained, HasSubstr("runs at east and north; round 1 has drawn " + drawn + "\n"));
  EXPECT_THAT(explained, HasSubstr(other + "  it was not drawn for round 1"));
  consortium_.release("east", "train-1");
  consortium_.release("north", "train-1");
  EXPECT_EQ(consortium_.wait_for_end(job)["state"], "completed");
}

// Nominal are 30 steps. The slow site makes three in a second, the others sixteen.
TEST_F(ChoosingJob, GivesASlowSiteFewerStepsThanTheFastOnes) {
  add_sites({"east", "north", "slow"});
  const std::map<std::string, int> pace_ms{{"east", 60}, {"north", 60}, {"slow", 300}};
  for (const auto& [site, pace] : pace_ms) {
    std::ofstream(consortium_.site_folder(site) / "pace") << pace;
  }
  JobFile file;
  file.rounds = 3;
  file.sites_min = 3;
  file.evaluates = false;
  const auto job = submit(file, {"train.local_steps=balanced"});
  ASSERT_EQ(consortium_.wait_for_end(job)["state"], "completed");
  EXPECT_EQ(steps(job, 1), (std::map<std::string, int>{{"east", 30}, {"north", 30}, {"slow", 30}}));
  for (const int round : {2, 3}) {
    const auto balanced = steps(job, round);
    EXPECT_LT(balanced.at("slow"), 20) << round;
    EXPECT_GE(balanced.at("slow"), 30 / 4) << round;
    EXPECT_GT(balanced.at("east"), 30) << round;
    EXPECT_GT(balanced.at("north"), 30) << round;
  }
}

// The loss of quick-trainer is 1 for ever.
TEST_F(ChoosingJob, StopsWhenItsModelHasCeasedToImproveAndKeepsTheBestAndTheLast) {
  add_sites({"north"});
  JobFile file;
  file.rounds = 50;
  file.sites_min = 1;
  file.extra = "keep = \"best+last\"";
  const auto job = submit(file, {"stop.metric=loss", "stop.patience=2"});
  const auto ended = consortium_.wait_for_end(job);
  EXPECT_EQ(ended["state"], "completed");
  const auto reason = "stopped early: in 2 evaluations loss has not fallen below the 1 of round 1";
  EXPECT_EQ(ended["reason"], reason);
  EXPECT_THAT(std::string(consortium_.events(job).back()["text"]), HasSubstr(reason));
  EXPECT_THAT(consortium_.entente({"job", "show", job}).out, HasSubstr(reason));
  const int last = ended["round"];
  EXPECT_GE(last, 3);
  EXPECT_LT(last, 50);
  const auto pull = [&](const std::string& model) {
    return consortium_.entente(
        {"model", "pull", model, "-o", (consortium_.folder() / "pulled").string()});
  };
  EXPECT_EQ(pull(job).code, 0);
  EXPECT_THAT(pull(job + "@best").out, HasSubstr(job + "@1 -> "));
  const auto removed = pull(job + "@2");
  EXPECT_EQ(removed.code, 1);
  EXPECT_THAT(removed.err, HasSubstr(job + "@2 is no longer kept"));
  EXPECT_EQ(receipt(job, 2)["removed"], true);

  EXPECT_TRUE(consortium_.stop("broker").success());
  const auto check =
      consortium_.run("entente-broker", {"check", (consortium_.folder() / "broker/data").string()});
  EXPECT_EQ(check.code, 0) << check.out;
  consortium_.start_broker();
  EXPECT_EQ(pull(job + "@best").code, 0);
}

}  // namespace
}  // namespace entente::integration
