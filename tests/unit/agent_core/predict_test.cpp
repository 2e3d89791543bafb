// Tasks that predict: what they need, and what leaves for them.
#include <gmock/gmock.h>

#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Predicting : Scenario {
  explicit Predicting(AgentSettings with = settings_that_allow()) : Scenario(std::move(with)) {
    start();
  }
  static AgentSettings settings_that_allow() {
    auto settings = defaults();
    settings.policy.kinds = {"predict"};
    return settings;
  }
  static msg::JobOffer asked(std::optional<JobId> own = std::nullopt) {
    auto offer = Scenario::offer();
    auto& spec = offer.spec;
    spec.kind = JobKind::predict;
    spec.rounds = 1;
    spec.init = InitialModel{JobId::literal("lung-0"), InitialModel::Which::last, 0};
    spec.predict = PredictSpec{blob(9), 300, 5, std::move(own)};
    return offer;
  }
  static TaskOrder order() {
    TaskOrder order;
    order.key = {JobId::literal("lung-1"), 1, TaskKind::predict, SiteId::literal("north"), 1};
    order.model = blob(8);
    order.inputs = blob(9);
    return order;
  }
  TrainerId accept(const msg::JobOffer& offer) {
    const auto starts = all<effect::StartTrainer>(hear(offer));
    EXPECT_EQ(starts.size(), 1U);
    on(event::TrainerPrepared{starts.at(0).trainer});
    return starts.at(0).trainer;
  }
};

TEST(Predicting, FetchesModelAndInputsAndThenRuns) {
  Predicting it;
  it.accept(Predicting::asked());
  std::vector<BlobId> fetched;
  for (const auto& download : all<effect::Download>(it.hear(msg::TaskOffer{Predicting::order()}))) {
    fetched.push_back(download.blob);
  }
  EXPECT_THAT(fetched, ElementsAre(blob(9), blob(8)));
  EXPECT_FALSE(has<effect::RunTask>(it.on(event::DownloadEnded{blob(8), std::nullopt})));
  const auto runs = all<effect::RunTask>(it.on(event::DownloadEnded{blob(9), std::nullopt}));
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_FALSE(runs[0].own_of);
}

TEST(Predicting, StoresARowOfOutputsForEachRowOfInputs) {
  Predicting it;
  const auto trainer = it.accept(Predicting::asked(JobId::literal("lung-0")));
  it.hear(msg::TaskOffer{Predicting::order()});
  it.on(event::DownloadEnded{blob(8), std::nullopt});
  const auto runs = all<effect::RunTask>(it.on(event::DownloadEnded{blob(9), std::nullopt}));
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].own_of, JobId::literal("lung-0"));
  const auto stores =
      all<effect::StoreOutput>(it.on(event::TrainerFinished{trainer, 640, 0, {}, {}}));
  ASSERT_EQ(stores.size(), 1U);
  ASSERT_EQ(stores[0].layout.tensors.size(), 1U);
  EXPECT_EQ(stores[0].layout.tensors[0].name, "outputs");
  EXPECT_EQ(stores[0].layout.tensors[0].shape, (Shape{5, 2}));
  const auto announced =
      sent<msg::ResultAnnounce>(it.on(event::OutputStored{Predicting::order().key, blob(20), 120}));
  ASSERT_EQ(announced.size(), 1U);
  EXPECT_EQ(announced[0].result.examples, 640U);
}

TEST(Predicting, MetricsOfTheSitesExamplesStayInTheHouse) {
  Predicting it;
  const auto trainer = it.accept(Predicting::asked());
  it.hear(msg::TaskOffer{Predicting::order()});
  it.on(event::DownloadEnded{blob(8), std::nullopt});
  it.on(event::DownloadEnded{blob(9), std::nullopt});
  const auto failed = sent<msg::TaskFailed>(
      it.on(event::TrainerFinished{trainer, 640, 0, {{"accuracy", 0.9}}, {}}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.code, "contract_violated");
}

TEST(Predicting, OtherInputsThanTheJobWasOfferedWithAreRefused) {
  Predicting it;
  it.accept(Predicting::asked());
  auto order = Predicting::order();
  for (const auto& inputs : {std::optional(blob(77)), std::optional<BlobId>()}) {
    order.inputs = inputs;
    const auto failed = sent<msg::TaskFailed>(it.hear(msg::TaskOffer{order}));
    ASSERT_EQ(failed.size(), 1U);
    EXPECT_EQ(failed[0].failure.reason.code, "task_invalid");
    ++order.key.attempt;
  }
}

TEST(Predicting, ThePolicyBoundsWhatIsSaid) {
  auto settings = Predicting::settings_that_allow();
  settings.policy.update_bytes_max = 39;  // five rows of two outputs are 40
  Predicting it(settings);
  const auto replies = sent<msg::JobReply>(it.hear(Predicting::asked()));
  ASSERT_EQ(replies.size(), 1U);
  ASSERT_TRUE(replies[0].decline);
  EXPECT_THAT(replies[0].decline->message, HasSubstr("update_max"));
}

TEST(Predicting, AKindThatThePolicyDoesNotListIsDeclined) {
  Predicting it(Scenario::defaults());
  const auto replies = sent<msg::JobReply>(it.hear(Predicting::asked()));
  ASSERT_EQ(replies.size(), 1U);
  ASSERT_TRUE(replies[0].decline);
  EXPECT_THAT(replies[0].decline->message, HasSubstr("predict"));
}

TEST(Predicting, CountsForTheRoundsOfTheDay) {
  Predicting it;
  it.accept(Predicting::asked());
  it.hear(msg::TaskOffer{Predicting::order()});
  it.on(event::DownloadEnded{blob(8), std::nullopt});
  EXPECT_TRUE(has<effect::SpendRound>(it.on(event::DownloadEnded{blob(9), std::nullopt})));
}

TEST(Predicting, AFileWithoutItsDigestIsNoOffer) {
  Predicting it;
  auto offer = Predicting::asked();
  offer.spec.predict->inputs = BlobId{};
  const auto replies = sent<msg::JobReply>(it.hear(offer));
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_TRUE(replies[0].decline);
}

}  // namespace
}  // namespace entente::agent
