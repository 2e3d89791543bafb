// A disk that is full or fails, at some call of the broker or of an agent: the process refuses or
// stops with words for it, leaves nothing half-done, and when the disk is well again the job has
// the very model of an undisturbed run.
//
// The quick tests take a sample of the calls, the slow ones (./run test --slow) every one of them.
#include <gmock/gmock.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "tests/support/consortium.h"
#include "tests/support/disk_faults.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AnyOf;
using testing::HasSubstr;

// A little fault of everything: once or for good, broken or full.
struct Fault {
  std::uint64_t call = 1;
  int error = EIO;
  bool stays = false;
};

std::vector<Fault> faults_over(std::uint64_t calls, std::uint64_t how_many) {
  std::vector<Fault> faults;
  for (std::uint64_t i = 0; i < how_many; ++i) {
    const bool stays = i % 2 == 0;
    faults.push_back({1 + i * calls / how_many, stays ? ENOSPC : EIO, stays});
  }
  return faults;
}

bool is_slow_run() { return std::getenv("ENTENTE_SLOW") != nullptr; }

auto names_the_disk() {
  return AnyOf(HasSubstr("disk"), HasSubstr("database"), HasSubstr("No space left on device"),
               HasSubstr("Input/output error"));
}

class DiskFault : public testing::Test {
 protected:
  DiskFault()
      : broker_disk_(consortium_.folder() / "broker.plan", broker_data()),
        north_disk_(consortium_.folder() / "north.plan",
                    consortium_.site_folder("north") / "data") {}

  [[nodiscard]] fs::path broker_data() const { return consortium_.folder() / "broker/data"; }

  static void plan(DiskFaults& disk, const Fault& fault) {
    fault.stays ? disk.fail_from(fault.call, fault.error) : disk.fail_once(fault.call, fault.error);
  }

  // The broker and north run with disks that can fail, south as ever.
  void start_members() {
    consortium_.set_environment("broker", broker_disk_.environment());
    consortium_.set_environment("north", north_disk_.environment());
    EXPECT_TRUE(consortium_.stop("broker").success());
    consortium_.start_broker();
    SiteSetup quick;
    quick.trainer = "quick-trainer";
    consortium_.add_site("north", quick);
    consortium_.add_site("south", quick);
    consortium_.wait_for_sites(2);
  }

  static JobFile small_job() {
    JobFile job;
    job.evaluates = false;
    return job;
  }

  void expect_sound(const std::string& when) {
    const auto checked = consortium_.run("entente-broker", {"check", broker_data().string()});
    EXPECT_EQ(checked.code, 0) << when << "\n" << checked.out << checked.err;
  }

  // A process that ended by itself since the last look said why and exited with 1.
  void expect_clear_end(const std::string& name) {
    const auto status = consortium_.process(name).poll();
    ASSERT_TRUE(status.has_value());
    EXPECT_EQ(status->to_string(), "exited with code 1");
    const auto log = consortium_.log(name);
    const auto said = log.substr(std::exchange(heard_[name], log.size()));
    EXPECT_THAT(said, HasSubstr("error: "));
    EXPECT_THAT(said, names_the_disk());
  }

  // A well disk, and the process on it again if the fault has ended it.
  void revive(const std::string& name, DiskFaults& disk) {
    if (!has_ended(name)) {
      return;
    }
    expect_clear_end(name);
    if (name == "broker") {
      expect_sound("after it has stopped");
    }
    disk.heal();
    consortium_.start(name);
  }

  // Waits for the job's end, reviving whoever the fault ends meanwhile.
  json end_of(const std::string& job) {
    json shown;
    wait_until(job + " has ended", [&] {
      revive("broker", broker_disk_);
      revive("north", north_disk_);
      const auto asked = consortium_.entente({"job", "show", job, "--json"});
      shown = asked.code == 0 ? json::parse(asked.out) : json{{"state", "unknown"}};
      return shown["state"] == "completed" || shown["state"] == "failed";
    });
    return shown;
  }

  // Submits until it is promised.
  std::string submit() {
    const auto file = consortium_.write_job(small_job()).string();
    std::string job;
    wait_until("the job is submitted", [&] {
      revive("broker", broker_disk_);
      const auto submitted = consortium_.entente({"job", "submit", file, "--json"});
      job = submitted.code == 0 ? json::parse(submitted.out)["job"] : "";
      return !job.empty();
    });
    return job;
  }

  [[nodiscard]] bool has_ended(const std::string& name) {
    return consortium_.process(name).poll().has_value();
  }

  void fail_the_brokers_start(const Fault& fault);
  void fail_the_broker_in_a_job(const Fault& fault);
  void fail_north_in_a_job(const Fault& fault);

  void walk_the_brokers_start(std::uint64_t sample);
  void walk_the_brokers_job(std::uint64_t sample);
  void walk_norths_job(std::uint64_t sample);

  Consortium consortium_;
  DiskFaults broker_disk_;
  DiskFaults north_disk_;
  std::map<std::string, std::size_t> heard_;  // how much of each log
  std::string model_;                         // of the undisturbed run
};

