// Files that a job's coordinator brings: who may put them and when, what their job does meanwhile,
// and what becomes of them.
#include "broker/core/files.h"

#include <gmock/gmock.h>

#include "common/base/limits.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kFileBytes = 200;

struct Files : Scenario {
  SessionId north = connect("north");
  SessionId alice = connect(Role::coordinator, "alice");

  static JobSpec from_file(std::uint8_t number = 7) {
    auto spec = small_spec(1);
    InitialModel init;
    init.which = InitialModel::Which::file;
    init.file = blob(number);
    init.bytes = kFileBytes;
    spec.init = init;
    return spec;
  }
  Effects bring(std::uint8_t number = 7, const std::string& peer = "coordinator/alice") {
    return on(UpdateArrived{peer, blob(number), 1.0});
  }
  Effects bring_wrong(const std::string& code) {
    return on(UpdateArrived{"coordinator/alice", blob(7),
                            tl::unexpected(Refusal{code, "tensor fc1.bias [2] is missing", ""})});
  }
  Explanation explain(const JobId& id) {
    return std::get<Explanation>(answer(alice, msg::ExplainJob{id}));
  }
};

TEST(Files, AJobIsOutOfTheCompetitionUntilItsFileIsHere) {
  Files it;
  const auto id = it.submit(Files::from_file());
  EXPECT_EQ(it.state(id), JobState::queued);
  EXPECT_EQ(it.job(id).row.reason, "waits for its coordinator's file, 200 B");
  EXPECT_EQ(it.explain(id).sentence, "waits for its coordinator's file, 200 B");
  EXPECT_THAT(it.explain(id).changes,
              ElementsAre("alice must bring it: entente job upload lung-1 FILE"));
  it.bring();
  EXPECT_EQ(it.state(id), JobState::matching);
  EXPECT_TRUE(it.store.is_file(blob(7)));
}

TEST(Files, TheFileIsVersionZeroAndItsReceiptSaysSo) {
  Files it;
  const auto id = it.submit(Files::from_file());
  it.bring();
  const auto& receipt = it.store.models().back();
  EXPECT_EQ(receipt.version, 0U);
  EXPECT_EQ(receipt.blob, blob(7));
  EXPECT_EQ(receipt.bytes, kFileBytes);
  EXPECT_EQ(receipt.origin, "file:" + blob(7).hex());
  EXPECT_FALSE(receipt.parent);
  EXPECT_TRUE(it.store.audited("file.accept", "coordinator/alice"));
  EXPECT_TRUE(it.store.audited("model.publish", "broker"));
  const auto offers = sent<msg::TaskOffer>(it.accept(it.north, id), it.north);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.model, blob(7));
}

TEST(Files, TheGrantIsWithTheLayoutOfTheJobAndGivenAgainWheneverTheCoordinatorConnects) {
  Files it;
  const auto submitted = it.ask(it.alice, msg::SubmitJob{Files::from_file(), "once"});
  const auto grants = all<GrantPut>(submitted);
  ASSERT_EQ(grants.size(), 1U);
  EXPECT_EQ(grants[0].peer, "coordinator/alice");
  EXPECT_EQ(grants[0].blob, blob(7));
  EXPECT_EQ(grants[0].bytes, kFileBytes);
  EXPECT_EQ(grants[0].layout->tensors.front().name, "fc1.weight");
  const auto again = it.ask(it.alice, msg::SubmitJob{Files::from_file(), "once"});
  EXPECT_EQ(all<GrantPut>(again).size(), 1U) << "a repeated submission";
  it.restart();
  EXPECT_EQ(all<GrantPut>(it.hello(it.open(Role::coordinator, "alice"))).size(), 1U);
  EXPECT_THAT(all<GrantPut>(it.hello(it.open(Role::coordinator, "bob"))), IsEmpty());
}

TEST(Files, OfANameThatASiteHasTooOnlyTheCoordinatorMayPut) {
  Files it;
  const auto id = it.submit(Files::from_file());
  EXPECT_THAT(all<GrantPut>(it.hello(it.open(Role::site, "alice"))), IsEmpty());
  EXPECT_THAT(all<GrantPut>(it.hello(it.open(Role::auditor, "alice"))), IsEmpty());
  it.bring(7, "site/alice");
  it.bring(7, "coordinator/bob");
  EXPECT_EQ(it.state(id), JobState::queued);
}

