// The power goes, at some sync of the broker or of an agent: what was not synced is gone, or partly
// there. Whoever comes back is sound and has what it had promised; the job has the very model of an
// undisturbed run, and nobody trains again what was finished on its disk.
//
// The quick tests cut at a sample of the syncs, the slow ones (./run test --slow) at every one,
// each time once with nothing and once with a torn half of what was not synced.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "site-agent/journal/journal.h"
#include "site-agent/journal/ledger.h"
#include "tests/support/consortium.h"
#include "tests/support/power_cut.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Cut {
  std::uint64_t sync = 1;
  std::optional<std::uint64_t> torn_by_seed;  // none: all that was not synced is gone
};

std::vector<Cut> sample_of_cuts(std::uint64_t syncs, std::uint64_t how_many) {
  std::vector<Cut> cuts;
  for (std::uint64_t i = 0; i < how_many; ++i) {
    const auto sync = 1 + i * syncs / how_many;
    cuts.push_back({sync, i % 2 == 0 ? std::nullopt : std::optional(sync)});
  }
  return cuts;
}

std::vector<Cut> every_cut(std::uint64_t syncs) {
  std::vector<Cut> cuts;
  for (std::uint64_t sync = 1; sync <= syncs; ++sync) {
    cuts.push_back({sync, std::nullopt});
    cuts.push_back({sync, sync});
  }
  return cuts;
}

bool is_slow_run() { return std::getenv("ENTENTE_SLOW") != nullptr; }

class PowerCuts : public testing::Test {
 protected:
  // Broker and sites have no data folder yet.
  PowerCuts() : broker_(consortium_.folder() / "broker"), north_(consortium_.site_folder("north")) {
    EXPECT_TRUE(consortium_.stop("broker").success());
    fs::remove_all(data_of("broker"));
    SiteSetup quick;
    quick.trainer = "quick-trainer";
    consortium_.make_site("north", quick);
    consortium_.make_site("south", quick);
    consortium_.set_environment("broker", broker_.environment());
    consortium_.set_environment("north", north_.environment());
  }

  [[nodiscard]] fs::path data_of(const std::string& name) const {
    return (name == "broker" ? consortium_.folder() / "broker" : consortium_.site_folder(name)) /
           "data";
  }
  PowerCut& disk_of(const std::string& name) { return name == "broker" ? broker_ : north_; }

  static JobFile small_job() {
    JobFile job;
    job.evaluates = false;
    return job;
  }

  void start_members() {
    for (const auto* name : {"broker", "north", "south"}) {
      consortium_.start(name);
    }
    consortium_.wait_for_sites(2);
  }

  // --- the cut, and what comes after ---

  bool is_dead(const std::string& name) {
    const auto status = consortium_.process(name).poll();
    if (status && status->signal != SIGKILL) {
      throw std::runtime_error(name + " " + status->to_string());
    }
    return status.has_value();
  }

  // The power is back, if it was cut: the disk is what it can be, and the process starts on it.
  void revive(const std::string& name, const Cut& cut) {
    if (!is_dead(name)) {
      return;
    }
    disk_of(name).drop_unsynced(cut.torn_by_seed);
    if (name == "broker") {
      expect_sound();
    } else if (fs::exists(data_of(name) / "journal.db")) {
      remember_what_was_finished(name);
    }
    consortium_.start(name);
  }

  void expect_sound() {
    const auto file = data_of("broker") / "broker.db";
    if (fs::exists(file) && fs::file_size(file) > 0) {
      const auto checked = consortium_.run("entente-broker", {"check", data_of("broker").string()});
      EXPECT_EQ(checked.code, 0) << checked.out << checked.err;
    }
  }

  // Which rounds the journal calls finished, and how often each was trained by then.
  void remember_what_was_finished(const std::string& site) {
    starts_before_cut_ = consortium_.log(site);
    const auto file = data_of(site) / "journal.db";
    auto journal = agent::Journal::open(file);
    ASSERT_TRUE(journal) << journal.error().message;
    const auto recovery = journal->recover();
    EXPECT_THAT(recovery.damaged, testing::IsEmpty());
    for (const auto& entry : recovery.known.outbox) {
      finished_.insert({entry.order.key.job.str(), entry.order.key.round});
    }
    const auto ledger = agent::read_ledger(file);
    ASSERT_TRUE(ledger) << ledger.error().message;
    for (const auto& row : *ledger) {
      finished_.insert({row.job, row.round});
    }
  }

  // Submits until it is promised.
  std::string submit(const std::string& victim, const Cut& cut) {
    const auto file = consortium_.write_job(small_job()).string();
    std::string job;
    wait_until("the job is submitted", [&] {
      revive(victim, cut);
      const auto submitted = consortium_.entente({"job", "submit", file, "--json"});
      job = submitted.code == 0 ? json::parse(submitted.out)["job"] : "";
      return !job.empty();
    });
    return job;
  }

  json end_of(const std::string& job, const std::string& victim, const Cut& cut) {
    json shown;
    wait_until(job + " has ended", [&] {
      revive(victim, cut);
      const auto asked = consortium_.entente({"job", "show", job, "--json"});
      EXPECT_THAT(asked.err, testing::Not(testing::HasSubstr("there is no job")))
          << "it was promised";
      shown = asked.code == 0 ? json::parse(asked.out) : json{{"state", "unknown"}};
      return shown["state"] == "completed" || shown["state"] == "failed";
    });
    return shown;
  }

