// How a job finds its sites.
#include <gmock/gmock.h>

#include "broker/core/matchmaker.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;

SiteSelection sites(std::uint32_t min, std::uint32_t max = 0, std::vector<SiteId> mandatory = {}) {
  return {min, max, 0, std::move(mandatory), {}};
}

// East, north and south are connected.
struct ThreeSites : Scenario {
  SessionId east = connect("east");
  SessionId north = connect("north");
  SessionId south = connect("south");

  JobId submit_for(const SiteSelection& selection) {
    auto spec = small_spec();
    spec.sites = selection;
    return submit(spec);
  }
  Enrolment enrolment(const JobId& id, const std::string& site) const {
    return store.part(id, SiteId::literal(site))->enrolment;
  }
};

TEST(Matching, OffersToEveryEligibleSiteAndStartsWhenAllHaveAnswered) {
  ThreeSites it;
  const auto id = it.submit_for(sites(2));
  EXPECT_EQ(it.job(id).parts.size(), 3U);
  it.accept(it.east, id);
  it.accept(it.north, id);
  EXPECT_EQ(it.state(id), JobState::matching) << "south is still thinking";
  it.accept(it.south, id);
  EXPECT_EQ(it.state(id), JobState::running);
}

TEST(Matching, ASilentSiteIsNotWaitedForOnceThereAreEnough) {
  ThreeSites it;
  const auto id = it.submit_for(sites(2));
  it.accept(it.east, id);
  it.accept(it.north, id);
  it.wait(small_spec().stall_window - Millis(1));
  EXPECT_EQ(it.state(id), JobState::matching);
  it.wait(Millis(1));
  EXPECT_EQ(it.state(id), JobState::running);
}

TEST(Matching, AnAnswerAfterTheStartStandsBy) {
  ThreeSites it;
  const auto id = it.submit_for(sites(2));
  it.accept(it.east, id);
  it.accept(it.north, id);
  it.wait(small_spec().stall_window);
  EXPECT_TRUE(it.accept(it.south, id).actions.empty());
  EXPECT_EQ(it.enrolment(id, "south"), Enrolment::accepted);
  EXPECT_FALSE(it.store.part(id, SiteId::literal("south"))->has_place);
}

TEST(Matching, AnAnswerAfterTheStartIsTurnedAwayWhenNobodyIsToBeReplaced) {
  ThreeSites it;
  auto selection = sites(2);
  selection.replace = false;
  const auto id = it.submit_for(selection);
  it.accept(it.east, id);
  it.accept(it.north, id);
  it.wait(small_spec().stall_window);
  const auto effects = it.accept(it.south, id);
  EXPECT_EQ(sent<msg::JobClosed>(effects, it.south).size(), 1U);
  EXPECT_EQ(it.enrolment(id, "south"), Enrolment::declined);
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, it.south).empty());
}

TEST(Matching, SitesThatAreAwayAreAskedOnReturn) {
  Scenario it;
  it.on(SessionClosed{it.connect("north")});
  const auto id = it.submit(small_spec());
  EXPECT_TRUE(it.job(id).parts.empty());
  const auto back = it.open(Role::site, "north");
  EXPECT_TRUE(sent<msg::JobOffer>(it.hello(back), back).empty()) << "not before its advert";
  const auto offers = sent<msg::JobOffer>(it.hear(back, msg::Advert{advert()}), back);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].job, id);
  EXPECT_EQ(offers[0].coordinator, "alice");
  EXPECT_EQ(offers[0].spec_digest, Scenario::kSpecDigest);
}

TEST(Matching, AnExcludedSiteIsNeverAsked) {
  ThreeSites it;
  SiteSelection not_north;
  not_north.exclude = {SiteId::literal("north")};
  const auto id = it.submit_for(not_north);
  EXPECT_FALSE(it.job(id).parts.contains(SiteId::literal("north")));
  EXPECT_EQ(it.job(id).parts.size(), 2U);
}