TEST(Files, AnOperatorBringsTheFileOfItsOwnJob) {
  Files it;
  const auto root = it.connect(Role::operator_, "root");
  const auto effects = it.ask(root, msg::SubmitJob{Files::from_file(), {}});
  ASSERT_EQ(all<GrantPut>(effects).size(), 1U);
  EXPECT_EQ(all<GrantPut>(effects)[0].peer, "operator/root");
  it.bring(7, "operator/root");
  EXPECT_EQ(it.state(JobId::literal("lung-1")), JobState::matching);
}

TEST(Files, TheClockOfTheDeadlineStandsMeanwhileAlsoAcrossARestart) {
  Files it;
  const auto id = it.submit(Files::from_file());
  it.wait(std::chrono::hours(2));
  it.restart();
  it.wait(std::chrono::hours(2));
  EXPECT_EQ(it.state(id), JobState::queued) << "its deadline is an hour";
  it.bring();
  it.wait(std::chrono::minutes(59));
  EXPECT_NE(it.state(id), JobState::failed);
  it.wait(std::chrono::minutes(2));
  EXPECT_EQ(it.state(id), JobState::failed);
}

TEST(Files, WhatHasArrivedOutlivesARestart) {
  Files it;
  auto spec = Files::from_file();
  const auto other = it.submit(small_spec(1));
  spec.after = {other};
  const auto id = it.submit(spec);
  it.bring();
  EXPECT_EQ(it.store.round(id, 0), nullptr) << "published once nothing else is waited for";
  it.restart();
  EXPECT_THAT(all<GrantPut>(it.hello(it.open(Role::coordinator, "alice"))), IsEmpty());
  EXPECT_EQ(it.job(id).row.reason, "waits until lung-1 has completed");
}

TEST(Files, AFileOfTheRightDigestThatIsNotWhatTheJobNeedsEndsIt) {
  Files it;
  const auto id = it.submit(Files::from_file());
  it.bring_wrong("layout_mismatch");
  EXPECT_EQ(it.state(id), JobState::failed);
  EXPECT_EQ(it.job(id).row.reason,
            "its coordinator's file is of no use: tensor fc1.bias [2] is missing");
}

TEST(Files, BytesOfAnotherDigestEndNothing) {
  Files it;
  const auto id = it.submit(Files::from_file());
  it.bring_wrong("blob_corrupt");
  EXPECT_EQ(it.state(id), JobState::queued);
  it.bring();
  EXPECT_EQ(it.state(id), JobState::matching);
}

// With the grant goes what has arrived under it (data_plane.h).
TEST(Files, AnAbortedJobEndsItsGrant) {
  Files it;
  const auto id = it.submit(Files::from_file());
  const auto effects = it.ask(it.alice, msg::AbortJob{id, ""});
  const auto revoked = all<Revoke>(effects);
  ASSERT_FALSE(revoked.empty());
  EXPECT_EQ(revoked[0].peer, "coordinator/alice");
  EXPECT_THAT(it.bring().rows, IsEmpty()) << "nobody awaits it any more";
}

TEST(Files, AnAbortedJobDropsAFileThatHasArrived) {
  Files it;
  auto first = Files::from_file();
  first.after = {it.submit(small_spec(2))};
  const auto id = it.submit(first);
  it.bring();
  const auto dropped = all<DropBlob>(it.ask(it.alice, msg::AbortJob{id, ""}));
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].blob, blob(7));
}

// A digest is no secret: whoever names one must show that it has the bytes.
TEST(Files, ACoordinatorMustBringAllBytesUnlessAJobOfItsOwnHasHadThem) {
  Files it;
  const auto grants_of = [&](const JobSpec& spec) {
    return all<GrantPut>(it.ask(it.alice, msg::SubmitJob{spec, {}}));
  };
  auto spec = Files::from_file();
  const auto first = grants_of(spec);
  ASSERT_FALSE(first.empty());
  EXPECT_TRUE(first[0].is_brought);
  it.bring();
  spec.name = "again";
  const auto again = grants_of(spec);
  ASSERT_FALSE(again.empty());
  EXPECT_FALSE(again[0].is_brought);
}

