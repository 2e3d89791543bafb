#include "site-agent/service/agent_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent_service/temp_folder.h"

namespace entente::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AgentConfigFile : public ::testing::Test {
 protected:
  [[nodiscard]] Expected<AgentConfig> read(const std::string& text) const {
    return read_agent_config(folder_.write("agent.toml", text));
  }
  [[nodiscard]] std::string problem(const std::string& text) const {
    const auto config = read(text);
    EXPECT_FALSE(config);
    return config ? "" : config.error().message;
  }
  TempFolder folder_;
};

constexpr const char* kWhole = R"(
kit = "kit"
data_dir = "/var/lib/entente"
broker = "broker.example:7420"

[trainer]
slots = 2
threads_per_slot = 4
device = "cuda:0"
program = "bin/trainer"

[site]
jurisdiction = "DE"
labels = { network = "university" }
cores = 8
memory = "64GB"

[[datasets]]
name = "scans"
images = "data/images"
labels = "data/labels"
class_names = ["nodule", "none"]
tags = ["ct", "2024"]
partition = { scheme = "iid", of = 3, index = 2, seed = 7 }

[policy]
coordinators = ["alice", "bob"]
datasets = ["*"]
kinds = ["train"]
)";

TEST_F(AgentConfigFile, IsReadWholeWithPathsRelativeToIt) {
  const auto config = read(kWhole);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->kit, folder_.path() / "kit");
  EXPECT_EQ(config->data_dir, "/var/lib/entente");
  EXPECT_EQ(config->broker, "broker.example:7420");
  EXPECT_EQ(config->trainer.slots, 2U);
  EXPECT_EQ(config->trainer.threads_per_slot, 4U);
  EXPECT_EQ(config->trainer.program, folder_.path() / "bin/trainer");
  ASSERT_EQ(config->datasets.size(), 1U);
  EXPECT_EQ(std::get<IdxFiles>(config->datasets[0].source).images, folder_.path() / "data/images");
  ASSERT_TRUE(config->datasets[0].partition);
  EXPECT_EQ(config->datasets[0].partition->index, 2U);
  EXPECT_THAT(config->datasets[0].class_names, ElementsAre("nodule", "none"));
  EXPECT_THAT(config->datasets[0].tags, ElementsAre("ct", "2024"));
  EXPECT_EQ(config->site.jurisdiction, "DE");
  EXPECT_EQ(config->site.labels.at("network"), "university");
  EXPECT_EQ(config->site.resources, (Resources{8, 64'000'000'000, 0}));
  EXPECT_THAT(config->policy.coordinators, ElementsAre("alice", "bob"));
}

constexpr const char* kHead = "kit = \"k\"\ndata_dir = \"d\"\n";

TEST_F(AgentConfigFile, MaySharePlacesForTrainersWithOtherAgents) {
  const auto config =
      read(std::string(kHead) + "trainer_pool = { folder = \"pool\", running = 3, warm = 0 }\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->trainer_pool, (TrainerPoolConfig{folder_.path() / "pool", 3, 0}));
  const auto warm = read(std::string(kHead) + "trainer_pool = { folder = \"p\", running = 3 }\n");
  ASSERT_TRUE(warm) << warm.error().message;
  EXPECT_EQ(warm->trainer_pool->warm, 12U);
  EXPECT_FALSE(read(kHead)->trainer_pool);
  EXPECT_THAT(problem(std::string(kHead) + "trainer_pool = { folder = \"p\", running = 0 }\n"),
              HasSubstr("running"));
  EXPECT_THAT(problem(std::string(kHead) + "trainer_pool = { running = 1 }\n"),
              HasSubstr("folder"));
}

constexpr const char* kTable = R"(
[[datasets]]
name = "patients"
kind = "csv"
file = "patients.tsv"
delimiter = "\t"
features = ["age", "sex"]
label = "outcome"
class_names = ["well", "ill"]
)";

TEST_F(AgentConfigFile, DescribesATable) {
  const auto config = read(std::string(kHead) + kTable + R"(
standardise = ["*"]
missing = "median"
missing_words = ["NA"]
holdout = 0.2
holdout_by = "age"
[datasets.columns.sex]
categories = ["f", "m"]
unknown = "zeros"
[datasets.columns.age]
missing = "constant"
constant = -1
mean = 40
deviation = 9.5
)");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->datasets.size(), 2U);
  const DatasetConfig& patients = config->datasets[0];
  EXPECT_EQ(std::get<CsvFile>(patients.source), (CsvFile{folder_.path() / "patients.tsv", "\t"}));
  EXPECT_THAT(patients.table.features, ElementsAre("age", "sex"));
  EXPECT_EQ(patients.table.missing, Missing::median);
  EXPECT_EQ(patients.table.columns.at("sex").unknown, Unknown::zeros);
  EXPECT_EQ(
      patients.table.columns.at("age"),
      (ColumnSpec{.missing = Missing::constant, .constant = -1, .mean = 40, .deviation = 9.5}));
  EXPECT_EQ(patients.holdout, (Holdout{0.2, "age", false}));
  EXPECT_EQ(config->datasets[1].name, "patients-holdout");
  EXPECT_TRUE(config->datasets[1].holdout->held);
}

TEST_F(AgentConfigFile, ReadsEveryKindOfSource) {
  const auto source = [&](const std::string& lines) {
    const auto config = read(kHead + ("[[datasets]]\nname = \"a\"\n" + lines));
    EXPECT_TRUE(config) << config.error().message;
    return config ? config->datasets[0] : DatasetConfig{};
  };
  const auto at = [&](const char* name) { return folder_.path() / name; };
  const std::string columns = "features = [\"age\"]\ntargets = [\"days\"]\n";
  EXPECT_EQ(source("kind = \"sqlite\"\nfile = \"a.db\"\nquery = \"SELECT 1\"\n" + columns).source,
            SourceConfig(SqliteQuery{at("a.db"), "SELECT 1"}));
  EXPECT_EQ(
      source("kind = \"postgres\"\nconnection = \"service=x\"\nquery = \"SELECT 1\"\n" + columns)
          .source,
      SourceConfig(PostgresQuery{"service=x", "SELECT 1"}));
  const auto text = source(
      "kind = \"text\"\nfiles = { de = \"de.txt\", fr = \"/fr.gz\" }\n"
      "tokens = { by = \"characters\", vocabulary = 90, length = 16 }\n"
      "class_names = [\"de\", \"fr\"]\n");
  EXPECT_EQ(text.source, SourceConfig(LabelledLines{{{"de", at("de.txt")}, {"fr", "/fr.gz"}}}));
  EXPECT_EQ(text.table.tokens,
            (TokenSpec{.by = TokensBy::characters, .vocabulary = 90, .length = 16}));
  EXPECT_EQ(source("kind = \"npy\"\ninputs = \"x.npy\"\nlabels = \"y.npy\"\n").source,
            SourceConfig(NpyFiles{{.inputs = at("x.npy"), .labels = at("y.npy")}}));
  EXPECT_EQ(source("kind = \"npz\"\nfile = \"a.npz\"\ninputs = \"x\"\ntargets = \"t\"\n"
                   "divide_by = 255\n")
                .source,
            SourceConfig(NpzFile{at("a.npz"), {.inputs = "x", .targets = "t", .divide_by = 255}}));
  EXPECT_EQ(source("kind = \"images\"\nfolder = \"scans\"\nheight = 24\nwidth = 32\n"
                   "channels = 1\nresize = true\n")
                .source,
            SourceConfig(ImageFolder{at("scans"), 1, 24, 32, true}));
}

TEST_F(AgentConfigFile, SaysWhatIsWrongWithASource) {
  const auto dataset = [&](const std::string& lines) {
    return problem(kHead + ("[[datasets]]\nname = \"a\"\n" + lines));
  };
  EXPECT_THAT(dataset("kind = \"npy\"\ninputs = \"x\""), HasSubstr("need either labels"));
  EXPECT_THAT(
      dataset("kind = \"npz\"\nfile = \"a\"\ninputs = \"x\"\nlabels = \"y\"\ndivide_by = 0"),
      HasSubstr("divide_by must be greater than 0"));
  EXPECT_THAT(dataset("kind = \"images\"\nfolder = \"f\"\nheight = 1\nwidth = 1\nchannels = 2"),
              HasSubstr("channels must be 3"));
  EXPECT_THAT(dataset("kind = \"images\"\nfolder = \"f\"\nheight = 99999\nwidth = 1"),
              HasSubstr("must be from 1 to 4096"));
  const std::string text = "kind = \"text\"\nfiles = { a = \"a.txt\" }\n";
  EXPECT_THAT(dataset(text), HasSubstr("\"length\" is missing"));
  EXPECT_THAT(dataset(text + "tokens = { length = 5 }"),
              HasSubstr("vocabulary must be at least 2"));
  EXPECT_THAT(dataset(text + "tokens = { length = 5, by = \"bytes\", vocabulary = 9 }"),
              HasSubstr("leave vocabulary out"));
  EXPECT_THAT(dataset(text + "tokens = { length = 5, vocabulary = 9, alphabet = \"ab\" }"),
              HasSubstr("an alphabet is of characters"));
  EXPECT_THAT(dataset("kind = \"text\"\ntokens = { length = 5, vocabulary = 9 }"),
              HasSubstr("files must name a file"));
  EXPECT_THAT(dataset("images = \"i\"\nlabels = \"l\"\nholdout = 0.5\nholdout_by = \"age\""),
              HasSubstr("this kind of data has none"));
}

TEST_F(AgentConfigFile, SaysWhatIsWrongWithATable) {
  const auto table = [&](const std::string& lines) { return problem(kHead + (kTable + lines)); };
  EXPECT_THAT(table("kinds = 1"), HasSubstr("unknown key \"kinds\""));
  EXPECT_THAT(table("images = \"i\""), HasSubstr("unknown key \"images\""));
  EXPECT_THAT(table("targets = [\"age\"]"), HasSubstr("needs either label"));
  EXPECT_THAT(table("missing = \"medain\""), HasSubstr("did you mean \"median\"?"));
  EXPECT_THAT(table("standardise = [\"size\"]"), HasSubstr("\"size\", which is none of the"));
  EXPECT_THAT(table("holdout = 1.5"), HasSubstr("must be between 0 and 1"));
  EXPECT_THAT(table("holdout_by = \"age\""), HasSubstr("holdout_by needs holdout"));
  EXPECT_THAT(table("[datasets.columns.size]"), HasSubstr("which is none of the features"));
  EXPECT_THAT(table("[datasets.columns.age]\nmean = 3"), HasSubstr("both mean and deviation"));
  EXPECT_THAT(table("[datasets.columns.age]\nmean = 3\ndeviation = 0"),
              HasSubstr("must be greater than 0"));
  EXPECT_THAT(table("[datasets.columns.sex]\ncategories = [\"f\", \"f\"]"),
              HasSubstr("names \"f\" twice"));
  EXPECT_THAT(problem(std::string(kHead) + "[[datasets]]\nname = \"a\"\nkind = \"cvs\"\n"),
              HasSubstr("did you mean \"csv\"?"));
}

TEST_F(AgentConfigFile, WithoutAPolicyAllowsNothing) {
  const auto config = read("kit = \"kit\"\ndata_dir = \"data\"\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(decide(config->policy, {"alice", {"scans"}, "train"}));
}

TEST_F(AgentConfigFile, NamesAMisspeltKeyInThePolicy) {
  EXPECT_THAT(problem("kit = \"k\"\ndata_dir = \"d\"\n[policy]\ncordinators = [\"*\"]\n"),
              HasSubstr("cordinators"));
}

TEST_F(AgentConfigFile, NamesAMissingKey) {
  EXPECT_THAT(problem("data_dir = \"d\"\n"), HasSubstr("kit"));
}

TEST_F(AgentConfigFile, RefusesTwoDatasetsOfOneName) {
  const std::string dataset = "[[datasets]]\nname = \"a\"\nimages = \"i\"\nlabels = \"l\"\n";
  EXPECT_THAT(problem("kit = \"k\"\ndata_dir = \"d\"\n" + dataset + dataset),
              HasSubstr("two datasets \"a\""));
}

TEST_F(AgentConfigFile, RefusesAPartThatIsNotThere) {
  EXPECT_THAT(problem("kit = \"k\"\ndata_dir = \"d\"\n[[datasets]]\nname = \"a\"\nimages = \"i\"\n"
                      "labels = \"l\"\npartition = { of = 2, index = 2 }\n"),
              HasSubstr("index is 2"));
}

TEST_F(AgentConfigFile, RefusesAPolicyNameThatNoCertificateCanHave) {
  EXPECT_THAT(problem("kit = \"k\"\ndata_dir = \"d\"\n[policy]\ncoordinators = [\"Alice B\"]\n"),
              HasSubstr("Alice B"));
}

TEST_F(AgentConfigFile, RefusesWordsThatNoAdvertMayCarry) {
  const std::string head = "kit = \"k\"\ndata_dir = \"d\"\n";
  const auto site = [&](const std::string& line) { return problem(head + "[site]\n" + line); };
  EXPECT_THAT(site("jurisdiction = \"Germany\""), HasSubstr("\"Germany\" is no jurisdiction"));
  EXPECT_THAT(site("labels = { Network = \"x\" }"), HasSubstr("\"Network\" is no legal name"));
  EXPECT_THAT(site("labels = { network = 3 }"), HasSubstr("must be a string"));
  EXPECT_THAT(site("memory = \"lots\""), HasSubstr("must be a size such as"));
  EXPECT_THAT(site("memory = 5"), HasSubstr("must be a size such as"));
  EXPECT_THAT(site("memory = \"9000TiB\""), HasSubstr("must be at most"));
  const auto dataset = [&](const std::string& line) {
    return problem(head + "[[datasets]]\nname = \"a\"\nimages = \"i\"\nlabels = \"l\"\n" + line);
  };
  EXPECT_THAT(dataset("tags = [\"C T\"]"), HasSubstr("\"C T\" is not legal in tags"));
  EXPECT_THAT(dataset("tags = [\"ct\", \"ct\"]"), HasSubstr("names \"ct\" twice"));
  EXPECT_THAT(dataset("classes = 3\nclass_names = [\"a\"]"), HasSubstr("1 entries for 3 classes"));
}

TEST_F(AgentConfigFile, ReadsEveryClauseOfThePolicy) {
  const auto config = read(R"(
kit = "k"
data_dir = "d"
[policy]
coordinators = ["alice"]
layers = ["linear", "relu"]
parameters_max = 1000000
update_max = "10MB"
cohort_min = 3
rounds_per_day = 20
rounds_per_day_of = { bob = 2 }
hours = "22:00-06:00"
utc_offset = "-03:30"
approve = "manual"
)");
  ASSERT_TRUE(config) << config.error().message;
  const Policy& policy = config->policy;
  EXPECT_THAT(policy.layers, ElementsAre("linear", "relu"));
  EXPECT_EQ(policy.parameters_max, 1'000'000U);
  EXPECT_EQ(policy.update_bytes_max, 10'000'000U);
  EXPECT_EQ(policy.cohort_min, 3U);
  EXPECT_EQ(policy.rounds_per_day, 20U);
  EXPECT_EQ(policy.rounds_of.at("bob"), 2U);
  EXPECT_EQ(policy.hours, (Hours{22 * 60, 6 * 60}));
  EXPECT_EQ(policy.utc_offset_minutes, -210);
  EXPECT_EQ(policy.approve, Approval::manual);
}

// A clause that is misread allows too much.
TEST_F(AgentConfigFile, RefusesAClauseThatItCannotRead) {
  const auto policy = [&](const std::string& line) {
    return problem("kit = \"k\"\ndata_dir = \"d\"\n[policy]\n" + line + "\n");
  };
  EXPECT_THAT(policy("hours = \"10pm to 6am\""), HasSubstr("is no part of a day"));
  EXPECT_THAT(policy("utc_offset = \"CET\""), HasSubstr("\"CET\" is no offset"));
  EXPECT_THAT(policy("utc_offset = \"+15:00\""), HasSubstr("is no offset"));
  EXPECT_THAT(policy("approve = \"manuel\""), HasSubstr("did you mean \"manual\"?"));
  EXPECT_THAT(policy("approve = true"), HasSubstr("must be a string"));
  EXPECT_THAT(policy("layers = [\"liner\"]"), HasSubstr("did you mean \"linear\"?"));
  EXPECT_THAT(policy("cohort_min = 0"), HasSubstr("must be from 1"));
  EXPECT_THAT(policy("rounds_per_day = -1"), HasSubstr("must be from 0"));
  EXPECT_THAT(policy("rounds_per_day_of = { bob = \"two\" }"), HasSubstr("rounds_per_day_of.bob"));
  EXPECT_THAT(policy("update_max = 10"), HasSubstr("must be a size"));
}

TEST_F(AgentConfigFile, RefusesAnUnknownDevice) {
  EXPECT_THAT(problem("kit = \"k\"\ndata_dir = \"d\"\n[trainer]\ndevice = \"tpu\"\n"),
              HasSubstr("tpu"));
}

}  // namespace
}  // namespace entente::agent
