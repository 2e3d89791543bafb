// Programs that cannot start say so in two lines and exit with 1: what is wrong, and what to do.
#include <gmock/gmock.h>

#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class Configuration : public testing::Test {
 protected:
  Outcome broker(const std::string& toml) {
    const auto file = consortium_.folder() / "second/broker.toml";
    write_text(file, toml);
    return consortium_.run("entente-broker", {"serve", "--config", file.string()});
  }
  Outcome agent(const std::string& toml) {
    const auto file = consortium_.folder() / "sites/second/agent.toml";
    write_text(file, toml);
    return consortium_.run("entente-agent", {"serve", "--config", file.string()});
  }

  Consortium consortium_;
};

TEST_F(Configuration, OfABrokerWithAnUnknownKeyNamesLineAndNearestKey) {
  const auto outcome = broker("kit = \"../kits/main\"\ndata_dri = \"data\"\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("error: "), HasSubstr("broker.toml:2: "),
                                 HasSubstr("did you mean \"data_dir\"?")));
}

TEST_F(Configuration, OfABrokerWithoutItsKitNamesTheFolder) {
  const auto outcome = broker("kit = \"nowhere\"\ndata_dir = \"data\"\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(StartsWith("error: "), HasSubstr("nowhere"), HasSubstr("hint: ")));
}

TEST_F(Configuration, OfABrokerWithAnothersKitNamesItsOwner) {
  const auto outcome = broker("kit = \"../kits/alice\"\ndata_dir = \"data\"\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("is the kit of coordinator/alice, not of a broker"));
}

TEST_F(Configuration, OfABrokerWhosePortIsTakenSaysSo) {
  const auto outcome = broker("kit = \"../kits/main\"\ndata_dir = \"data\"\nlisten = \"" +
                              consortium_.endpoint() + "\"\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("ddress already in use"));
}

TEST_F(Configuration, OfASiteWithATypingMistakeInItsPolicyIsAnError) {
  consortium_.issue(Role::site, "north");
  const auto outcome = agent(
      "kit = \"../../kits/north\"\ndata_dir = \"data\"\n[policy]\ncoordinator = [\"alice\"]\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("agent.toml:4: "), HasSubstr("did you mean \"coordinators\"?")));
}

TEST_F(Configuration, OfASiteWithAnothersKitNamesItsOwner) {
  const auto outcome = agent("kit = \"../../kits/alice\"\ndata_dir = \"data\"\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("belongs to coordinator/alice, not to a site"));
}

TEST_F(Configuration, OfASiteWithoutItsTrainerSaysSo) {
  consortium_.issue(Role::site, "north");
  const auto outcome = agent(
      "kit = \"../../kits/north\"\ndata_dir = \"data\"\n[trainer]\nprogram = \"no-trainer\"\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("there is no trainer program at"), HasSubstr("hint: ")));
}

TEST_F(Configuration, WhoseKeyOthersMayReadIsRefused) {
  namespace fs = std::filesystem;
  fs::permissions(consortium_.kit("alice") / "key.pem", fs::perms::others_read,
                  fs::perm_options::add);
  const auto outcome = consortium_.entente({"job", "list"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("key.pem"), HasSubstr("chmod 600")));
}

TEST_F(Configuration, FileThatIsMissingIsNamed) {
  for (const auto* program : {"entente-broker", "entente-agent"}) {
    const auto outcome = consortium_.run(program, {"serve", "--config", "no-such.toml"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("no-such.toml"));
    EXPECT_EQ(consortium_.run(program, {"serve"}).code, 2);
    EXPECT_EQ(consortium_.run(program, {"--version"}).code, 0);
  }
}

}  // namespace
}  // namespace entente::integration
