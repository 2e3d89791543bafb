// A whole agent against a broker that follows the test's script: real sessions, transfers, trainer
// processes and journal.
#include "site-agent/service/serve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <future>

#include "certs/authority.h"
#include "certs/kit_folder.h"
#include "common/domain/layers.h"
#include "common/runtime/system_clock.h"
#include "common/tensors/safetensors.h"
#include "common/wire/job_codec.h"
#include "site-agent/journal/ledger.h"
#include "tests/unit/agent_service/scripted_broker.h"
#include "tests/unit/agent_service/temp_folder.h"

namespace entente::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Speaks the trainer contract in shell: each result is the file that the test has put there.
constexpr const char* kTrainer = R"sh(#!/bin/sh
folder=$(dirname "$0")
while read -r line; do
  id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  output=$(printf '%s' "$line" | sed -n 's/.*"output":"\([^"]*\)".*/\1/p')
  if [ -n "$output" ]; then cp "$folder/update" "$output"; fi
  echo "{\"id\":$id,\"type\":\"progress\",\"done\":1,\"total\":3,\"unit\":\"examples\"}"
  echo "{\"id\":$id,\"type\":\"result\",\"examples\":3,\"steps\":1,\"metrics\":{\"loss\":0.5}}"
done
)sh";

JobSpec a_spec() {
  JobSpec spec;
  spec.name = "lung";
  spec.deadline = std::chrono::hours(1);
  spec.stall_window = std::chrono::minutes(5);
  spec.model.input = {4};
  spec.model.layers = {LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{2}}}}};
  spec.train.dataset = "scans";
  return spec;
}

class Serve : public ::testing::Test {
 protected:
  Serve() {
    const auto trainer = folder_.write("trainer.sh", kTrainer);
    std::filesystem::permissions(trainer, std::filesystem::perms::owner_all);
    write_tensors(folder_.path() / "update");
    // Three examples of 2 x 2 pixels, labels 0 and 1.
    folder_.write("images", std::string("\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02", 16) +
                                std::string(12, '\x7f'));
    folder_.write("labels", std::string("\0\0\x08\x01\0\0\0\x03\0\x01\0", 11));
    make_kits();
    broker_ = std::make_unique<ScriptedBroker>(*broker_kit_, folder_.path() / "broker-blobs");
    config_.kit = site_kit_->folder;
    config_.data_dir = folder_.path() / "data";
    config_.broker = broker_->address();
    config_.trainer.program = trainer;
    DatasetConfig dataset;
    dataset.name = "scans";
    dataset.source = IdxFiles{folder_.path() / "images", folder_.path() / "labels"};
    config_.datasets = {dataset};
    config_.policy = {{"alice"}, {"scans"}, {"train"}};
  }
  ~Serve() override { stop_agent(); }

  void make_kits() {
    const UnixMillis now = system_now().unix_ms;
    auto authority = pki::Authority::create(folder_.path() / "ca", ConsortiumId::literal("test"),
                                            now - pki::kDayMs);
    ASSERT_TRUE(authority) << authority.error().message;
    const auto kit = [&](const pki::Member& member) -> Expected<Kit> {
      const auto folder = folder_.path() / member.name;
      const auto issued =
          pki::issue_kit(*authority, member, {}, {now - pki::kDayMs, now + pki::kDayMs}, folder);
      return issued ? load_kit(folder, now) : tl::unexpected(issued.error());
    };
    broker_kit_ = kit({Role::broker, "hub", {{"localhost"}, {"127.0.0.1"}}});
    ASSERT_TRUE(broker_kit_) << broker_kit_.error().message;
    site_kit_ = kit({Role::site, "north", {}});
    ASSERT_TRUE(site_kit_) << site_kit_.error().message;
  }

  static void write_tensors(const std::filesystem::path& file,
                            const TensorMetadata& metadata = {{"format", "pt"}}) {
    const TensorLayout layout = resolve_model(a_spec().model).value().layout;
    TensorFileWriter writer(file, layout, metadata);
    writer.append(std::vector<float>(layout.elements(), 0.25F));
    writer.close();
  }