TEST(Matching, AsksMandatorySitesFirstAndNoMoreThanMax) {
  ThreeSites it;
  const auto id = it.submit_for(sites(1, 2, {SiteId::literal("south")}));
  EXPECT_TRUE(it.job(id).parts.contains(SiteId::literal("south")));
  EXPECT_TRUE(it.job(id).parts.contains(SiteId::literal("east")));
  EXPECT_EQ(it.job(id).parts.size(), 2U);
}

TEST(Matching, ADeclineMakesRoomForTheNext) {
  ThreeSites it;
  const auto id = it.submit_for(sites(2, 2));
  const auto effects = it.decline(it.east, id, "not our field");
  EXPECT_EQ(sent<msg::JobOffer>(effects, it.south).size(), 1U);
}

TEST(Matching, ASilentSiteMakesRoomForTheNext) {
  ThreeSites it;
  const auto id = it.submit_for(sites(2, 2));
  it.accept(it.north, id);
  const auto effects = it.wait(small_spec().stall_window);
  EXPECT_EQ(sent<msg::JobOffer>(effects, it.south).size(), 1U);
  it.accept(it.south, id);
  EXPECT_EQ(it.state(id), JobState::running);
}

TEST(Matching, NeverTakesMoreSitesThanMax) {
  ThreeSites it;
  const auto id = it.submit_for(sites(1, 2, {SiteId::literal("south")}));
  it.accept(it.south, id);
  it.wait(small_spec().stall_window);  // east is silent: north is asked as well
  it.accept(it.north, id);
  it.accept(it.east, id);
  EXPECT_EQ(it.state(id), JobState::running);
  const auto has_place = [&](const char* site) {
    return it.store.part(id, SiteId::literal(site))->has_place;
  };
  EXPECT_TRUE(has_place("south")) << "it is mandatory";
  EXPECT_TRUE(has_place("north")) << "it has the slot that east gave back";
  EXPECT_FALSE(has_place("east"));
}

TEST(Matching, WithoutReplacementWhoFindsThePlacesTakenIsTurnedAway) {
  ThreeSites it;
  auto selection = sites(1, 2, {SiteId::literal("south")});
  selection.replace = false;
  const auto id = it.submit_for(selection);
  it.accept(it.south, id);
  it.wait(small_spec().stall_window);  // east is silent: north is asked as well
  EXPECT_EQ(sent<msg::JobClosed>(it.accept(it.east, id), it.east).size(), 1U)
      << "north may still take the last place";
  EXPECT_EQ(it.enrolment(id, "east"), Enrolment::declined);
}

TEST(Matching, ClaimsNobodyBeforeAMandatorySiteIsThere) {
  ThreeSites it;
  it.on(SessionClosed{it.south});
  const auto id = it.submit_for(sites(1, 2, {SiteId::literal("south")}));
  EXPECT_EQ(it.state(id), JobState::queued);
  EXPECT_TRUE(it.job(id).parts.empty()) << "others may have the slots of east and north";
  it.accept(it.connect("south"), id);
  it.accept(it.east, id);
  EXPECT_EQ(it.state(id), JobState::running);
}

TEST(Matching, HoldsNoSlotWhileAMandatorySiteThinksForLong) {
  ThreeSites it;
  const auto id = it.submit_for(sites(1, 0, {SiteId::literal("south")}));
  it.accept(it.east, id);
  it.accept(it.north, id);
  it.wait(small_spec().stall_window);
  EXPECT_EQ(it.state(id), JobState::queued);
  EXPECT_EQ(it.core.state().sites.at(SiteId::literal("east")).claimed, 0U);
  const auto effects = it.accept(it.south, id);
  EXPECT_EQ(it.state(id), JobState::running) << "east and north have given their word already";
  EXPECT_TRUE(sent<msg::JobOffer>(effects, it.east).empty());
}

TEST(Matching, AMandatorySitesDeclineFailsTheJobInItsWords) {
  ThreeSites it;
  const auto id = it.submit_for(sites(1, 0, {SiteId::literal("south")}));
  const auto effects = it.decline(it.south, id, "clause \"coordinators\" has no alice");
  EXPECT_EQ(it.state(id), JobState::failed);
  EXPECT_THAT(it.store.job(id)->reason, HasSubstr("mandatory site \"south\" declined"));
  EXPECT_THAT(it.store.job(id)->reason, HasSubstr("clause \"coordinators\" has no alice"));
  EXPECT_EQ(sent<msg::JobClosed>(effects, it.east).size(), 1U);
  EXPECT_TRUE(it.store.audited("job.fail", "broker"));
}

