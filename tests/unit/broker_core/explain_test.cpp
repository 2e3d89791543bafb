// Why a job is where it is, in sentences that are those of the rules themselves.
#include "broker/core/explain.h"

#include <gmock/gmock.h>

#include "common/base/limits.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SiteAdvert one_slot(const std::string& dataset = "scans") {
  auto what = advert(dataset);
  what.slots = 1;
  return what;
}

// East and north have a slot each, west has other data.
struct Explained : Scenario {
  SessionId east = connect("east", one_slot());
  SessionId north = connect("north", one_slot());
  SessionId west = connect("west", one_slot("slides"));
  SessionId mary = connect(Role::operator_, "mary");

  static JobSpec for_sites(std::uint32_t min, std::vector<SiteId> mandatory = {}) {
    auto spec = small_spec();
    spec.sites.min = min;
    spec.sites.mandatory = std::move(mandatory);
    return spec;
  }
  Explanation explain(const JobId& id) {
    return std::get<Explanation>(answer(mary, msg::ExplainJob{id}));
  }
  Explanation dry_run(const JobSpec& spec) {
    return std::get<Explanation>(
        answer(connect(Role::coordinator, "alice"), msg::ExplainSpec{spec}));
  }
  static SiteExplanation site(const Explanation& explained, const std::string& name) {
    for (const auto& one : explained.sites) {
      if (one.site.str() == name) {
        return one;
      }
    }
    return {};
  }
  JobId running() {
    const auto id = submit(for_sites(2));
    accept(east, id);
    accept(north, id);
    return id;
  }
};

TEST(Explain, NamesEachRuleThatASiteFailsWithWhatIsSeenAndNeeded) {
  Explained it;
  auto what = advert("scans", {8}, 5);
  what.slots = 1;
  it.connect("south", what);
  auto spec = Explained::for_sites(2);
  spec.sites.exclude = {SiteId::literal("south")};
  const auto south = Explained::site(it.dry_run(spec), "south");
  EXPECT_EQ(south.standing, SiteStanding::excluded);
  EXPECT_THAT(south.sentences,
              ElementsAre("is in sites.exclude", "needs examples of shape [4], has [8]",
                          "needs at most 2 classes (the model's outputs), has 5"));
  EXPECT_THAT(Explained::site(it.dry_run(spec), "west").sentences,
              ElementsAre("has no dataset \"scans\""));
}

TEST(Explain, NamesTheJobsAheadAndThoseThatHoldTheSlots) {
  Explained it;
  const auto first = it.running();
  const auto second = it.submit(Explained::for_sites(1));
  const auto third = it.submit(Explained::for_sites(2));
  const auto explained = it.explain(third);
  EXPECT_EQ(explained.place, 2U);
  EXPECT_THAT(explained.ahead, ElementsAre(second));
  EXPECT_EQ(explained.sentence,
            "waits, 2nd in the queue behind lung-2: needs 2 sites at once; 0 of those that are "
            "there have a free slot");
  EXPECT_EQ(Explained::site(explained, "east").standing, SiteStanding::busy);
  EXPECT_THAT(Explained::site(explained, "east").sentences,
              ElementsAre("its slot is held by " + first.str()));
  EXPECT_THAT(explained.changes.at(0), HasSubstr("east and north must have a slot free"));
  EXPECT_THAT(explained.reserved, IsEmpty());
  EXPECT_THAT(it.explain(second).reserved, ElementsAre(SiteId::literal("east")));
}

TEST(Explain, SaysWhichSiteMustComeOrAnswer) {
  Explained it;
  it.on(SessionClosed{it.north});
  const auto id = it.submit(Explained::for_sites(2, {SiteId::literal("north")}));
  const auto explained = it.explain(id);
  EXPECT_THAT(explained.sentence, HasSubstr("a mandatory site is not there"));
  EXPECT_EQ(explained.changes.at(0), "mandatory site north: it is not connected");
  EXPECT_EQ(Explained::site(explained, "north").standing, SiteStanding::away);
}

TEST(Explain, GivesASitesWordsWhenItHasDeclined) {
  Explained it;
  it.on(SessionClosed{it.connect("south", one_slot())});
  const auto id = it.submit(Explained::for_sites(2));
  it.decline(it.east, id, "policy clause \"coordinators\" does not list \"alice\"");
  const auto explained = it.explain(id);
  EXPECT_EQ(Explained::site(explained, "east").standing, SiteStanding::declined);
  EXPECT_THAT(Explained::site(explained, "east").sentences,
              ElementsAre("policy clause \"coordinators\" does not list \"alice\""));
  EXPECT_THAT(explained.changes.at(0), HasSubstr("south must be there"));
}

