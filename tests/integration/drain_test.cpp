// A site leaves in good order, or falls silent: another one takes its place, and the job goes on.
#include <gmock/gmock.h>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kNotAuthorised = 4;

// Two places; east and north get them, south steps in.
class Drain : public testing::Test {
 protected:
  Drain() {
    for (const auto* site : {"east", "north", "south"}) {
      consortium_.add_site(site);
    }
    consortium_.wait_for_sites(3);
    consortium_.issue(Role::operator_, "olga");
    job_.rounds = 4;
    job_.sites_extra = "max = 2";
  }

  Outcome as_operator(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return consortium_.entente_as("olga", arguments);
  }

  // The sites whose updates are in that version of the job's model.
  std::vector<std::string> contributors(const std::string& job, int version) {
    std::vector<std::string> sites;
    const auto receipt = consortium_.ask({"model", "show", job + "@" + std::to_string(version)});
    for (const auto& one : receipt["contributions"]) {
      sites.push_back(one["site"]);
    }
    return sites;
  }

  std::string told(const std::string& job, const std::string& kind) {
    for (const auto& event : consortium_.events(job)) {
      if (event["kind"] == kind) {
        return event["text"];
      }
    }
    return {};
  }

  Consortium consortium_;
  JobFile job_;
};

TEST_F(Drain, LetsASiteFinishItsTaskAndAnotherTakeItsPlace) {
  consortium_.hold("north", "train-2");
  const auto id = consortium_.submit(job_);
  (void)consortium_.wait_until_held("north", "train-2");
  const auto draining = as_operator({"site", "drain", "north", "--reason", "a new disk"});
  ASSERT_EQ(draining.code, 0) << draining.err;
  EXPECT_EQ(json::parse(draining.out)["state"], "draining");

  // It stays so through a restart of the broker.
  consortium_.kill("broker");
  consortium_.start_broker();
  consortium_.wait_for_sites(3);
  consortium_.release("north", "train-2");
  const auto drained = as_operator({"site", "drain", "north", "--wait"});
  ASSERT_EQ(drained.code, 0) << drained.err;
  EXPECT_EQ(json::parse(drained.out)["state"], "drained");

  const auto ended = consortium_.wait_for_end(id);
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_THAT(contributors(id, 2), ElementsAre("east", "north")) << "it finishes what it has";
  EXPECT_THAT(contributors(id, 4), ElementsAre("east", "south"));
  EXPECT_THAT(told(id, "site_draining"), HasSubstr("a new disk"));

  const auto resumed = as_operator({"site", "resume", "north"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  const auto next = consortium_.complete(job_);
  EXPECT_THAT(contributors(next, 4), ElementsAre("east", "north"));
}

TEST_F(Drain, IsForOperatorsOnly) {
  const auto refused = consortium_.entente({"site", "drain", "north"});
  EXPECT_EQ(refused.code, kNotAuthorised) << refused.out << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("operator"));
}

TEST_F(Drain, OfASiteThatNobodyKnowsIsRefused) {
  const auto refused = consortium_.entente_as("olga", {"site", "drain", "nroth"});
  EXPECT_EQ(refused.code, 1) << refused.out;
  EXPECT_THAT(refused.err, HasSubstr("nroth"));
}

TEST_F(Drain, IsNotNeededForASiteThatDies) {
  job_.extra = "stall_window = \"3s\"";
  consortium_.hold("north", "train-2");
  const auto id = consortium_.submit(job_);
  (void)consortium_.wait_until_held("north", "train-2");
  consortium_.kill("north");
  const auto ended = consortium_.wait_for_end(id);
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_THAT(contributors(id, 2), ElementsAre("east", "south"));
  EXPECT_THAT(told(id, "site_replaced"), HasSubstr("north"));
}

}  // namespace
}  // namespace entente::integration