TEST(Matching, TooManyDeclinesFailTheJobInTheSitesWords) {
  ThreeSites it;
  it.connect("west", advert("slides"));
  const auto id = it.submit_for(sites(2));
  it.decline(it.east, id, "not our field");
  EXPECT_EQ(it.state(id), JobState::matching);
  it.decline(it.north, id, "no ethics vote");
  EXPECT_EQ(it.state(id), JobState::failed);
  const auto& reason = it.store.job(id)->reason;
  EXPECT_THAT(reason, HasSubstr("1 of 2 required sites are left"));
  EXPECT_THAT(reason, HasSubstr("declined  east: not our field"));
  EXPECT_THAT(reason, HasSubstr("declined  north: no ethics vote"));
  EXPECT_THAT(reason, HasSubstr("excluded  west: has no dataset \"scans\""));
}

TEST(Matching, WaitsForTheWordOfASiteThatHasJustConnectedForTheFirstTime) {
  ThreeSites it;
  const auto west = it.open(Role::site, "west");
  const auto id = it.submit_for(sites(3));
  it.hello(west);
  it.decline(it.east, id, "not this one");
  EXPECT_EQ(it.state(id), JobState::queued) << "west has not said yet what it has";
  it.hear(west, msg::Advert{advert("x-rays")});
  EXPECT_EQ(it.state(id), JobState::failed);
  EXPECT_THAT(it.job(id).row.reason, HasSubstr("excluded  west: has no dataset"));
}

TEST(Matching, FailsAtItsDeadlineWhenNobodyComes) {
  Scenario it;
  it.on(SessionClosed{it.connect("north")});
  const auto id = it.submit(small_spec());
  it.wait(small_spec().deadline - Millis(1));
  EXPECT_EQ(it.state(id), JobState::queued);
  it.wait(Millis(1));
  EXPECT_EQ(it.state(id), JobState::failed);
  EXPECT_THAT(it.store.job(id)->reason, HasSubstr("deadline"));
}

TEST(Matching, TheDeadlineCountsFromTheSubmissionAcrossARestart) {
  Scenario it;
  it.on(SessionClosed{it.connect("north")});
  const auto id = it.submit(small_spec());
  it.wait(small_spec().deadline / 2);
  it.restart();
  it.wait(small_spec().deadline / 2);
  EXPECT_EQ(it.state(id), JobState::failed);
}

TEST(Matching, AnAnswerToAnotherSpecIsIgnored) {
  ThreeSites it;
  const auto id = it.submit_for(sites(1));
  it.hear(it.east, msg::JobReply{id, blob(1), std::nullopt});
  EXPECT_EQ(it.enrolment(id, "east"), Enrolment::offered);
}

TEST(Matching, ASiteThatBelievesToTakePartButDoesNotIsTold) {
  ThreeSites it;
  const auto id = it.submit_for(sites(1, 2));
  EXPECT_EQ(sent<msg::JobClosed>(it.accept(it.south, id), it.south).size(), 1U) << "was not asked";
  const auto unknown = it.accept(it.south, JobId::literal("skin-1"));
  EXPECT_EQ(sent<msg::JobClosed>(unknown, it.south).size(), 1U);
  it.accept(it.east, id);
  EXPECT_TRUE(sent<msg::JobClosed>(it.accept(it.east, id), it.east).empty()) << "said twice";
}