void DiskFault::fail_the_brokers_start(const Fault& fault) {
  SCOPED_TRACE("call " + std::to_string(fault.call) + " of the broker's start");
  fs::remove_all(broker_data());
  const auto failed_before = broker_disk_.failed();
  plan(broker_disk_, fault);
  consortium_.launch_broker();
  wait_until("the broker has started or given up",
             [&] { return has_ended("broker") || fs::exists(broker_data() / "endpoint"); });
  if (has_ended("broker")) {
    expect_clear_end("broker");
  } else {
    (void)consortium_.stop("broker");
  }
  EXPECT_GT(broker_disk_.failed(), failed_before) << "the fault was never met";
  broker_disk_.heal();
  consortium_.start_broker();
  EXPECT_TRUE(consortium_.stop("broker").success());
  expect_sound("after a failed start");
}

void DiskFault::walk_the_brokers_start(std::uint64_t sample) {
  EXPECT_TRUE(consortium_.stop("broker").success());
  consortium_.set_environment("broker", broker_disk_.environment());
  fs::remove_all(broker_data());
  consortium_.start_broker();
  const auto calls = broker_disk_.calls();
  ASSERT_GT(calls, 20U);
  EXPECT_TRUE(consortium_.stop("broker").success());
  for (const auto& fault : faults_over(calls, sample == 0 ? calls : sample)) {
    fail_the_brokers_start(fault);
  }
}

void DiskFault::fail_the_broker_in_a_job(const Fault& fault) {
  SCOPED_TRACE("call " + std::to_string(fault.call) + " of the broker in a job");
  plan(broker_disk_, fault);
  const auto job = submit();
  const auto ended = end_of(job);
  broker_disk_.heal();
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_EQ(consortium_.model_hash(job), model_);
}

void DiskFault::walk_the_brokers_job(std::uint64_t sample) {
  start_members();
  const auto before = broker_disk_.calls();
  model_ = consortium_.model_hash(consortium_.complete(small_job()));
  const auto calls = broker_disk_.calls() - before;
  ASSERT_GT(calls, 20U);
  for (const auto& fault : faults_over(calls, sample == 0 ? calls : sample)) {
    fail_the_broker_in_a_job(fault);
    if (HasFatalFailure()) {
      return;
    }
  }
  EXPECT_TRUE(consortium_.stop("broker").success());
  expect_sound("at the end");
}

void DiskFault::fail_north_in_a_job(const Fault& fault) {
  SCOPED_TRACE("call " + std::to_string(fault.call) + " of an agent in a job");
  plan(north_disk_, fault);
  auto job = submit();
  auto ended = end_of(job);
  north_disk_.heal();
  if (ended["state"] == "failed") {  // a site whose disk stays full can't take part
    EXPECT_TRUE(fault.stays) << ended.dump(2);
    EXPECT_THAT(ended["reason"].get<std::string>(), HasSubstr("north"));
    EXPECT_THAT(ended["reason"].get<std::string>(), names_the_disk());
    job = submit();
    ended = end_of(job);
  }
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_EQ(consortium_.model_hash(job), model_);
}

void DiskFault::walk_norths_job(std::uint64_t sample) {
  start_members();
  const auto before = north_disk_.calls();
  model_ = consortium_.model_hash(consortium_.complete(small_job()));
  const auto calls = north_disk_.calls() - before;
  ASSERT_GT(calls, 10U);
  for (const auto& fault : faults_over(calls, sample == 0 ? calls : sample)) {
    fail_north_in_a_job(fault);
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST_F(DiskFault, AtTheBrokersStartIsARefusalAndTheNextStartIsSound) { walk_the_brokers_start(6); }

TEST_F(DiskFault, OfTheBrokerInAJobCostsTheModelNothing) { walk_the_brokers_job(5); }

TEST_F(DiskFault, OfAnAgentInAJobCostsTheModelNothing) { walk_norths_job(5); }

TEST_F(DiskFault, ThatTakesHalfOfEveryWriteIsNoFault) {
  start_members();
  model_ = consortium_.model_hash(consortium_.complete(small_job()));
  broker_disk_.make_writes_short(true);
  north_disk_.make_writes_short(true);
  EXPECT_EQ(consortium_.model_hash(consortium_.complete(small_job())), model_);
  EXPECT_TRUE(consortium_.stop("broker").success());
  expect_sound("after short writes");
}

class SlowDiskFault : public DiskFault {
 protected:
  void SetUp() override {
    if (!is_slow_run()) {
      GTEST_SKIP() << "takes minutes: ./run test --slow";
    }
  }
};

TEST_F(SlowDiskFault, AtEveryCallOfTheBrokersStart) { walk_the_brokers_start(0); }

TEST_F(SlowDiskFault, AtEveryCallOfTheBrokerInAJob) { walk_the_brokers_job(0); }

TEST_F(SlowDiskFault, AtEveryCallOfAnAgentInAJob) { walk_norths_job(0); }

}  // namespace
}  // namespace entente::integration