// Nor is naming one and going away again a way to have it removed.
TEST(Files, AnotherJobsUpdateThatIsNamedAsAFileStaysWhenTheJobIsAborted) {
  Files it;
  const auto south = it.connect("south");
  auto training = small_spec(2);
  training.sites.min = 2;
  const auto id = it.submit(training);
  it.accept(it.north, id);
  it.accept(south, id);
  it.deliver(it.north, key(id, 0, TaskKind::initialize, "north"), blob(100));
  it.deliver(it.north, key(id, 1, TaskKind::train, "north"), blob(7));
  const auto thief = it.submit(Files::from_file());
  EXPECT_THAT(all<DropBlob>(it.ask(it.alice, msg::AbortJob{thief, ""})), IsEmpty());
}

TEST(Files, WhatAnotherJobAwaitsOrHasIsNotDropped) {
  Files it;
  const auto first = it.submit(Files::from_file());
  const auto second = it.submit(Files::from_file());
  EXPECT_THAT(all<DropBlob>(it.ask(it.alice, msg::AbortJob{first, ""})), IsEmpty());
  it.bring();
  EXPECT_EQ(it.state(second), JobState::matching);
  EXPECT_THAT(all<DropBlob>(it.ask(it.alice, msg::AbortJob{second, ""})), IsEmpty())
      << "it is a model now";
}

TEST(Files, OneArrivalIsForEveryJobThatAwaitsIt) {
  Files it;
  const auto first = it.submit(Files::from_file());
  const auto second = it.submit(Files::from_file());
  it.bring();
  EXPECT_EQ(it.state(first), JobState::matching);
  EXPECT_EQ(it.state(second), JobState::matching);
}

TEST(Files, APausedJobTakesItsFileAndGoesOnWhenItIsResumed) {
  Files it;
  const auto id = it.submit(Files::from_file());
  it.ask(it.alice, msg::PauseJob{id, ""});
  it.bring();
  EXPECT_EQ(it.state(id), JobState::paused);
  it.ask(it.alice, msg::ResumeJob{id});
  EXPECT_EQ(it.state(id), JobState::matching);
}

TEST(Files, ADigestThatIsNotThereYetIsNoSubmission) {
  Files it;
  auto spec = Files::from_file();
  spec.init->file.reset();
  EXPECT_EQ(it.refusal(it.alice, msg::SubmitJob{spec, {}}).code, "file_unresolved");
}

TEST(Files, ASizeThatTheJobsTensorsCannotComeToIsRefused) {
  Files it;
  auto spec = Files::from_file();
  spec.init->bytes = 40;  // the ten values alone
  const auto refusal = it.refusal(it.alice, msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.message, "init names a file of 40 B, its tensors come to 40 B");
}

TEST(Files, TheSameBytesAreNotAwaitedAsTwoThings) {
  Files it;
  it.submit(Files::from_file());
  auto other = Files::from_file();
  other.model.layers = {LayerSpec{"linear", "fc2", {{"out_features", std::int64_t{2}}}}};
  const auto refusal = it.refusal(it.alice, msg::SubmitJob{other, {}});
  EXPECT_EQ(refusal.code, "file_mismatch");
}

TEST(Files, ACoordinatorMayLetSoManyJobsWaitAndNoMore) {
  Files it;
  for (std::size_t i = 0; i < limits::kJobsAwaitingFilesMax; ++i) {
    it.submit(Files::from_file(static_cast<std::uint8_t>(i + 1)));
  }
  const auto refusal = it.refusal(it.alice, msg::SubmitJob{Files::from_file(99), {}});
  EXPECT_EQ(refusal.code, "too_many_waiting");
  const auto bob = it.connect(Role::coordinator, "bob");
  EXPECT_TRUE(
      std::holds_alternative<JobSummary>(it.answer(bob, msg::SubmitJob{Files::from_file(99), {}})));
}

TEST(Files, ADryRunSaysWhatItWaitsForAndWhatComesThen) {
  Files it;
  const auto reply = it.answer(it.alice, msg::ExplainSpec{Files::from_file()});
  EXPECT_EQ(std::get<Explanation>(reply).sentence,
            "waits for its coordinator's file, 200 B, once submitted; then it starts at once: it "
            "asks north, and each site's own policy decides");
}

}  // namespace
}  // namespace entente::broker
