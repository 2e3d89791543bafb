// What a coordinator is told when it submits a job.
#include <gmock/gmock.h>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;

TEST(Submit, NumbersTheJobsOfAName) {
  Scenario it;
  it.connect("north");
  EXPECT_EQ(it.submit(small_spec()).str(), "lung-1");
  EXPECT_EQ(it.submit(small_spec()).str(), "lung-2");
  auto other = small_spec();
  other.name = "lung-1";
  EXPECT_EQ(it.submit(other).str(), "lung-1-1");
  EXPECT_EQ(it.submit(small_spec()).str(), "lung-3");
}

TEST(Submit, CountsOnBeyondNine) {
  Scenario it;
  it.connect("north");
  for (int number = 1; number <= 11; ++number) {
    EXPECT_EQ(it.submit(small_spec()).str(), "lung-" + std::to_string(number));
  }
}

TEST(Submit, NumbersGoOnAfterARestart) {
  Scenario it;
  it.connect("north");
  it.submit(small_spec());
  it.restart();
  EXPECT_EQ(it.submit(small_spec()).str(), "lung-2");
}

TEST(Submit, SavesAndAuditsTheJobBeforeItAnswers) {
  Scenario it;
  it.connect("north");
  const auto id = it.submit(small_spec());
  ASSERT_NE(it.store.job(id), nullptr);
  EXPECT_EQ(it.store.job(id)->state, JobState::matching);
  EXPECT_EQ(it.store.job(id)->coordinator, "alice");
  EXPECT_TRUE(it.store.audited("job.submit", "coordinator/alice"));
}

TEST(Submit, AnUnknownDatasetNamesTheNearest) {
  Scenario it;
  it.connect("north");
  auto spec = small_spec();
  spec.train.dataset = "scan";
  const auto refusal = it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.code, "dataset_unknown");
  EXPECT_THAT(refusal.message, HasSubstr("\"scan\" (train.dataset)"));
  EXPECT_THAT(refusal.hint, HasSubstr("did you mean \"scans\"?"));
  EXPECT_EQ(it.store.job(JobId::literal("lung-1")), nullptr);
}

TEST(Submit, AnUnknownEvaluationDatasetIsRefused) {
  Scenario it;
  it.connect("north");
  auto spec = small_spec();
  spec.evaluate = EvaluateSpec{"reference", 1};
  const auto refusal = it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.code, "dataset_unknown");
  EXPECT_THAT(refusal.message, HasSubstr("evaluate.dataset"));
}

TEST(Submit, AnUnknownSiteNamesTheNearest) {
  Scenario it;
  it.connect("north");
  auto spec = small_spec();
  spec.sites.mandatory = {SiteId::literal("nort")};
  const auto refusal = it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.code, "site_unknown");
  EXPECT_THAT(refusal.hint, HasSubstr("did you mean \"north\"?"));
}

TEST(Submit, AMisfitIsExplainedForEverySite) {
  Scenario it;
  it.connect("east", advert("scans", {1, 28, 28}));
  it.connect("north", advert("scans", {4}, 10));
  it.connect("south", advert("slides"));
  const auto refusal =
      it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{small_spec(), {}});
  EXPECT_EQ(refusal.code, "no_site_fits");
  EXPECT_THAT(refusal.message, HasSubstr("east: needs examples of shape [4], has [1, 28, 28]"));
  EXPECT_THAT(refusal.message,
              HasSubstr("north: needs at most 2 classes (the model's outputs), has 10"));
  EXPECT_THAT(refusal.message, HasSubstr("south: has no dataset \"scans\""));
}

TEST(Submit, TheModelHasAnOutputForEachNumberToPredict) {
  Scenario it;
  auto stays = advert("scans", {4}, 0);
  stays.datasets[0].targets = 1;
  it.connect("east", stays);
  auto spec = small_spec();
  spec.train.loss = Loss::mse;
  const auto refusal = it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.code, "no_site_fits");
  EXPECT_THAT(refusal.message,
              HasSubstr("needs 2 numbers to predict (the model's outputs), has 1"));
}

TEST(Submit, TheLossLearnsWhatTheDatasetHas) {
  Scenario it;
  auto stays = advert("scans", {4}, 0);
  stays.datasets[0].targets = 2;
  it.connect("east", stays);
  const auto refusal =
      it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{small_spec(), {}});
  EXPECT_THAT(refusal.message,
              HasSubstr("has numbers for scans, which the loss cross_entropy does not learn"));
}

TEST(Submit, AModelWithOneScoreTellsTwoClassesApartByHinge) {
  Scenario it;
  it.connect("east", advert("scans", {4}, 2));
  auto spec = small_spec();
  spec.model.layers.back().attributes["out_features"] = std::int64_t{1};
  spec.train.loss = Loss::hinge;
  const auto id = it.submit(spec);
  EXPECT_EQ(it.state(id), JobState::matching);
}

TEST(Submit, AMandatorySiteThatDoesNotFitIsNamed) {
  Scenario it;
  it.connect("north");
  it.connect("south", advert("slides"));
  auto spec = small_spec();
  spec.sites.mandatory = {SiteId::literal("south")};
  const auto refusal = it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.code, "site_unfit");
  EXPECT_THAT(refusal.message, HasSubstr("mandatory site \"south\" has no dataset \"scans\""));
}

