// A site behind a bad line (tests/support/line.h): cut, deaf in one direction, far away, lossy,
// slow. The broker and the other sites are at the near end, south is at the far one.
//
// What a line loses follows from a seed. Another one:
//   ENTENTE_LINE_SEED=7 line_test --gtest_filter='BadLine.*'
#include <gmock/gmock.h>

#include <cstdlib>

#include "tests/support/consortium.h"
#include "tests/support/line.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Direction = Line::Direction;

// For what a line of 10 KB/s carries in minutes, and for TCP's longest pauses.
constexpr std::chrono::minutes kLongPatience{8};

std::uint64_t line_seed() {
  const char* const text = std::getenv("ENTENTE_LINE_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

class BadLine : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = Line::refusal()) {
      GTEST_SKIP() << *why;
    }
    line_.emplace(line_seed());
    consortium_.emplace(&*line_);
  }

  void TearDown() override {
    if (HasFailure()) {
      std::cerr << "replay with ENTENTE_LINE_SEED=" << line_seed() << '\n';
    }
  }

  void add_sites(const std::string& trainer = "held-trainer") {
    SiteSetup setup;
    setup.trainer = trainer;
    setup.slots = 2;
    for (const auto* site : {"east", "north"}) {
      consortium_->add_site(site, setup);
    }
    setup.far = true;
    consortium_->add_site("south", setup);
    consortium_->wait_for_sites(3);
  }

  static JobFile job_of_three() {
    JobFile job;
    job.sites_min = 3;
    return job;
  }

  // An update of `kilobytes`.
  static JobFile large_job(int kilobytes) {
    JobFile job = job_of_three();
    job.rounds = 1;
    job.evaluates = false;
    job.hidden = kilobytes * 1000 / ((64 + 1 + 3) * 4);
    return job;
  }

  std::size_t times(const std::string& process, const std::string& what) const {
    return count(consortium_->log(process), what);
  }

  // Submits, and waits until south alone has not finished its round 1, which it is about to begin.
  std::string submit_and_hold_south(const JobFile& job) {
    consortium_->hold("south", "train-1");
    const auto id = consortium_->submit(job);
    (void)consortium_->wait_until_held("south", "train-1");
    wait_until("the others have answered", [&] { return updates(id, "north") == 1; });
    return id;
  }

  std::size_t updates(const std::string& job, const std::string& site) {
    const auto shown = consortium_->ask({"job", "show", job});
    for (const auto& view : shown["sites"]) {
      if (view["site"] == site) {
        return view["updates_accepted"];
      }
    }
    return 0;
  }

  void release_south_and_let_it_finish() {
    consortium_->release("south", "train-1");
    wait_until("south has finished", [&] { return times("south", "train is finished") == 1; });
  }

  nlohmann::json wait_for_end(const std::string& job, milliseconds patience) {
    wait_until(
        job + " has ended",
        [&] {
          const auto state = consortium_->ask({"job", "show", job})["state"];
          return state == "completed" || state == "failed";
        },
        patience);
    return consortium_->ask({"job", "show", job});
  }

  // It has completed with everybody's updates and the model of good weather, and nobody trained a
  // round twice.
  void expect_undisturbed(const std::string& id, const JobFile& job,
                          milliseconds patience = kPatience) {
    const auto ended = wait_for_end(id, patience);
    ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
    for (const auto* site : {"east", "north", "south"}) {
      EXPECT_EQ(updates(id, site), static_cast<std::size_t>(job.rounds)) << site;
      for (int round = 1; round <= job.rounds; ++round) {
        const auto start = "round " + std::to_string(round) + ": train  job=" + id;
        EXPECT_EQ(times(site, "task_started  " + start), 1U) << site << ", round " << round;
      }
    }
    line_->set({});
    const auto again = consortium_->submit(job);
    ASSERT_EQ(wait_for_end(again, kLongPatience)["state"], "completed");
    EXPECT_EQ(consortium_->model_hash(id), consortium_->model_hash(again));
  }

  // What is cut stays so until the site and the broker have given their session up.
  void expect_survival_of(Direction direction) {
    add_sites();
    const auto job = job_of_three();
    const auto id = submit_and_hold_south(job);
    line_->set(direction, {.cut = true});
    release_south_and_let_it_finish();
    wait_until(
        "south misses its broker", [&] { return times("south", "session_lost") > 0; },
        kLongPatience);
    line_->set({});
    expect_undisturbed(id, job, kLongPatience);
  }

  std::optional<Line> line_;
  std::optional<Consortium> consortium_;
};

using SlowBadLine = BadLine;

TEST_F(BadLine, ThatIsCutForAMomentChangesNothing) {
  add_sites();
  const auto job = job_of_three();
  const auto id = submit_and_hold_south(job);
  line_->set({.cut = true});
  release_south_and_let_it_finish();
  wait_until("something was lost on the way",
             [&] { return line_->traffic(Direction::to_near).lost > 0; });
  line_->set({});
  expect_undisturbed(id, job);
  EXPECT_EQ(times("south", "session_lost"), 0U);
}