  std::size_t trainings(const std::string& log, const std::string& job, int round) {
    return count(log,
                 "task_started  round " + std::to_string(round) + ": train  job=" + job + "\n");
  }

  void expect_trained_once(const std::string& job, const std::string& victim) {
    for (const std::string site : {"north", "south"}) {
      for (int round = 1; round <= small_job().rounds; ++round) {
        const bool may_repeat =
            site == victim && !finished_.contains({job, static_cast<Round>(round)});
        const auto before = may_repeat ? trainings(starts_before_cut_, job, round) : 0;
        EXPECT_LE(trainings(consortium_.log(site), job, round), before + 1)
            << site << " trained round " << round << " again";
      }
    }
  }

  void cut_in_a_job(const std::string& victim, const Cut& cut) {
    SCOPED_TRACE(victim + "'s sync " + std::to_string(cut.sync) + " in a job" +
                 (cut.torn_by_seed ? ", torn" : ""));
    starts_before_cut_.clear();
    finished_.clear();
    disk_of(victim).cut_at(cut.sync);
    const auto job = submit(victim, cut);
    const auto ended = end_of(job, victim, cut);
    disk_of(victim).disarm();
    ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
    EXPECT_EQ(consortium_.model_hash(job), model_);
    expect_trained_once(job, victim);
  }

  // One job after the other on the same disk, each with a cut.
  void walk_a_job(const std::string& victim, std::optional<std::uint64_t> how_many) {
    start_members();
    model_ = consortium_.model_hash(consortium_.complete(small_job()));
    const auto before = disk_of(victim).syncs();
    EXPECT_EQ(consortium_.model_hash(consortium_.complete(small_job())), model_);
    const auto syncs = disk_of(victim).syncs() - before;
    ASSERT_GT(syncs, 10U);
    for (const auto& cut : how_many ? sample_of_cuts(syncs, *how_many) : every_cut(syncs)) {
      cut_in_a_job(victim, cut);
      if (HasFailure()) {
        return;
      }
    }
    const auto jobs = consortium_.ask({"job", "list"});
    for (const auto& job : jobs) {
      EXPECT_EQ(consortium_.model_hash(job["job"]), model_) << job.dump();
    }
    EXPECT_TRUE(consortium_.stop("broker").success());
    expect_sound();
  }

  // From no data folder to a broker that listens, once for each cut.
  void walk_the_brokers_first_start(std::optional<std::uint64_t> how_many) {
    const auto before = broker_.syncs();
    consortium_.start_broker();
    const auto syncs = broker_.syncs() - before;
    ASSERT_GT(syncs, 5U);
    for (const auto& cut : how_many ? sample_of_cuts(syncs, *how_many) : every_cut(syncs)) {
      SCOPED_TRACE("sync " + std::to_string(cut.sync) + (cut.torn_by_seed ? ", torn" : ""));
      consortium_.kill("broker");
      fs::remove_all(data_of("broker"));
      fs::remove_all(consortium_.folder() / "broker.power-record");
      broker_.cut_at(cut.sync);
      consortium_.launch_broker();
      wait_until("the broker has died", [&] { return is_dead("broker"); });
      revive("broker", cut);
      if (HasFailure()) {
        return;
      }
    }
  }

  Consortium consortium_;
  PowerCut broker_;
  PowerCut north_;
  std::string model_;                                 // of an undisturbed run
  std::string starts_before_cut_;                     // the victim's log up to its death
  std::set<std::pair<std::string, Round>> finished_;  // by the victim, when it died
};

TEST_F(PowerCuts, AtTheBrokersFirstStartLeaveAFolderThatTheNextStartTakes) {
  walk_the_brokers_first_start(6);
}

TEST_F(PowerCuts, OfTheBrokerInAJobCostTheModelNothing) { walk_a_job("broker", 5); }

TEST_F(PowerCuts, OfAnAgentInAJobCostTheModelNothing) { walk_a_job("north", 5); }

TEST_F(PowerCuts, LeaveWhatABrokerWithANewDataFolderHasPromised) {
  start_members();
  const auto job = consortium_.complete(small_job());
  const auto model = consortium_.model_hash(job);
  consortium_.kill("broker");
  broker_.drop_unsynced();
  expect_sound();
  consortium_.start_broker();
  EXPECT_EQ(consortium_.model_hash(job), model);
}

TEST_F(PowerCuts, LeaveWhatAnAgentWithANewDataFolderHasWrittenDown) {
  start_members();
  const auto job = consortium_.complete(small_job());
  consortium_.kill("north");
  north_.drop_unsynced();
  const auto sent = consortium_.run(
      "entente-agent",
      {"sent", "--config", (consortium_.site_folder("north") / "agent.toml").string(), "--json"});
  ASSERT_EQ(sent.code, 0) << sent.err;
  EXPECT_EQ(count(sent.out, "\"accepted\""), 2U + 1U) << "two updates, the initial model\n"
                                                      << sent.out;
}

class SlowPowerCuts : public PowerCuts {
 protected:
  void SetUp() override {
    if (!is_slow_run()) {
      GTEST_SKIP() << "takes minutes: ./run test --slow";
    }
  }
};

TEST_F(SlowPowerCuts, AtEverySyncOfTheBrokersFirstStart) { walk_the_brokers_first_start({}); }

TEST_F(SlowPowerCuts, AtEverySyncOfTheBrokerInAJob) { walk_a_job("broker", {}); }

TEST_F(SlowPowerCuts, AtEverySyncOfAnAgentInAJob) { walk_a_job("north", {}); }

}  // namespace
}  // namespace entente::integration
