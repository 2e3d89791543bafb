// A model of 1 GB over a line that breaks in the middle, up and down: nothing but what was under
// way is sent again, and the broker's memory knows nothing of the model's size.
#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "common/base/limits.h"
#include "common/runtime/system_clock.h"
#include "tests/support/consortium.h"
#include "tests/support/process_probe.h"
#include "tests/support/relay.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

constexpr std::chrono::minutes kLongPatience{8};

constexpr std::uint64_t kHidden = 3'680'000;
constexpr std::uint64_t kModelBytes = kHidden * (64 + 1 + 3) * 4;
static_assert(kModelBytes > 1'000'000'000);

constexpr std::uint64_t kWindowBytes = limits::kCreditChunks * limits::kChunkBytesMax;
// TLS records and envelopes, and all that a control session says in these minutes.
constexpr std::uint64_t kOverhead = kModelBytes / 200;
constexpr std::uint64_t kBrokerMemoryMax = 128 << 20;

std::uint64_t sum(const std::vector<std::uint64_t>& bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
}

std::uint64_t largest(const std::vector<std::uint64_t>& bytes) {
  return bytes.empty() ? 0 : *std::max_element(bytes.begin(), bytes.end());
}

class SlowCutLine : public testing::Test {
 protected:
  SlowCutLine() {
    SiteSetup setup;
    setup.broker = relay_.address();
    setup.trainer = "quick-trainer";
    consortium_.add_site("north", setup);
    consortium_.wait_for_sites(1);
  }

  // Notes the broker's memory on the way.
  void wait_for(const std::string& what, const std::function<bool()>& is_so) {
    wait_until(
        what,
        [&] {
          broker_memory_ = std::max(broker_memory_, anonymous_bytes(consortium_.pid("broker")));
          return is_so();
        },
        kLongPatience);
  }

  // A kit of alice's that leads through the relay.
  void make_far_kit() {
    const auto kit =
        consortium_.issue(consortium_.authority(), Role::coordinator, "alice",
                          pki::valid_for(system_now().unix_ms, pki::kLeafDays), "alice-far");
    auto text = read_text(kit / "kit.toml");
    text.replace(text.find(consortium_.endpoint()), consortium_.endpoint().size(),
                 relay_.address());
    write_text(kit / "kit.toml", text);
  }

  Consortium consortium_;
  Relay relay_{consortium_.port()};
  std::uint64_t broker_memory_ = 0;
};

TEST_F(SlowCutLine, InTheMiddleOfAGigabyteSendsAtMostOneWindowAgain) {
  JobFile job;
  job.sites_min = 1;
  job.rounds = 1;
  job.evaluates = false;
  job.hidden = static_cast<int>(kHidden);
  relay_.stall_after(kModelBytes / 2);
  const auto id = consortium_.submit(job);
  wait_for("half of the model is on its way up", [&] { return relay_.is_stalling(); });
  relay_.cut();
  relay_.resume();
  wait_for("the job has ended", [&] {
    const auto state = consortium_.ask({"job", "show", id})["state"];
    return state == "completed" || state == "failed";
  });
  ASSERT_EQ(consortium_.ask({"job", "show", id})["state"], "completed");
  // The initial model, which was cut, and the update.
  const auto up = sum(relay_.bytes_up());
  EXPECT_GE(up, 2 * kModelBytes);
  EXPECT_LE(up, 2 * kModelBytes + kWindowBytes + 2 * kOverhead);

  make_far_kit();
  const auto file = consortium_.folder() / "model.safetensors";
  const std::vector<std::string> pull{"model", "pull", id, "-o", file.string()};
  const auto down_before = sum(relay_.bytes_down());
  Command cut(Consortium::program("entente"), pull,
              {{"ENTENTE_KIT", consortium_.kit("alice-far").string()}},
              consortium_.folder() / "cut.stderr");
  wait_for("half of the model is on its way down",
           [&] { return largest(relay_.bytes_down()) >= kModelBytes / 2; });
  relay_.cut();
  const auto interrupted = cut.finish();
  EXPECT_EQ(interrupted.code, 1) << interrupted.err;
  const auto again = consortium_.entente_as("alice-far", pull);
  EXPECT_EQ(again.code, 0) << again.err;
  const auto down = sum(relay_.bytes_down()) - down_before;
  EXPECT_GE(down, kModelBytes);
  EXPECT_LE(down, kModelBytes + kWindowBytes + kOverhead);

  EXPECT_LT(broker_memory_, kBrokerMemoryMax);
  RecordProperty("broker_anonymous_bytes", std::to_string(broker_memory_));
  RecordProperty("bytes_up", std::to_string(up));
  RecordProperty("bytes_down", std::to_string(down));
  std::cout << "up " << up << ", down " << down << ", of a model of " << kModelBytes
            << " bytes; the broker's memory " << broker_memory_ << '\n';
}

}  // namespace
}  // namespace entente::integration
