// What the people of a site can do while its agent runs: approve, deny, pause, resume, look, and
// change agent.toml.
#include <signal.h>

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kManual =
    "coordinators = [\"alice\"]\ndatasets = [\"*\"]\nkinds = [\"train\"]\napprove = \"manual\"\n";
constexpr int kUnreachable = 3;

class SitePeople : public testing::Test {
 protected:
  SitePeople() { job_.sites_min = 1; }

  void add_site(const std::string& policy) {
    SiteSetup setup;
    setup.policy = policy;
    consortium_.add_site("south", setup);
    consortium_.wait_for_sites(1);
  }

  json at_site(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const auto outcome = consortium_.at_site("south", arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return json::parse(outcome.out, nullptr, false);
  }
  void wait_until_pending(const std::string& job) {
    wait_until("the job to wait for approval", [&] {
      const auto jobs = at_site({"pending"})["jobs"];
      return !jobs.empty() && jobs[0]["job"] == job;
    });
  }
  // As alice sees it.
  std::string word_of_south(const std::string& job) {
    const auto sites = consortium_.ask({"job", "show", job})["sites"];
    return sites.empty() ? "" : sites[0]["reason"].get<std::string>();
  }
  json south() { return consortium_.ask({"site", "show", "south"}); }

  Consortium consortium_;
  JobFile job_;
};

TEST_F(SitePeople, ApproveAJobThatWaitsForThem) {
  add_site(kManual);
  const auto id = consortium_.submit(job_);
  wait_until_pending(id);
  EXPECT_THAT(consortium_.at_site("south", {"pending"}).out, HasSubstr(id));
  const auto whole = consortium_.at_site("south", {"pending", id}).out;
  EXPECT_THAT(whole, HasSubstr("leave the site in a round, as float32"));
  EXPECT_THAT(whole, HasSubstr("[[model.layers]]"));
  EXPECT_EQ(consortium_.at_site("south", {"pending", "nope-1"}).code, 1);
  wait_until("alice to hear of it", [&] {
    return word_of_south(id) ==
           "policy clause \"approve\" (manual): waits for approval at the site";
  });
  const auto approved = at_site({"approve", id, "--reason", "ethics vote 17", "--for", "2h"});
  EXPECT_EQ(approved["state"], "approved");
  EXPECT_EQ(approved["spec_digest"], consortium_.ask({"job", "show", id})["spec_digest"]);
  const auto ended = consortium_.wait_for_end(id);
  EXPECT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_THAT(consortium_.log("south"), HasSubstr("ethics vote 17"));
  bool was_told = false;
  for (const auto& event : consortium_.events(id)) {
    was_told = was_told || (event["kind"] == "site_waits" && event["site"] == "south");
  }
  EXPECT_TRUE(was_told) << "a watcher sees why the job does not start";
}

TEST_F(SitePeople, ApproveBeforeARestartOfTheAgentAndNeedNotRepeatIt) {
  add_site(kManual);
  consortium_.hold("south", "train-1");
  const auto id = consortium_.submit(job_);
  wait_until_pending(id);
  at_site({"approve", id});
  (void)consortium_.wait_until_held("south", "train-1");
  consortium_.kill("south");
  consortium_.start_agent("south");
  consortium_.release("south", "train-1");
  EXPECT_EQ(consortium_.wait_for_end(id)["state"], "completed");
}

TEST_F(SitePeople, DenyAJobAndTheCoordinatorReadsWhy) {
  add_site(kManual);
  const auto id = consortium_.submit(job_);
  wait_until_pending(id);
  EXPECT_EQ(at_site({"deny", id, "--reason", "no vote for this study"})["state"], "denied");
  const auto ended = consortium_.wait_for_end(id);
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(ended["reason"].get<std::string>(),
              HasSubstr("south: denied by the site's people: no vote for this study"));
  EXPECT_TRUE(at_site({"pending"})["jobs"].empty());
}

TEST_F(SitePeople, TakeBackWhatTheyHaveApproved) {
  add_site(kManual);
  consortium_.hold("south", "train-1");
  const auto id = consortium_.submit(job_);
  wait_until_pending(id);
  at_site({"approve", id});
  const auto trainer = consortium_.wait_until_held("south", "train-1");
  EXPECT_EQ(at_site({"deny", id, "--reason", "consent withdrawn"})["state"], "denied");
  wait_until("the trainer to be dead", [&] { return ::kill(trainer, 0) != 0; });
  const auto ended = consortium_.wait_for_end(id);
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(ended["reason"].get<std::string>(), HasSubstr("consent withdrawn"));
  EXPECT_THAT(consortium_.entente({"audit", "show", "--job", id}).out, HasSubstr("job.withdraw"));
}

TEST_F(SitePeople, CannotApproveWhatDoesNotWait) {
  add_site(kManual);
  const auto refused = consortium_.at_site("south", {"approve", "lung-9"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("no job \"lung-9\" waits for approval"));
  EXPECT_EQ(consortium_.at_site("south", {"deny", "lung-9"}).code, 2) << "a denial has a reason";
  EXPECT_EQ(consortium_.at_site("south", {"approve", "lung-9", "--for", "soon"}).code, 2);
}

TEST_F(SitePeople, PauseAllWorkAndGoOnLater) {
  add_site(SiteSetup{}.policy);
  consortium_.hold("south", "train-1");
  const auto id = consortium_.submit(job_);
  const auto trainer = consortium_.wait_until_held("south", "train-1");
  EXPECT_EQ(at_site({"pause", "--reason", "a strange job"})["state"], "paused");
  wait_until("the trainer to be dead", [&] { return ::kill(trainer, 0) != 0; });
  wait_until("alice to see it", [&] { return south()["paused"] == true; });
  EXPECT_EQ(south()["pause_reason"], "a strange job");
  EXPECT_EQ(at_site({"status"})["running_tasks"], 0);

  consortium_.kill("south");
  consortium_.start_agent("south");
  wait_until("the agent to be back", [&] { return south()["connected"] == true; });
  wait_until("it to answer", [&] { return consortium_.at_site("south", {"status"}).code == 0; });
  const auto status = at_site({"status"});
  EXPECT_TRUE(status["paused"]) << "over a restart";
  EXPECT_EQ(status["pause"]["reason"], "a strange job");

  consortium_.release("south", "train-1");
  EXPECT_EQ(at_site({"resume"})["state"], "at work");
  EXPECT_EQ(consortium_.wait_for_end(id)["state"], "completed");
}

TEST_F(SitePeople, PauseWithTheBrokerAway) {
  add_site(SiteSetup{}.policy);
  consortium_.hold("south", "train-1");
  const auto id = consortium_.submit(job_);
  const auto trainer = consortium_.wait_until_held("south", "train-1");
  consortium_.kill("broker");
  // Somebody is in the middle of changing agent.toml: the way to stop is open all the same.
  std::ofstream(consortium_.site_folder("south") / "agent.toml", std::ios::app) << "\noops = 1\n";
  at_site({"pause"});
  wait_until("the trainer to be dead", [&] { return ::kill(trainer, 0) != 0; });
  consortium_.release("south", "train-1");
  consortium_.start_broker();
  at_site({"resume"});
  EXPECT_EQ(consortium_.wait_for_end(id)["state"], "completed");
}

TEST_F(SitePeople, ReachNobodyWhenNoAgentRuns) {
  consortium_.make_site("south");
  const auto refused = consortium_.at_site("south", {"status"});
  EXPECT_EQ(refused.code, kUnreachable);
  EXPECT_THAT(refused.err, HasSubstr("no agent answers"));
}

TEST_F(SitePeople, ChangeAgentTomlAndASignalTellsTheConsortium) {
  add_site(SiteSetup{}.policy);
  SiteSetup changed;
  changed.about =
      "jurisdiction = \"DE\"\nlabels = { network = \"university\" }\nmemory = \"8GB\"\n";
  changed.policy = "coordinators = [\"bob\"]\ndatasets = [\"*\"]\nkinds = [\"train\"]\n";
  consortium_.describe_site("south", changed);
  ::kill(consortium_.pid("south"), SIGHUP);
  wait_until("the new advert", [&] { return south()["jurisdiction"] == "DE"; });
  const auto site = south();
  EXPECT_EQ(site["labels"]["network"], "university");
  EXPECT_EQ(site["memory_bytes"], 8'000'000'000);
  EXPECT_EQ(site["policy"], "coordinators (1), datasets (any), kinds (1)");
  EXPECT_THAT(consortium_.entente({"site", "show", "south"}).out,
              HasSubstr("network = university"));
  const auto ended = consortium_.wait_for_end(consortium_.submit(job_));
  EXPECT_THAT(ended["reason"].get<std::string>(), HasSubstr("does not list \"alice\""));

  changed.about = "jurisdiction = \"Germany\"\n";
  consortium_.describe_site("south", changed);
  ::kill(consortium_.pid("south"), SIGHUP);
  wait_until("the warning",
             [&] { return consortium_.log("south").find("config_kept") != std::string::npos; });
  EXPECT_EQ(south()["jurisdiction"], "DE") << "a file with a mistake changes nothing";
}

}  // namespace
}  // namespace entente::integration
