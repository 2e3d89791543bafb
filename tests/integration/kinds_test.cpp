// Kinds of jobs, and evaluations at all sites: what comes of several sites' counts is what one
// place would have found that had all of their examples.
#include <gmock/gmock.h>

#include <map>

#include "common/domain/measures.h"
#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> kSites{"east", "north", "south"};

class Kinds : public testing::Test {
 protected:
  void add_sites(const std::map<std::string, std::string>& policies = {}) {
    for (const auto& site : kSites) {
      SiteSetup setup;
      setup.policy =
          "coordinators = [\"alice\"]\ndatasets = [\"*\"]\n"
          "kinds = [\"train\", \"evaluate\", \"cyclic\"]\n";
      if (const auto more = policies.find(site); more != policies.end()) {
        setup.policy += more->second;
      }
      consortium_.add_site(site, setup);
    }
    consortium_.wait_for_sites(kSites.size());
  }

  static JobFile three_sites() {
    JobFile file;
    file.sites_min = 3;
    return file;
  }

  // What the sites' own ledgers say has left them as counts of that evaluation, added up.
  Sums pooled_sums(const std::string& job, int round) {
    Sums total;
    for (const auto& site : kSites) {
      for (const auto& row : json::parse(consortium_.at_site(site, {"sent", "--json"}).out)) {
        if (row["job"] == job && row["kind"] == "evaluate" && row["round"] == round) {
          EXPECT_TRUE(add(total, row["sums"].get<Sums>())) << row.dump();
        }
      }
    }
    return total;
  }

  static void expect_pooled(const json& round, const Sums& sums) {
    EXPECT_EQ(round["evaluated_at"], 3);
    EXPECT_EQ(round["evaluation_examples"], 3 * kTestExamples);
    EXPECT_EQ(sums.at("count").at(0), 3.0 * kTestExamples);
    EXPECT_EQ(round["evaluate_metrics"].get<Metrics>(), metrics_from(sums));
  }

  // The job of `kind` that judges a model, without a [train] table.
  std::string submit_evaluation(const std::string& model) {
    const auto path = consortium_.folder() / "judge.toml";
    write_text(path, "name = \"judge\"\nkind = \"evaluate\"\ninit = \"model:" + model + R"("
[sites]
min = 3
)" + JobFile().model_table() +
                         R"([evaluate]
dataset = "stripes-test"
)");
    return consortium_.ask({"job", "submit", path.string()})["job"];
  }

  Consortium consortium_;
};

TEST_F(Kinds, ATrainingJobIsEvaluatedOnTheExamplesOfAllSitesTogether) {
  add_sites();
  const auto id = consortium_.complete(three_sites());
  const auto job = consortium_.ask({"job", "show", id});
  for (int round = 1; round <= 2; ++round) {
    expect_pooled(job["rounds_done"][round], pooled_sums(id, round));
  }
  double right = 0;
  for (const auto& site : job["sites"]) {
    EXPECT_EQ(site["evaluated_round"], 2);
    right += site["evaluate_metrics"]["accuracy"].get<double>() * kTestExamples;
  }
  const double accuracy = job["rounds_done"][2]["evaluate_metrics"]["accuracy"];
  EXPECT_NEAR(accuracy, right / (3 * kTestExamples), 1e-12);
  EXPECT_THAT(consortium_.entente({"job", "show", id}).out, HasSubstr("(3 sites)"));
}

TEST_F(Kinds, ASiteWithTooFewExamplesTellsNothingOfThem) {
  add_sites({{"south", "evaluation_examples_min = 1000\n"}});
  const auto id = consortium_.complete(three_sites());
  const auto job = consortium_.ask({"job", "show", id});
  EXPECT_EQ(job["rounds_done"][2]["evaluated_at"], 2);
  const auto ledger = consortium_.at_site("south", {"sent", "--json"}).out;
  EXPECT_THAT(ledger, testing::Not(HasSubstr("\"evaluate\"")));
  EXPECT_THAT(
      consortium_.entente({"job", "logs", id}).out,
      HasSubstr("not counted  south: policy clause \"evaluation_examples_min\" asks for 1000 "
                "examples in an evaluation, this site has 120"));
}

