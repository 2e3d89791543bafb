// The failpoint walk: each program dies at each place of common/runtime/failpoint.h, the first time
// it gets there and once in the middle of a job, and is started again. The job must complete with
// the model of an undisturbed run, bit for bit; no site trains a round again that it had finished,
// or that somebody else's death interrupted; nobody contributes twice.
//
// One test for each failpoint. What it compares with is an undisturbed run, recorded once
// (UndisturbedRun, a fixture of ctest) and left in the file $ENTENTE_UNDISTURBED_RUN; without that
// variable each test records its own. A failpoint that the recorded run does not reach fails its
// test. ENTENTE_WALK=every kills at every occurrence instead of two of them.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "broker/store/broker_store.h"
#include "common/runtime/failpoint.h"
#include "site-agent/journal/journal.h"
#include "site-agent/journal/ledger.h"
#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// How long after the end of its job a process may still be about to die.
constexpr std::chrono::milliseconds kLastMoment{1500};

constexpr const char* kJob = "stripes-1";

struct Death {
  std::string victim;
  std::string point;
  int occurrence = 1;
  int pause_ms = 0;  // the thread stops at the point, the rest of the process lives on that long

  [[nodiscard]] std::string where() const {
    return point + ":" + std::to_string(occurrence) +
           (pause_ms == 0 ? "" : ":" + std::to_string(pause_ms));
  }
};

// Enough for what was said before to be heard and acted upon.
constexpr int kPauseMs = 200;

JobFile job_file() {
  JobFile job;
  job.hidden = 24;  // an update of 6.8 KB: two chunks, so that an upload has a middle
  job.evaluates = false;
  // The server's optimiser, the sites' residuals and their own tensors are something to lose. Half
  // of the values take the bytes of all.
  job.train_extra = "exclude = [\"hidden.bias\"]";
  job.extra = "strategy.kind = \"fedadam\"\nupdate.encoding = \"topk\"\nupdate.fraction = 0.5\n";
  return job;
}

std::string shared_or_own(std::string_view point) {
  return std::string(point.substr(0, point.find('.')));
}

std::vector<std::string> victims_of(std::string_view point) {
  const auto whose = shared_or_own(point);
  if (whose == "broker") {
    return {"broker"};
  }
  if (whose == "agent") {
    return {"north"};
  }
  return {"broker", "north"};
}

// At once the first time; in the middle of the job with everybody else ahead by a moment.
std::vector<Death> deaths_of(const std::string& victim, const std::string& point, int times) {
  const auto* walk = std::getenv("ENTENTE_WALK");
  if (walk == nullptr || std::string(walk) != "every") {
    return {{victim, point, 1, 0}, {victim, point, (times + 1) / 2, kPauseMs}};
  }
  std::vector<Death> all;
  for (int i = 1; i <= times; ++i) {
    all.push_back({victim, point, i, 0});
    all.push_back({victim, point, i, kPauseMs});
  }
  return all;
}

// What an undisturbed run has left.
struct Recording {
  std::string model;                                          // SHA-256 of the final one
  std::map<std::string, std::map<std::string, int>> reached;  // by process and failpoint: how often
};

json to_json(const Recording& recording) {
  return {{"model", recording.model}, {"reached", recording.reached}};
}

fs::path recording_file() {
  const auto* file = std::getenv("ENTENTE_UNDISTURBED_RUN");
  return file == nullptr ? "" : file;
}

class Walk : public testing::Test {
 protected:
  Walk() {
    for (const auto* site : {"north", "south"}) {
      consortium_.make_site(site, quick_site());
    }
    job_ = consortium_.write_job(job_file());
  }

  static SiteSetup quick_site() {
    SiteSetup setup;
    setup.trainer = "quick-trainer";
    return setup;
  }

  // --- one run, on empty data folders ---

  // Throws away what earlier runs left.
  void start_over() {
    for (const auto* process : kProcesses) {
      if (started_.erase(process) != 0) {
        consortium_.kill(process);
      }
      fs::remove(consortium_.folder() / "logs" / (std::string(process) + ".log"));
      fs::remove_all(data_of(process));
    }
    trained_before_death_.clear();
    starts_before_death_.clear();
  }

  void start(const std::string& process, std::map<std::string, std::string> variables = {}) {
    consortium_.set_environment(process, std::move(variables));
    started_.insert(process);
    consortium_.start(process);
  }