TEST(Submit, AnInvalidSpecIsRefusedWithTheKeyAtFault) {
  Scenario it;
  it.connect("north");
  auto spec = small_spec();
  spec.rounds = 0;
  const auto refusal = it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.code, "job_invalid");
  EXPECT_THAT(refusal.message, HasSubstr("rounds"));
}

TEST(Submit, TheSameTokenAgainIsTheSameJobWhateverHasChangedSince) {
  Scenario it;
  it.connect("north");
  auto alice = it.connect(Role::coordinator, "alice");
  const msg::SubmitJob submit{small_spec(), "once"};
  const auto first = std::get<JobSummary>(it.answer(alice, submit)).id;
  it.restart();
  it.connect("north", advert("nothing-of-it"));
  alice = it.connect(Role::coordinator, "alice");
  EXPECT_EQ(std::get<JobSummary>(it.answer(alice, submit)).id, first);
  EXPECT_EQ(it.core.state().jobs.size(), 1U);
  EXPECT_EQ(it.refusal(it.connect(Role::coordinator, "bob"), submit).code, "dataset_unknown")
      << "a token is its coordinator's own";
}

TEST(Submit, WithoutATokenEachIsAJob) {
  Scenario it;
  it.connect("north");
  const auto alice = it.connect(Role::coordinator, "alice");
  it.answer(alice, msg::SubmitJob{small_spec(), {}});
  it.answer(alice, msg::SubmitJob{small_spec(), {}});
  EXPECT_EQ(it.core.state().jobs.size(), 2U);
}

TEST(Submit, ASiteAndAnAuditorMayNot) {
  Scenario it;
  const auto site = it.connect("north");
  const auto auditor = it.connect(Role::auditor, "vera");
  EXPECT_EQ(it.refusal(site, msg::SubmitJob{small_spec(), {}}).code, "not_authorised");
  EXPECT_EQ(it.refusal(auditor, msg::SubmitJob{small_spec(), {}}).code, "not_authorised");
  EXPECT_TRUE(it.store.audited("request.deny", "site/north"));
  EXPECT_TRUE(it.store.audited("request.deny", "auditor/vera"));
  EXPECT_TRUE(it.core.state().jobs.empty());
}

TEST(Submit, AnOperatorIsAuditedAsWhatItIs) {
  Scenario it;
  it.connect("north");
  it.answer(it.connect(Role::operator_, "olga"), msg::SubmitJob{small_spec(), {}});
  EXPECT_TRUE(it.store.audited("job.submit", "operator/olga"));
  EXPECT_FALSE(it.store.audited("job.submit", "coordinator/olga"));
}

TEST(Requests, AJobOfSomebodyElseIsUnknown) {
  Scenario it;
  it.connect("north");
  const auto id = it.submit(small_spec());
  const auto bob = it.connect(Role::coordinator, "bob");
  EXPECT_EQ(it.refusal(bob, msg::ShowJob{id}).code, "job_unknown");
  EXPECT_EQ(it.refusal(bob, msg::WatchJob{id, 0}).code, "job_unknown");
  EXPECT_EQ(it.refusal(bob, msg::AbortJob{id, ""}).code, "job_unknown");
  EXPECT_EQ(it.refusal(bob, msg::ShowModel{id, {}}).code, "job_unknown");
  EXPECT_TRUE(std::get<std::vector<JobSummary>>(it.answer(bob, msg::ListJobs{})).empty());
  EXPECT_EQ(it.state(id), JobState::matching);
}

TEST(Requests, AnAuditorReadsEveryJobAndAbortsNone) {
  Scenario it;
  it.connect("north");
  const auto id = it.submit(small_spec());
  const auto vera = it.connect(Role::auditor, "vera");
  EXPECT_TRUE(std::holds_alternative<JobView>(it.answer(vera, msg::ShowJob{id})));
  EXPECT_EQ(it.refusal(vera, msg::AbortJob{id, ""}).code, "not_authorised");
  EXPECT_EQ(it.state(id), JobState::matching);
}

TEST(Requests, AModelIsGrantedToWhoMayReadIt) {
  RunningJob it;
  const auto effects = it.ask(it.alice, msg::ShowModel{it.id, std::nullopt});
  ASSERT_EQ(all<GrantGet>(effects).size(), 1U);
  EXPECT_EQ(all<GrantGet>(effects)[0].peer, "coordinator/alice");
  EXPECT_EQ(all<GrantGet>(effects)[0].blob, blob(100));
  ASSERT_EQ(all<SendModels>(effects).size(), 1U);
  EXPECT_EQ(all<SendModels>(effects)[0].version, Round{0});
  EXPECT_EQ(it.refusal(it.alice, msg::ShowModel{it.id, 1}).code, "model_unknown");
}

TEST(Requests, TheListOfModelsIsThatOfTheCoordinatorsJobs) {
  RunningJob it;
  const auto bob = it.connect(Role::coordinator, "bob");
  const auto vera = it.connect(Role::auditor, "vera");
  EXPECT_EQ(all<SendModels>(it.ask(bob, msg::ListModels{})).at(0).coordinator, "bob");
  EXPECT_EQ(all<SendModels>(it.ask(vera, msg::ListModels{})).at(0).coordinator, "");
}

}  // namespace
}  // namespace entente::broker