TEST(Matching, IsOverWhenTheJobIsAborted) {
  ThreeSites it;
  const auto id = it.submit_for(sites(3));
  it.accept(it.east, id);
  const auto effects =
      it.ask(it.connect(Role::coordinator, "alice"), msg::AbortJob{id, "wrong file"});
  EXPECT_EQ(it.state(id), JobState::aborted);
  EXPECT_THAT(it.store.job(id)->reason, HasSubstr("by coordinator/alice: wrong file"));
  EXPECT_EQ(sent<msg::JobClosed>(effects, it.east).size(), 1U);
  EXPECT_EQ(sent<msg::JobClosed>(effects, it.north).size(), 1U) << "it may be thinking still";
  EXPECT_TRUE(it.store.audited("job.abort", "coordinator/alice"));
  EXPECT_EQ(it.refusal(it.last_session, msg::AbortJob{id, ""}).code, "job_ended");
}

// --- what a site must have ---

JobSpec needing(void (*change)(JobSpec&)) {
  auto spec = small_spec();
  change(spec);
  return spec;
}

SiteAdvert machine(std::uint32_t slots, std::uint64_t memory_bytes, std::uint32_t gpus) {
  auto it = advert();
  it.slots = slots;
  it.threads_per_slot = 2;
  it.resources = {8, memory_bytes, gpus};
  return it;
}

// The sentence of the only site, whose dataset has 640 examples.
std::string sentence(const JobSpec& spec, const SiteAdvert& what) {
  State state;
  const auto north = SiteId::literal("north");
  state.sites[north].row = {north, 1, what, 0, false, {}};
  const auto result = match(spec, state);
  return result.excluded.empty() ? "" : result.excluded[0].sentence;
}