  Recording record() {
    start_over();
    for (const auto* process : kProcesses) {
      start(process, {{"ENTENTE_FAILPOINT_LIST", list_of(process).string()}});
    }
    consortium_.wait_for_sites(2);
    Recording recording;
    EXPECT_EQ(submit().code, 0);
    EXPECT_EQ(watch().code, 0);
    recording.model = consortium_.model_hash(kJob);
    for (const auto* process : kProcesses) {
      std::istringstream names(read_text(list_of(process)));
      for (std::string name; std::getline(names, name);) {
        ++recording.reached[process][name];
      }
    }
    return recording;
  }

  Recording recorded() {
    if (recording_file().empty()) {
      return record();
    }
    const auto text = json::parse(read_text(recording_file()));
    return {text["model"], text["reached"]};
  }

  // False when the job was over before the victim got there: how many rows go into one transaction
  // and how many bytes into one message depends on the moment.
  bool run_with(const Death& death) {
    start_over();
    for (const auto* process : kProcesses) {
      if (process == death.victim) {
        start_doomed(process, {{"ENTENTE_FAILPOINT", death.where()}});
      } else {
        start(process);
      }
    }
    submit_among_the_dying(death.victim);
    auto watching = begin_watch();
    wait_until(death.victim + " dies at " + death.where() + ", or the job ends", [&] {
      if (!revived_ && is_dead(death.victim)) {
        revive(death.victim);
      }
      return revived_ || has_ended(watching);
    });
    auto watched = watching.finish();
    if (watched.code != 0 && death.victim == "broker") {
      watched = watch();  // the first one had hardly begun when its broker died
    }
    EXPECT_EQ(watched.code, 0) << watched.out << watched.err;
    if (!revived_ && !dies_at_last(death.victim)) {
      return false;
    }
    expect_undisturbed(death.victim);
    return true;
  }

  static bool has_ended(Command& watching) {
    return watching.output().find("\"kind\":\"completed\"") != std::string::npos;
  }

  // The last thing that happens to a job may be the moment to die.
  bool dies_at_last(const std::string& victim) {
    try {
      wait_until(
          "its death", [&] { return is_dead(victim); }, kLastMoment);
    } catch (const std::runtime_error&) {
      return false;
    }
    revive(victim);
    return true;
  }

  // --- dying and coming back ---

  // It may be dead before anybody could see it start.
  void start_doomed(const std::string& process, std::map<std::string, std::string> variables) {
    revived_ = false;
    try {
      start(process, std::move(variables));
    } catch (const std::exception&) {
      if (!is_dead(process)) {
        throw;
      }
      revive(process);
    }
  }

  bool is_dead(const std::string& process) {
    const auto status = consortium_.process(process).poll();
    if (status && status->signal != SIGKILL) {
      throw std::runtime_error(process + " " + status->to_string());
    }
    return status.has_value();
  }

  void revive(const std::string& process) {
    revived_ = true;
    if (process != "broker") {
      remember_what_was_finished(process);
    }
    start(process);
  }

  // What the journal holds at the moment of death, read from a copy: the real one is left as it
  // is for the agent that comes back.
  void remember_what_was_finished(const std::string& site) {
    const auto copy = consortium_.folder() / "journal-copy";
    fs::remove_all(copy);
    fs::create_directories(copy);
    for (const auto& entry : fs::directory_iterator(data_of(site))) {
      if (entry.path().filename().string().starts_with("journal.db")) {
        fs::copy(entry.path(), copy / entry.path().filename());
      }
    }
    starts_before_death_ = training_starts(site);
    if (!fs::exists(copy / "journal.db")) {
      return;
    }
    auto journal = agent::Journal::open(copy / "journal.db");
    ASSERT_TRUE(journal) << journal.error().message;
    const auto recovery = journal->recover();
    ASSERT_THAT(recovery.damaged, testing::IsEmpty());
    for (const auto& entry : recovery.known.outbox) {
      if (entry.order.key.kind == TaskKind::train) {
        trained_before_death_.insert(entry.order.key.round);
      }
    }
    const auto ledger = agent::read_ledger(copy / "journal.db");
    ASSERT_TRUE(ledger) << ledger.error().message;
    for (const auto& row : *ledger) {
      if (row.kind == "train") {
        trained_before_death_.insert(row.round);
      }
    }
  }

  // --- the coordinator ---

  Outcome submit() { return consortium_.entente({"job", "submit", job_.string()}); }
  Command begin_watch() { return consortium_.begin({"job", "watch", kJob, "--json"}); }
  Outcome watch() { return begin_watch().finish(); }