TEST_F(Kinds, AnEvaluateJobJudgesAModelAtAllSitesAndMakesNone) {
  add_sites();
  const auto trained = consortium_.complete(three_sites());
  const auto judge = submit_evaluation(trained + "@last");
  const auto job = consortium_.wait_for_end(judge);
  ASSERT_EQ(job["state"], "completed") << job.dump(2);
  EXPECT_EQ(job["kind"], "evaluate");
  expect_pooled(job["rounds_done"][1], pooled_sums(judge, 1));
  EXPECT_EQ(job["rounds_done"][1]["evaluate_metrics"],
            consortium_.ask({"job", "show", trained})["rounds_done"][2]["evaluate_metrics"])
      << "the same model on the same examples";
  EXPECT_EQ(job["rounds_done"][1]["model"], nullptr);
  EXPECT_EQ(job["sites"][0]["bytes_out"], 0);
  // Its file, as the broker gives it back, is such a job again.
  const auto again = consortium_.ask({"job", "clone", judge});
  EXPECT_EQ(consortium_.wait_for_end(again["job"])["state"], "completed");
  const auto check = [&] {
    EXPECT_TRUE(consortium_.stop("broker").success());
    return consortium_.run("entente-broker",
                           {"check", (consortium_.folder() / "broker/data").string()});
  }();
  EXPECT_EQ(check.code, 0) << check.out;
}

TEST_F(Kinds, AKindThatASiteDoesNotListIsDeclinedThere) {
  consortium_.add_site("north");
  consortium_.wait_for_sites(1);
  JobFile file;
  file.sites_min = 1;
  file.extra = "kind = \"cyclic\"";
  const auto job = consortium_.wait_for_end(consortium_.submit(file));
  EXPECT_EQ(job["state"], "failed");
  EXPECT_THAT(std::string(job["reason"]),
              HasSubstr("policy clause \"kinds\" does not list \"cyclic\""));
}

TEST_F(Kinds, InACyclicJobTheModelGoesFromSiteToSite) {
  add_sites();
  auto file = three_sites();
  file.rounds = 4;
  file.extra = "kind = \"cyclic\"";
  const auto id = consortium_.complete(file);
  std::vector<std::string> path;
  for (int round = 1; round <= 4; ++round) {
    const auto receipt = consortium_.ask({"model", "show", id + "@" + std::to_string(round)});
    ASSERT_EQ(receipt["contributions"].size(), 1U);
    EXPECT_EQ(receipt["contributions"][0]["weight"], 1);
    path.push_back(receipt["contributions"][0]["site"]);
  }
  EXPECT_THAT(path, ElementsAre("east", "north", "south", "east"));
  const auto job = consortium_.ask({"job", "show", id});
  EXPECT_GT(job["rounds_done"][4]["evaluate_metrics"]["accuracy"], 0.9);
}

TEST_F(Kinds, AnEvaluationGoesOnWhereItWasWhenTheBrokerIsKilledBetweenTwoAnswers) {
  add_sites();
  consortium_.hold("south", "evaluate");
  auto file = three_sites();
  file.rounds = 1;
  const auto id = consortium_.submit(file);
  (void)consortium_.wait_until_held("south", "evaluate");
  wait_until("two sites to have answered", [&] {
    return count(consortium_.entente({"job", "logs", id}).out, "evaluated round 1 on 120") == 2;
  });
  consortium_.kill("broker");
  consortium_.start_broker();
  consortium_.wait_for_sites(3);
  consortium_.release("south", "evaluate");
  const auto job = consortium_.wait_for_end(id);
  ASSERT_EQ(job["state"], "completed") << job.dump(2);
  expect_pooled(job["rounds_done"][1], pooled_sums(id, 1));
}

}  // namespace
}  // namespace entente::integration