TEST(Matching, NeedsAreHeldAgainstWhatATaskGetsAtTheSite) {
  auto what = machine(4, 4'000'000'000, 1);
  what.datasets[0].examples = 640;
  const auto with = [&](void (*change)(JobSpec&)) { return sentence(needing(change), what); };
  EXPECT_EQ(with([](JobSpec& s) { s.sites.samples_min = 640; }), "");
  EXPECT_EQ(with([](JobSpec& s) { s.sites.samples_min = 1000; }),
            "needs 1000 samples of scans, has 640");
  EXPECT_EQ(with([](JobSpec& s) { s.resources.memory_bytes = 1'000'000'000; }), "");
  EXPECT_EQ(with([](JobSpec& s) { s.resources.memory_bytes = 2'000'000'000; }),
            "needs 2.0 GB of memory for a task, has 1.0 GB in each of 4 slots");
  EXPECT_EQ(with([](JobSpec& s) { s.resources.threads = 3; }),
            "needs 3 threads for a task, has 2 in a slot");
  EXPECT_EQ(with([](JobSpec& s) { s.resources.gpus = 2; }), "needs 2 GPUs, has 1");
}

// By the first letter of the site: what an evaluator might say.
class ByName : public Evaluator {
 public:
  [[nodiscard]] std::optional<Refusal> check(const std::string& expression, Use,
                                             std::string_view) const override {
    return expression == "broken" ? std::optional(Refusal{"expression_invalid", "broken", "", {}})
                                  : std::nullopt;
  }
  [[nodiscard]] bool holds(const std::string& expression, const SiteId& site,
                           const SiteAdvert&) const override {
    return expression[0] == site.str()[0];
  }
  [[nodiscard]] double rank(const std::string&, const SiteId& site,
                            const SiteAdvert&) const override {
    return site.str() == "south" ? 1 : 0;
  }
  [[nodiscard]] std::string seen(const std::string&, const SiteId&,
                                 const SiteAdvert&) const override {
    return "name = 'x'";
  }
};

State three_sites(const Evaluator& evaluator) {
  State state;
  state.evaluator = &evaluator;
  for (const char* name : {"east", "north", "south"}) {
    const auto id = SiteId::literal(name);
    state.sites[id].row = {id, 1, advert(), 0, false, {}};
  }
  return state;
}

TEST(Matching, ARequirementPassesSitesOverAndSaysWhatItHasSeen) {
  const ByName evaluator;
  const auto state = three_sites(evaluator);
  auto spec = small_spec();
  spec.sites.require = "n";
  const auto result = match(spec, state);
  EXPECT_THAT(result.eligible, testing::ElementsAre(SiteId::literal("north")));
  ASSERT_EQ(result.excluded.size(), 2U);
  EXPECT_EQ(result.excluded[0].sentence, "requires n, has name = 'x'");
}

TEST(Matching, ThePreferredComeFirstThenById) {
  const ByName evaluator;
  const auto state = three_sites(evaluator);
  auto spec = small_spec();
  spec.sites.prefer = "x";
  EXPECT_THAT(match(spec, state).eligible,
              testing::ElementsAre(SiteId::literal("south"), SiteId::literal("east"),
                                   SiteId::literal("north")));
  spec.sites.mandatory = {SiteId::literal("north")};
  EXPECT_EQ(match(spec, state).eligible[0], SiteId::literal("north"));
}

TEST(Matching, AnExpressionThatCannotBeUsedIsRefusedAtSubmission) {
  const ByName evaluator;
  const auto state = three_sites(evaluator);
  auto spec = small_spec();
  spec.sites.prefer = "broken";
  EXPECT_EQ(find_impossibility(spec, state)->code, "expression_invalid");
}

TEST(Waiting, IsASitesReasonAndAnEventAndNeitherYesNorNo) {
  ThreeSites it;
  const auto id = it.submit_for(sites(3));
  it.hear(it.south, msg::JobWaits{id, Scenario::kSpecDigest, "waits for approval"});
  EXPECT_EQ(it.enrolment(id, "south"), Enrolment::offered);
  EXPECT_EQ(it.store.part(id, SiteId::literal("south"))->reason, "waits for approval");
  it.accept(it.east, id);
  it.accept(it.north, id);
  EXPECT_NE(it.state(id), JobState::running);
  it.accept(it.south, id);
  EXPECT_EQ(it.state(id), JobState::running);
  EXPECT_EQ(it.store.part(id, SiteId::literal("south"))->reason, "");
}

// People may take days, and the slots would lie idle meanwhile.
TEST(Waiting, HoldsNoSlotsOfTheOtherSites) {
  ThreeSites it;
  const auto id = it.submit_for(sites(3));
  it.accept(it.east, id);
  it.accept(it.north, id);
  EXPECT_EQ(it.job(id).claims, 3U);
  it.hear(it.south, msg::JobWaits{id, Scenario::kSpecDigest, "waits for approval"});
  EXPECT_EQ(it.state(id), JobState::queued);
  EXPECT_EQ(it.job(id).claims, 0U);
  it.accept(it.south, id);
  EXPECT_EQ(it.state(id), JobState::running);
  EXPECT_EQ(it.job(id).claims, 3U);
}

TEST(Waiting, IsNotWaitedForByAJobThatHasEnough) {
  ThreeSites it;
  const auto id = it.submit_for(sites(2));
  it.accept(it.east, id);
  it.accept(it.north, id);
  EXPECT_EQ(it.state(id), JobState::matching) << "south is thinking";
  it.hear(it.south, msg::JobWaits{id, Scenario::kSpecDigest, "waits for approval"});
  EXPECT_EQ(it.state(id), JobState::running);
}

TEST(Waiting, IsToldOnceAMinuteHoweverOftenTheReasonChanges) {
  ThreeSites it;
  const auto id = it.submit_for(sites(3));
  const auto events = [&] { return it.job(id).row.last_event_seq; };
  const auto before = events();
  for (int i = 0; i < 10; ++i) {
    it.hear(it.south, msg::JobWaits{id, Scenario::kSpecDigest, std::to_string(i)});
  }
  EXPECT_EQ(events(), before + 2) << "that it waits, and that the job is back in the queue";
}

TEST(Paused, ASiteIsLikeOneThatIsAwayUntilItSaysOtherwise) {
  ThreeSites it;
  auto paused = advert();
  paused.paused = true;
  it.hear(it.south, msg::Advert{paused});
  const auto id = it.submit_for(sites(3));
  EXPECT_FALSE(it.job(id).parts.contains(SiteId::literal("south")));
  const auto back = it.hear(it.south, msg::Advert{advert()});
  EXPECT_EQ(sent<msg::JobOffer>(back, it.south).size(), 1U);
}

}  // namespace
}  // namespace entente::broker
