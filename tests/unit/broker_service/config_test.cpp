// broker.toml.
#include "broker/service/config.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <fstream>

namespace entente::broker {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "entente-broker-config-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { fs::remove_all(folder_); }

  Expected<BrokerConfig> read(const std::string& text) {
    std::ofstream(folder_ / "broker.toml") << text;
    return read_broker_config(folder_ / "broker.toml");
  }
  std::string problem(const std::string& text) {
    const auto config = read(text);
    EXPECT_FALSE(config);
    EXPECT_EQ(config.error().code, "config_invalid");
    return config.error().message;
  }

  fs::path folder_;
};

TEST_F(ConfigTest, RelativePathsAreRelativeToTheFile) {
  const auto config = read("kit = \"kits/broker\"\ndata_dir = \"/var/lib/entente\"\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->kit, folder_ / "kits/broker");
  EXPECT_EQ(config->data_dir, "/var/lib/entente");
  EXPECT_EQ(config->host, "0.0.0.0");
  EXPECT_EQ(config->port, 7100);
}

TEST_F(ConfigTest, ListenIsAnAddressAndAPort) {
  const std::string others = "kit = \"k\"\ndata_dir = \"d\"\n";
  const auto config = read(others + "listen = \"127.0.0.1:0\"\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->host, "127.0.0.1");
  EXPECT_EQ(config->port, 0);
  for (const auto* wrong : {"7100", ":7100", "0.0.0.0:", "0.0.0.0:70000", "0.0.0.0:71x"}) {
    EXPECT_THAT(problem(others + "listen = \"" + wrong + "\"\n"), HasSubstr("address:port"));
  }
}

TEST_F(ConfigTest, TheQueueAndItsQuotasHaveDefaultsAndBounds) {
  const std::string others = "kit = \"k\"\ndata_dir = \"d\"\n";
  EXPECT_EQ(read(others)->queue, QueueSettings{});
  const auto config = read(others +
                           "[queue]\nhalf_life = \"1d\"\ncoordinator_priority_max = 10\n"
                           "[quotas]\njobs = 2\nslots = 5\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->queue.half_life, std::chrono::hours(24));
  EXPECT_EQ(config->queue.coordinator_priority_max, 10);
  EXPECT_EQ(config->queue.quota, (Quota{2, 5}));
  EXPECT_THAT(problem(others + "[quotas]\njobs = 0\n"), HasSubstr("jobs"));
  EXPECT_THAT(problem(others + "[queue]\nhalf_life = \"1s\"\n"), HasSubstr("queue.half_life"));
}

TEST_F(ConfigTest, EveryProblemIsNamedAtOnce) {
  const auto problems = problem("data_dir = 7\nlisen = \"0.0.0.0:7100\"\n");
  EXPECT_THAT(problems, HasSubstr("kit"));
  EXPECT_THAT(problems, HasSubstr("data_dir"));
  EXPECT_THAT(problems, HasSubstr("lisen"));
}

}  // namespace
}  // namespace entente::broker
