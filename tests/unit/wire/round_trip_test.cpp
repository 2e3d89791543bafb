// Every message survives the wire unchanged.
#include <gtest/gtest.h>

#include <set>

#include "common/wire/control_codec.h"
#include "common/wire/job_codec.h"
#include "tests/unit/wire/samples.h"

namespace entente::wire {
namespace {

using samples::bytes_of;

std::string sentence(const Refusal& refusal) { return refusal.code + ": " + refusal.message; }

void expect_round_trip(const msg::Control& message) {
  const auto decoded = decode_control(bytes_of(encode(message)));
  ASSERT_TRUE(decoded) << "alternative " << message.index() << ", " << sentence(decoded.error());
  EXPECT_EQ(*decoded, message) << "alternative " << message.index();
}

void expect_round_trip(const msg::Data& message) {
  const auto decoded = decode_data(bytes_of(encode(message)));
  ASSERT_TRUE(decoded) << "alternative " << message.index() << ", " << sentence(decoded.error());
  EXPECT_EQ(*decoded, message) << "alternative " << message.index();
}

TEST(RoundTrip, KeepsEveryFieldOfEveryControlMessage) {
  for (const auto& message : samples::control_messages()) {
    expect_round_trip(message);
  }
}

TEST(RoundTrip, KeepsEveryFieldOfEveryDataMessage) {
  for (const auto& message : samples::data_messages()) {
    expect_round_trip(message);
  }
}

TEST(RoundTrip, KeepsDefaults) {
  for (const auto& message : samples::smallest_control_messages()) {
    expect_round_trip(message);
  }
  for (const auto& message : samples::smallest_data_messages()) {
    expect_round_trip(message);
  }
}

TEST(RoundTrip, SamplesCoverEveryAlternative) {
  std::set<std::size_t> control;
  std::set<std::size_t> requests;
  std::set<std::size_t> replies;
  for (const auto& message : samples::control_messages()) {
    control.insert(message.index());
    if (const auto* request = std::get_if<msg::Request>(&message)) {
      requests.insert(request->body.index());
    }
    if (const auto* reply = std::get_if<msg::Reply>(&message)) {
      replies.insert(reply->body.index());
    }
  }
  EXPECT_EQ(control.size(), std::variant_size_v<msg::Control>);
  EXPECT_EQ(requests.size(), std::variant_size_v<msg::RequestBody>);
  EXPECT_EQ(replies.size(), std::variant_size_v<msg::ReplyBody>);

  std::set<std::size_t> data;
  for (const auto& message : samples::data_messages()) {
    data.insert(message.index());
  }
  EXPECT_EQ(data.size(), std::variant_size_v<msg::Data>);
}

template <class T>
void expect_every_value_survives(std::size_t count, auto place, auto message) {
  for (std::size_t i = 0; i < count; ++i) {
    place() = static_cast<T>(i);
    expect_round_trip(message());
  }
}

TEST(RoundTrip, KeepsEveryEnumerator) {
  auto refusal = samples::refusal();
  expect_every_value_survives<Scope>(
      4, [&]() -> auto& { return refusal.scope; },
      [&] { return msg::Control(msg::Refused{refusal}); });
  auto key = samples::task_key();
  expect_every_value_survives<TaskKind>(
      3, [&]() -> auto& { return key.kind; },
      [&] {
        return msg::Control(msg::ResultGrant{key, samples::blob(1)});
      });
  auto summary = samples::job_summary();
  expect_every_value_survives<JobState>(
      6, [&]() -> auto& { return summary.state; },
      [&] {
        return msg::Control(msg::Reply{1, summary});
      });
  auto event = samples::job_event();
  expect_every_value_survives<JobEventKind>(
      14, [&]() -> auto& { return event.kind; },
      [&] {
        return msg::Control(msg::JobUpdate{1, summary, {event}, {}});
      });
  auto site = samples::job_site_view();
  expect_every_value_survives<Enrolment>(
      3, [&]() -> auto& { return site.enrolment; },
      [&] {
        return msg::Control(msg::JobUpdate{1, summary, {}, {site}});
      });
  expect_every_value_survives<TaskState>(
      6, [&]() -> auto& { return site.task_state; },
      [&] {
        return msg::Control(msg::JobUpdate{1, summary, {}, {site}});
      });
  auto job = samples::job_view();
  expect_every_value_survives<RoundState>(
      4, [&]() -> auto& { return job.rounds.back().state; },
      [&] {
        return msg::Control(msg::Reply{1, job});
      });
}

TEST(RoundTrip, TakesBytesOfAnyAlignment) {
  const msg::Control message = msg::Advert{samples::site_advert()};
  const Bytes bytes = encode(message);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    const Bytes shifted = std::string(shift, 'x') + bytes;
    const auto decoded = decode_control(bytes_of(shifted).subspan(shift));
    ASSERT_TRUE(decoded) << "shifted by " << shift;
    EXPECT_EQ(*decoded, message);
  }
}

TEST(RoundTrip, KeepsAMessageOfManySegments) {
  msg::JobUpdate update{1, samples::job_summary(), {}, {}};
  for (std::uint64_t seq = 1; seq <= 2000; ++seq) {
    update.events.push_back(samples::job_event());
    update.events.back().seq = seq;
  }
  expect_round_trip(msg::Control(update));
}

TEST(RoundTrip, KeepsAStoredAdvert) {
  const auto advert = samples::site_advert();
  const auto decoded = decode_site_advert(bytes_of(encode(advert)));
  ASSERT_TRUE(decoded) << sentence(decoded.error());
  EXPECT_EQ(*decoded, advert);

  const auto empty = decode_site_advert(bytes_of(encode(SiteAdvert{})));
  ASSERT_TRUE(empty) << sentence(empty.error());
  EXPECT_EQ(*empty, SiteAdvert{});
}

}  // namespace
}  // namespace entente::wire