  void start_agent() {
    agent_ = std::async(std::launch::async, [this] {
      return serve(config_, config_file_, {stop_, reread_},
                   [](int) { ADD_FAILURE() << "threads were left"; });
    });
  }
  // Returns what serve returned.
  Expected<void> stop_agent() {
    if (!agent_.valid()) {
      return {};
    }
    ::kill(::getpid(), SIGTERM);
    EXPECT_EQ(agent_.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    return agent_.get();
  }

  static msg::JobOffer offer(const std::string& coordinator) {
    return {JobId::literal("lung-1"), coordinator, a_spec(), wire::spec_digest(a_spec())};
  }
  void enrol() {
    broker_->send(offer("alice"));
    const auto reply = broker_->await<msg::JobReply>();
    ASSERT_TRUE(reply);
    EXPECT_FALSE(reply->decline) << reply->decline->message;
  }
  // A train order whose model the site may fetch.
  TaskOrder order(Round round) {
    const auto file = broker_->blobs().scratch_path("model");
    write_tensors(file);
    TaskOrder order;
    order.key = {JobId::literal("lung-1"), round, TaskKind::train, SiteId::literal("north"), 1};
    order.model_bytes = std::filesystem::file_size(file);
    order.model = broker_->blobs().adopt(file);
    broker_->data_plane().grant(broker::GetGrant{"site/north", *order.model});
    return order;
  }
  [[nodiscard]] std::vector<std::string> ledger_states() const {
    std::vector<std::string> states;
    const auto rows = read_ledger(config_.journal_file()).value();
    for (const SentRow& row : rows) {
      states.push_back(row.state);
    }
    return states;
  }

  StopSignal stop_;  // first: every thread inherits the blocked signals
  HangupSignal reread_;
  TempFolder folder_;
  const std::filesystem::path config_file_ = folder_.path() / "agent.toml";
  Expected<Kit> broker_kit_ = tl::unexpected(Refusal{});
  Expected<Kit> site_kit_ = tl::unexpected(Refusal{});
  AgentConfig config_;
  std::unique_ptr<ScriptedBroker> broker_;
  std::future<Expected<void>> agent_;
};

TEST_F(Serve, TakesAJobFromOfferToVerdict) {
  start_agent();
  const auto advert = broker_->await<msg::Advert>();
  ASSERT_TRUE(advert);
  ASSERT_EQ(advert->advert.datasets.size(), 1U);
  EXPECT_EQ(advert->advert.datasets[0].examples, 3U);
  enrol();
  const TaskOrder task = order(1);
  broker_->send(msg::TaskOffer{task});
  const auto announced = broker_->await<msg::ResultAnnounce>();
  ASSERT_TRUE(announced);
  EXPECT_EQ(announced->key, task.key);
  EXPECT_EQ(announced->result.examples, 3U);
  ASSERT_TRUE(announced->result.blob);
  EXPECT_THAT(ledger_states(), ElementsAre("announced"));
  broker_->data_plane().grant(broker::PutGrant{
      "site/north", *announced->result.blob, announced->result.blob_bytes,
      std::make_shared<const TensorLayout>(resolve_model(a_spec().model).value().layout), 1e6});
  broker_->send(msg::ResultGrant{task.key, *announced->result.blob});
  EXPECT_TRUE(broker_->await_blob(*announced->result.blob));
  broker_->send(msg::ResultVerdict{task.key, std::nullopt});
  enrol();  // its answer comes after the verdict was taken
  EXPECT_THAT(ledger_states(), ElementsAre("accepted"));
  broker_->send(msg::JobClosed{JobId::literal("lung-1"), "completed"});
  broker_->send(offer("bob"));
  (void)broker_->await<msg::JobReply>();
  EXPECT_FALSE(std::filesystem::exists(config_.data_dir / "work" / "lung-1"));
  EXPECT_THAT(BlobStore(config_.data_dir / "blobs").list(), IsEmpty());
  EXPECT_TRUE(stop_agent());
}

TEST_F(Serve, DeclinesWhatItsPolicyDoesNotListAndAnAlteredSpec) {
  start_agent();
  ASSERT_TRUE(broker_->await<msg::Advert>());
  broker_->send(offer("bob"));
  const auto declined = broker_->await<msg::JobReply>();
  ASSERT_TRUE(declined && declined->decline);
  EXPECT_EQ(declined->decline->message, "policy clause \"coordinators\" does not list \"bob\"");
  msg::JobOffer altered = offer("alice");
  altered.spec.rounds = 99;
  broker_->send(altered);
  const auto second = broker_->await<msg::JobReply>();
  ASSERT_TRUE(second && second->decline);
  EXPECT_EQ(second->decline->code, "job_altered");
}

TEST_F(Serve, AnnouncesAFinishedResultAgainAfterALostSessionAndAfterARestart) {
  start_agent();
  ASSERT_TRUE(broker_->await<msg::Advert>());
  enrol();
  const TaskOrder task = order(1);
  broker_->send(msg::TaskOffer{task});
  const auto announced = broker_->await<msg::ResultAnnounce>();
  ASSERT_TRUE(announced);
  broker_->cut();
  EXPECT_EQ(broker_->await<msg::ResultAnnounce>(), announced);
  EXPECT_TRUE(stop_agent());
  start_agent();
  EXPECT_EQ(broker_->await<msg::ResultAnnounce>(), announced);
  enrol();
}

TEST_F(Serve, SendsNothingThatIsNotTheModelsTensors) {
  folder_.write("update", "a row of patient data");
  start_agent();
  ASSERT_TRUE(broker_->await<msg::Advert>());
  enrol();
  broker_->send(msg::TaskOffer{order(1)});
  const auto failed = broker_->await<msg::TaskFailed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failure.reason.code, "tensors_invalid");
  EXPECT_THAT(ledger_states(), IsEmpty());
}