TEST_F(BadLine, ThatIsCutBeyondTheStallWindowLeavesTheRoundToTheOthers) {
  add_sites();
  auto job = job_of_three();
  job.rounds = 1;
  job.extra = "stall_window = \"4s\"";
  job.sites_extra = "quorum = 2";
  const auto id = submit_and_hold_south(job);
  line_->set({.cut = true});
  release_south_and_let_it_finish();
  const auto ended = wait_for_end(id, kPatience);
  EXPECT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_EQ(updates(id, "north"), 1U);
  EXPECT_EQ(updates(id, "south"), 0U);
  std::string told;
  for (const auto& event : consortium_->events(id)) {
    told += event.dump() + '\n';
  }
  EXPECT_THAT(told, testing::HasSubstr("no progress for 4 s"));

  // Whoever comes back takes part in what comes next.
  line_->set({});
  wait_until("south has heard of the end", [&] { return times("south", "job_closed") > 0; });
  const auto next = consortium_->complete(job_of_three());
  EXPECT_EQ(updates(next, "south"), 2U);
}

TEST_F(BadLine, Of256KilobitsCarriesAJobOnTheSessionsThatItBeganWith) {
  add_sites("quick-trainer");
  line_->set({.bytes_per_second = 32'000, .delay = milliseconds(50)});
  constexpr std::uint64_t kBytes = 200'000;
  const auto job = large_job(kBytes / 1000);
  const auto id = consortium_->submit(job);
  ASSERT_EQ(wait_for_end(id, kLongPatience)["state"], "completed");
  const auto up = line_->traffic(Direction::to_near).bytes;
  expect_undisturbed(id, job);
  EXPECT_EQ(times("south", "session_lost"), 0U);
  EXPECT_LT(up, 2 * kBytes) << "no transfer was cut and begun again";
}

TEST_F(SlowBadLine, ThatIsCutUntilTheSessionsEndAndHealsInTimeChangesNothing) {
  add_sites();
  const auto job = job_of_three();
  const auto id = submit_and_hold_south(job);
  line_->set({.cut = true});
  release_south_and_let_it_finish();
  wait_until(
      "south misses its broker", [&] { return times("south", "session_lost") > 0; }, kLongPatience);
  wait_until(
      "the broker misses south", [&] { return times("broker", "session_down") > 0; },
      kLongPatience);
  line_->set({});
  expect_undisturbed(id, job, kLongPatience);
}

TEST_F(SlowBadLine, ThatIsDeafTowardsTheBrokerChangesNothing) {
  expect_survival_of(Direction::to_near);
}

TEST_F(SlowBadLine, ThatIsDeafTowardsTheSiteChangesNothing) {
  expect_survival_of(Direction::to_far);
}

TEST_F(SlowBadLine, TwoSecondsLongThatLosesOnePacketInTwentyCarriesAJob) {
  add_sites("quick-trainer");
  line_->set({.delay = seconds(2), .loss = 0.05});
  const auto job = large_job(40);
  expect_undisturbed(consortium_->submit(job), job, kLongPatience);
}

// At such a line's end a site is let in, too.
TEST_F(SlowBadLine, TwoSecondsLongThatLosesOnePacketInTwentyLetsASiteIn) {
  line_->set({.delay = seconds(2), .loss = 0.05});
  SiteSetup setup;
  setup.far = true;
  consortium_->add_site("south", setup);
  wait_until(
      "south is there",
      [&] {
        const auto sites = consortium_->ask({"site", "list"});
        return sites.size() == 1 && sites[0]["connected"] && sites[0]["version"] != "";
      },
      kLongPatience);
}

TEST_F(SlowBadLine, Of10KilobytesASecondCarriesAJobAndSlowsNobodyElse) {
  add_sites("quick-trainer");
  line_->set({.bytes_per_second = 10'000, .delay = milliseconds(50)});
  constexpr std::uint64_t kBytes = 600'000;  // a minute of the line: too long for large chunks
  const auto job = large_job(kBytes / 1000);
  const auto id = consortium_->submit(job);
  wait_until("the others have answered", [&] { return updates(id, "north") == 1; });
  ASSERT_EQ(updates(id, "south"), 0U) << "its upload takes a minute at least";
  auto near_only = job_of_three();
  near_only.sites_min = 2;
  near_only.sites_extra = "exclude = [\"south\"]";
  near_only.evaluates = false;
  const auto beside = consortium_->complete(near_only);
  EXPECT_EQ(updates(beside, "north"), 2U);
  EXPECT_EQ(updates(id, "south"), 0U) << "the others' job was over while south still carried";

  ASSERT_EQ(wait_for_end(id, kLongPatience)["state"], "completed");
  const auto up = line_->traffic(Direction::to_near).bytes;
  expect_undisturbed(id, job, kLongPatience);
  EXPECT_EQ(times("south", "session_lost"), 0U);
  EXPECT_LT(up, 2 * kBytes) << "no transfer was cut and begun again";
}

}  // namespace
}  // namespace entente::integration