  // A coordinator without an answer asks the broker, once that is back, whether it has the job. One
  // that has an answer never submits again.
  void submit_among_the_dying(const std::string& victim) {
    wait_until("the job is submitted", [&] {
      if (!revived_ && is_dead(victim)) {
        revive(victim);
      }
      if (!answer_to({"job", "list", "--json"}).empty()) {
        return true;
      }
      return connected_sites() == 2 && submit().code == 0;
    });
  }

  // Empty also when the broker does not answer.
  json answer_to(const std::vector<std::string>& request) {
    const auto outcome = consortium_.entente(request);
    return outcome.code == 0 ? json::parse(outcome.out) : json::array();
  }
  std::ptrdiff_t connected_sites() {
    const auto sites = answer_to({"site", "list", "--json"});
    return std::count_if(sites.begin(), sites.end(), [](const json& site) {
      return site["connected"] && site["version"] != "";
    });
  }

  // --- what must be true after every death ---

  void expect_undisturbed(const std::string& victim) {
    EXPECT_EQ(consortium_.ask({"job", "list"}).size(), 1U);
    std::string newest;
    for (int round = 1; round <= job_file().rounds; ++round) {
      const auto model =
          consortium_.ask({"model", "show", std::string(kJob) + "@" + std::to_string(round)});
      std::vector<std::string> sites;
      for (const auto& contribution : model["contributions"]) {
        sites.push_back(contribution["site"]);
      }
      EXPECT_THAT(sites, testing::ElementsAre("north", "south")) << "round " << round;
      newest = model["blob"];
    }
    EXPECT_EQ(newest, recording_.model) << "another model";
    for (const std::string site : {"north", "south"}) {
      expect_trained_once(site, site == victim);
    }
    expect_sound_audit();
  }

  void expect_trained_once(const std::string& site, bool has_died) {
    for (const auto& [round, starts] : training_starts(site)) {
      const int before = has_died ? starts_before_death_[round] : 0;
      const int allowed = has_died && !trained_before_death_.contains(round) ? before + 1 : 1;
      EXPECT_LE(starts, allowed) << site << " trained round " << round << " again";
    }
  }

  std::map<Round, int> training_starts(const std::string& site) const {
    std::map<Round, int> starts;
    for (int round = 1; round <= job_file().rounds; ++round) {
      starts[static_cast<Round>(round)] = static_cast<int>(
          count(consortium_.log(site), "task_started  round " + std::to_string(round) + ": train"));
    }
    return starts;
  }

  void expect_sound_audit() {
    started_.erase("broker");
    consortium_.kill("broker");
    auto store = broker::BrokerStore::open(data_of("broker") / "broker.db");
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_EQ(store->first_broken_audit_row(), std::nullopt);
  }

  [[nodiscard]] fs::path data_of(const std::string& process) const {
    return process == "broker" ? consortium_.folder() / "broker/data"
                               : consortium_.site_folder(process) / "data";
  }
  [[nodiscard]] fs::path list_of(const std::string& process) const {
    return consortium_.folder() / (process + ".failpoints");
  }

  static constexpr std::array kProcesses{"broker", "north", "south"};

  Consortium consortium_;
  fs::path job_;
  std::set<std::string> started_{"broker"};
  Recording recording_;
  bool revived_ = false;
  std::set<Round> trained_before_death_;  // by the site that dies
  std::map<Round, int> starts_before_death_;
};

using UndisturbedRun = Walk;

TEST_F(UndisturbedRun, IsRecorded) {
  const auto recording = record();
  if (!HasFailure() && !recording_file().empty()) {
    write_text(recording_file(), to_json(recording).dump(2));
  }
}

class FailpointWalk : public Walk, public testing::WithParamInterface<std::string> {};

TEST_P(FailpointWalk, DyingHereChangesNothing) {
  recording_ = recorded();
  const auto& point = GetParam();
  for (const auto& victim : victims_of(point)) {
    const auto times = recording_.reached[victim][point];
    ASSERT_GT(times, 0) << "no run of " << victim << " reaches " << point;
    for (auto death : deaths_of(victim, point, times)) {
      while (!run_with(death) && !HasFailure()) {
        ASSERT_GT(death.occurrence, 1) << victim << " does not get to " << point;
        death.occurrence /= 2;
      }
      if (HasFailure()) {
        FAIL() << "when " << victim << " dies at " << death.where();  // with the logs of this run
      }
    }
  }
}

std::vector<std::string> all_failpoints() {
  std::vector<std::string> names;
  for (const auto& point : kFailpoints) {
    names.emplace_back(point.name);
  }
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& point) {
  auto name = point.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(At, FailpointWalk, testing::ValuesIn(all_failpoints()), test_name);

}  // namespace
}  // namespace entente::integration
