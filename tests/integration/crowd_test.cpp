// A thousand at the door, a thousand inside, and twenty that come back at once: the good ones
// notice little of it, and nothing is left behind.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <regex>
#include <set>

#include "common/config/job_file.h"
#include "common/net/context.h"
#include "common/runtime/system_clock.h"
#include "tests/support/bare_member.h"
#include "tests/support/consortium.h"
#include "tests/support/process_probe.h"
#include "tests/support/wait.h"
#include "tests/unit/net/raw_client.h"

namespace entente::integration {
namespace {

using net::test::RawClient;
using std::chrono::microseconds;

constexpr std::size_t kCrowd = 1000;

// What a machine that others use may add to the latency of a request.
constexpr std::chrono::milliseconds kNoise{20};

class Crowd : public testing::Test {
 protected:
  Crowd() {
    net::raise_descriptor_limit();
    zmq_.set(zmq::ctxopt::max_sockets, 2 * static_cast<int>(kCrowd));
  }

  Kit kit(const std::string& name) {
    return load_kit(consortium_.kit(name), system_now().unix_ms).value();
  }

  // The median of a few requests.
  static microseconds latency(BareMember& member) {
    std::vector<microseconds> times;
    for (int i = 0; i < 51; ++i) {
      const auto start = std::chrono::steady_clock::now();
      (void)member.ask(msg::ListSites{});
      times.push_back(
          std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - start));
    }
    std::nth_element(times.begin(), times.begin() + 25, times.end());
    return times[25];
  }

  [[nodiscard]] std::size_t broker_descriptors() {
    return open_descriptors(consortium_.pid("broker"));
  }
  [[nodiscard]] std::uint64_t broker_bytes() { return anonymous_bytes(consortium_.pid("broker")); }

  zmq::context_t zmq_;
  Consortium consortium_;
};

bool can_hold(std::size_t descriptors) {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= descriptors;
}

TEST_F(Crowd, OfThousandStalledHandshakesDelaysNobodyAndIsGoneInTime) {
  if (!can_hold(2 * kCrowd)) {
    GTEST_SKIP() << "this process may not have 2000 descriptors";
  }
  BareMember alice(zmq_, kit("alice"), 1);
  const auto calm = latency(alice);
  const auto descriptors = broker_descriptors();
  std::vector<std::unique_ptr<RawClient>> stalled;
  for (std::size_t i = 0; i < kCrowd; ++i) {
    stalled.push_back(std::make_unique<RawClient>(consortium_.port()));
    if (i % 2 == 0) {
      stalled.back()->send_plain("\x16\x03\x01");
    }
  }
  EXPECT_LT(latency(alice), 2 * calm + kNoise);
  const BareMember newcomer(zmq_, kit("alice"), 2);  // is let in among them
  wait_until("the stalled are gone", [&] { return broker_descriptors() <= descriptors + 8; });
  EXPECT_LT(latency(alice), 2 * calm + kNoise);
}

TEST_F(Crowd, OfThousandSessionsTakesLittleMemoryDelaysNobodyAndLeavesNothing) {
  if (!can_hold(12 * kCrowd)) {
    GTEST_SKIP() << "this process may not have 12000 descriptors";
  }
  constexpr std::size_t kOfOne = 50;
  constexpr std::uint64_t kSessionBytesMax = 64 << 10;
  BareMember alice(zmq_, kit("alice"), 1);
  const auto calm = latency(alice);
  const auto descriptors = broker_descriptors();
  const auto bytes = broker_bytes();
  {
    std::vector<std::unique_ptr<BareMember>> members;
    for (std::size_t i = 0; i < kCrowd / kOfOne; ++i) {
      const auto name = "member-" + std::to_string(i);
      consortium_.issue(Role::coordinator, name);
      const auto its = kit(name);
      for (std::size_t k = 0; k < kOfOne; ++k) {
        members.push_back(std::make_unique<BareMember>(zmq_, its, i * kOfOne + k));
      }
    }
    const auto each = (broker_bytes() - bytes) / kCrowd;
    RecordProperty("bytes_per_session", std::to_string(each));
    RecordProperty("descriptors_per_session",
                   std::to_string((broker_descriptors() - descriptors) / kCrowd));
    RecordProperty("own_descriptors_per_session",
                   std::to_string(open_descriptors(::getpid()) / kCrowd));
    EXPECT_LE(each, kSessionBytesMax);
    EXPECT_LE(broker_descriptors(), descriptors + 4 * kCrowd);
    EXPECT_LT(latency(alice), 2 * calm + kNoise);
    EXPECT_TRUE(std::none_of(members.begin(), members.end(),
                             [](const auto& member) { return member->session().ended(); }));
  }
  wait_until("the sessions are gone", [&] { return broker_descriptors() <= descriptors + 8; });
  EXPECT_LT(latency(alice), 2 * calm + kNoise);
}

TEST_F(Crowd, OfAgentsComesBackAfterItsBrokersDeathOneByOne) {
  constexpr std::size_t kAgents = 20;
  SiteSetup quick;
  quick.trainer = "quick-trainer";
  for (std::size_t i = 0; i < kAgents; ++i) {
    consortium_.add_site("site-" + std::to_string(i), quick);
  }
  consortium_.wait_for_sites(kAgents);
  consortium_.kill("broker");
  consortium_.start("broker");
  consortium_.wait_for_sites(kAgents);
  std::set<std::string> pauses;
  const std::regex pause("next try in ([0-9.]+) s");
  for (std::size_t i = 0; i < kAgents; ++i) {
    std::smatch match;
    const auto log = consortium_.log("site-" + std::to_string(i));
    ASSERT_TRUE(std::regex_search(log, match, pause)) << log;
    pauses.insert(match[1]);
  }
  EXPECT_GT(pauses.size(), 4U) << "they all come at the same moment";
}

TEST_F(Crowd, OfOffersReachesASiteThatComesBack) {
  constexpr std::size_t kJobs = 300;  // many times limits::kPeerMessagesMax
  consortium_.issue(Role::site, "north");
  BareMember alice(zmq_, kit("alice"), 1);
  msg::Advert advert;
  advert.advert.version = "0.1.0";
  advert.advert.slots = kJobs;  // they all want one at once
  advert.advert.datasets = {{"stripes", "idx", 240, {1, 8, 8}, 3}};
  advert.advert.slots = kJobs;
  JobFile file;
  file.sites_min = 1;
  file.evaluates = false;
  const auto spec = parse_job_file(file.toml(), "job", {}).value();
  {
    BareMember first(zmq_, kit("north"), 7);
    first.send(advert);
    consortium_.wait_for_sites(1);
  }
  for (std::size_t i = 0; i < kJobs; ++i) {
    (void)alice.ask(msg::SubmitJob{spec, {}});
  }
  BareMember north(zmq_, kit("north"), 7);
  north.send(advert);
  std::set<std::string> offered;
  while (offered.size() < kJobs) {
    offered.insert(north.await<msg::JobOffer>().job.str());
  }
  EXPECT_FALSE(north.session().ended());
}

}  // namespace
}  // namespace entente::integration