TEST(Explain, ADryRunSaysWhatWouldHappenAndStoresNothing) {
  Explained it;
  EXPECT_EQ(it.dry_run(Explained::for_sites(2)).sentence,
            "starts at once: it asks east and north, and each site's own policy decides");
  EXPECT_EQ(it.dry_run(Explained::for_sites(2)).job, std::nullopt);
  EXPECT_TRUE(it.core.state().jobs.empty());
  it.running();
  EXPECT_EQ(it.dry_run(Explained::for_sites(1)).place, 1U);
  EXPECT_EQ(it.core.state().jobs.size(), 1U);
}

TEST(Explain, ADryRunIsRefusedAsTheSubmissionWouldBe) {
  Explained it;
  auto spec = Explained::for_sites(2);
  spec.train.dataset = "scan";
  const auto alice = it.connect(Role::coordinator, "alice");
  EXPECT_EQ(it.refusal(alice, msg::ExplainSpec{spec}).code, "dataset_unknown");
  EXPECT_EQ(it.refusal(it.connect(Role::auditor, "eve"), msg::ExplainSpec{spec}).code,
            "not_authorised");
}

TEST(Explain, AnotherCoordinatorsJobIsUnknown) {
  Explained it;
  const auto id = it.running();
  const auto bob = it.connect(Role::coordinator, "bob");
  EXPECT_EQ(it.refusal(bob, msg::ExplainJob{id}).code, "job_unknown");
}

TEST(Explain, GivesTheWordsOfASiteThatWaits) {
  Explained it;
  const auto id = it.submit(Explained::for_sites(2));
  const std::string words = "policy clause \"approve\" (manual): waits for approval at the site";
  it.hear(it.east, msg::JobWaits{id, Explained::kSpecDigest, words});
  EXPECT_THAT(Explained::site(it.explain(id), "east").sentences, ElementsAre(words));
  it.accept(it.east, id);
  it.accept(it.north, id);
  EXPECT_THAT(Explained::site(it.explain(id), "east").sentences, IsEmpty());
  it.ask(it.mary, msg::DrainSite{SiteId::literal("north"), "a new disk"});
  EXPECT_THAT(Explained::site(it.explain(id), "north").sentences,
              ElementsAre("it is draining, a new disk"));
}

TEST(Explain, FollowsAJobToItsEnd) {
  Explained it;
  const auto id = it.submit(Explained::for_sites(2));
  EXPECT_EQ(it.explain(id).sentence, "asks its sites: 0 accepted, 2 thinking, 2 needed");
  it.accept(it.east, id);
  it.accept(it.north, id);
  EXPECT_EQ(it.explain(id).sentence, "runs at east and north");
  it.ask(it.mary, msg::AbortJob{id, "wrong file"});
  EXPECT_EQ(it.explain(id).sentence, "has been aborted: by operator/mary: wrong file");
}

TEST(Explain, OfThousandsOfSitesFitsIntoOneMessageAndSaysHowManyItLeavesOut) {
  Explained it;
  constexpr std::size_t kSites = 6000;
  for (std::size_t i = 0; i < kSites; ++i) {
    it.connect("s" + std::to_string(i), one_slot());
  }
  const auto explained = it.dry_run(Explained::for_sites(2, {SiteId::literal("east")}));
  EXPECT_LT(explained.sentence.size(), 500U) << "it names some of the sites only";
  EXPECT_EQ(explained.sites_left_out, 0U) << "free sites need no words";
  auto spec = Explained::for_sites(1);
  spec.train.dataset = "slides";  // west's: every other site is told why not
  const auto refused = it.dry_run(spec);
  EXPECT_GT(refused.sites_left_out, 0U);
  EXPECT_EQ(refused.sites.size() + refused.sites_left_out, kSites + 3);
  std::size_t bytes = 0;
  for (const auto& site : refused.sites) {
    for (const auto& sentence : site.sentences) {
      bytes += site.site.str().size() + sentence.size();
    }
  }
  EXPECT_LT(bytes, limits::kControlMessageBytesMax);
}

}  // namespace
}  // namespace entente::broker
