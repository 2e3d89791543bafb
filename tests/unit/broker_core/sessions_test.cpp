// Who may open a session, and what a peer may say in it.
#include <gmock/gmock.h>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;

std::string refused(const Effects& effects, SessionId session) {
  const auto messages = sent<msg::Refused>(effects, session);
  const auto closed = all<CloseSession>(effects);
  EXPECT_EQ(closed.size(), messages.size());
  EXPECT_TRUE(closed.empty() || closed[0].session == session);
  return messages.empty() ? "" : messages[0].reason.code;
}

TEST(Sessions, AreWelcomedByNameAndVersion) {
  Scenario it;
  const auto session = it.open(Role::site, "north");
  const auto welcomes = sent<msg::Welcome>(it.hello(session), session);
  ASSERT_EQ(welcomes.size(), 1U);
  EXPECT_EQ(welcomes[0].broker, "hub");
  EXPECT_EQ(welcomes[0].session, session);
  EXPECT_EQ(welcomes[0].protocol, msg::kProtocolMax);
}

TEST(Sessions, NeedAProtocolThatBothSpeak) {
  Scenario it;
  const auto later = it.open(Role::site, "north");
  msg::Hello hello;
  hello.protocol_min = msg::kProtocolMax + 1;
  hello.protocol_max = msg::kProtocolMax + 2;
  EXPECT_EQ(refused(it.hear(later, hello), later), "protocol_unsupported");
  EXPECT_FALSE(it.core.state().sites.contains(SiteId::literal("north")));

  const auto both = it.open(Role::site, "north");
  hello.protocol_min = msg::kProtocolMin;
  EXPECT_EQ(sent<msg::Welcome>(it.hear(both, hello), both).at(0).protocol, msg::kProtocolMax);
}

TEST(Sessions, BeginWithHelloAndSayItOnce) {
  Scenario it;
  const auto early = it.open(Role::site, "north");
  EXPECT_EQ(refused(it.hear(early, msg::Advert{advert()}), early), "protocol_violated");
  EXPECT_TRUE(it.store.audited("session.violate", "site/north"));
  EXPECT_TRUE(it.core.state().sites.empty());

  const auto twice = it.connect("south");
  EXPECT_EQ(refused(it.hello(twice), twice), "protocol_violated");
}

TEST(Sessions, OfTheSameInstallationSupersedeTheOlder) {
  Scenario it;
  const auto older = it.connect("north", advert(), 7);
  const auto newer = it.open(Role::site, "north");
  const auto effects = it.hello(newer, 7);
  ASSERT_EQ(all<CloseSession>(effects).size(), 1U);
  EXPECT_EQ(all<CloseSession>(effects)[0].session, older);
  EXPECT_EQ(sent<msg::Welcome>(effects, newer).size(), 1U);

  EXPECT_TRUE(it.hear(older, msg::Advert{advert("slides")}).rows.empty()) << "its words are late";
  it.on(SessionClosed{older});
  EXPECT_EQ(it.core.state().sites.at(SiteId::literal("north")).session, newer);
}

TEST(Sessions, OfAnotherInstallationAreRefusedWhileTheFirstIsThere) {
  Scenario it;
  const auto first = it.connect("north", advert(), 7);
  const auto second = it.open(Role::site, "north");
  EXPECT_EQ(refused(it.hello(second, 8), second), "site_already_connected");
  EXPECT_TRUE(it.store.audited("session.refuse", "site/north"));
  EXPECT_EQ(it.core.state().sites.at(SiteId::literal("north")).session, first);

  it.on(SessionClosed{first});
  const auto third = it.open(Role::site, "north");
  EXPECT_EQ(sent<msg::Welcome>(it.hello(third, 8), third).size(), 1U) << "the first has left";
}

TEST(Sessions, SaysOnlyWhatItsRoleAllows) {
  RunningJob it;
  EXPECT_EQ(refused(it.hear(it.alice, msg::Advert{advert()}), it.alice), "protocol_violated");
  const auto vera = it.connect(Role::auditor, "vera");
  const msg::ResultAnnounce announce{it.train("north"), {blob(2), 200, 100, 1, {}}};
  EXPECT_EQ(refused(it.hear(vera, announce), vera), "protocol_violated");
  EXPECT_EQ(refused(it.hear(it.north, msg::TaskOffer{}), it.north), "protocol_violated");
  EXPECT_EQ(it.store.task(it.train("north"))->state, TaskState::pending);
}

TEST(Sessions, AMalformedMessageEndsThemAnUnknownKindDoesNot) {
  Scenario it;
  const auto north = it.connect("north");
  const Refusal unknown{"message_unknown", "kind 99", "", Scope::site};
  EXPECT_TRUE(it.on(MessageRejected{north, unknown}).actions.empty());
  const Refusal invalid{"message_invalid", "metric.value is not a finite number", "", Scope::site};
  EXPECT_EQ(refused(it.on(MessageRejected{north, invalid}), north), "message_invalid");
}

TEST(Sessions, APartingSiteIsShownAsAwayAndKeepsItsJob) {
  RunningJob it;
  it.wait(Millis(500));
  it.on(SessionClosed{it.north});
  const auto sites = std::get<std::vector<SiteView>>(it.answer(it.alice, msg::ListSites{}));
  ASSERT_EQ(sites.size(), 3U);
  EXPECT_FALSE(sites[1].connected);
  EXPECT_EQ(sites[1].last_seen_unix_ms, it.now.unix_ms);
  EXPECT_EQ(sites[1].jobs, std::vector<JobId>{it.id});
  EXPECT_EQ(it.state(it.id), JobState::running);
}

TEST(Sessions, ASiteThatWasAwayAtTheEndIsToldOnReconnect) {
  RunningJob it;
  it.on(SessionClosed{it.north});
  const auto effects = it.ask(it.alice, msg::AbortJob{it.id, "enough"});
  EXPECT_EQ(sent<msg::JobClosed>(effects, it.east).size(), 1U);
  it.restart();
  it.north = it.open(Role::site, "north");
  it.hello(it.north);
  const auto told = sent<msg::JobClosed>(it.hear(it.north, msg::Advert{advert()}), it.north);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].job, it.id);
  EXPECT_THAT(told[0].reason, HasSubstr("enough"));
  EXPECT_TRUE(sent<msg::JobClosed>(it.hear(it.north, msg::Advert{advert()}), it.north).empty());
}

}  // namespace
}  // namespace entente::broker