TEST_F(Serve, SendsNoMetadataBesideTheTensors) {
  write_tensors(folder_.path() / "update", {{"note", "a row of patient data"}});
  start_agent();
  ASSERT_TRUE(broker_->await<msg::Advert>());
  enrol();
  broker_->send(msg::TaskOffer{order(1)});
  const auto failed = broker_->await<msg::TaskFailed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failure.reason.code, "contract_violated");
}

TEST_F(Serve, ReportsATrainerThatDies) {
  folder_.write("trainer.sh",
                "#!/bin/sh\nread line\necho '{\"id\":1,\"type\":\"result\",\"examples\":0,"
                "\"steps\":0,\"metrics\":{}}'\nread line\nkill -9 $$\n");
  start_agent();
  ASSERT_TRUE(broker_->await<msg::Advert>());
  enrol();
  broker_->send(msg::TaskOffer{order(1)});
  const auto failed = broker_->await<msg::TaskFailed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failure.reason.code, "trainer_died");
  EXPECT_TRUE(failed->failure.transient);
}

TEST_F(Serve, RefusesAKitThatIsNotASites) {
  config_.kit = broker_kit_->folder;
  const auto served = serve(config_, config_file_, {stop_, reread_},
                            [](int) { ADD_FAILURE() << "threads were left"; });
  ASSERT_FALSE(served);
  EXPECT_EQ(served.error().code, "kit_invalid");
}

TEST_F(Serve, RefusesToStartWithoutItsTrainer) {
  config_.trainer.program = folder_.path() / "nothing";
  const auto served = serve(config_, config_file_, {stop_, reread_},
                            [](int) { ADD_FAILURE() << "threads were left"; });
  ASSERT_FALSE(served);
  EXPECT_EQ(served.error().code, "trainer_missing");
}

}  // namespace
}  // namespace entente::agent
