#include "common/config/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <ostream>

#include "common/domain/architectures.h"
#include "common/domain/cross_evaluation.h"
#include "common/domain/layers.h"

namespace entente {
namespace {

const std::filesystem::path kSource = ENTENTE_SOURCE_DIR;

// A minimal legal job; each line is on its own so that tests can count on the numbers.
const std::string kMinimal =
    "name = \"tiny\"\n"         // 1
    "rounds = 2\n"              // 2
    "[model]\n"                 // 3
    "input = [4]\n"             // 4
    "[[model.layers]]\n"        // 5
    "type = \"linear\"\n"       // 6
    "out_features = 3\n"        // 7
    "[train]\n"                 // 8
    "dataset = \"numbers\"\n";  // 9

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

TEST(JobFile, AMinimalJobTakesTheDocumentedDefaults) {
  const auto spec = parse_job_file(kMinimal, "job.toml", {});
  ASSERT_TRUE(spec) << spec.error().message;
  JobSpec expected;
  expected.name = "tiny";
  expected.rounds = 2;
  expected.deadline = std::chrono::hours{24};
  expected.stall_window = std::chrono::minutes{5};
  expected.sites.min = 1;
  expected.model.input = {4};
  expected.model.layers = {{"linear", "", {{"out_features", std::int64_t{3}}}}};
  expected.train.dataset = "numbers";
  expected.train.local_epochs = 1;
  expected.train.batch_size = 32;
  expected.train.optimizer = {"sgd", 0.01, 0.0, 0.0};
  expected.strategy.kind = "fedavg";
  EXPECT_EQ(*spec, expected);
}

TEST(JobFile, TheStallWindowIsNeverBeyondAShortDeadlineUnlessAsked) {
  const auto spec = parse_job_file(kMinimal, "job.toml", {"deadline=1m"});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->stall_window, std::chrono::minutes{1});
  EXPECT_FALSE(parse_job_file(kMinimal, "job.toml", {"deadline=1m", "stall_window=2m"}));
}

TEST(JobFile, OverridesReplaceAnyValue) {
  const auto spec = parse_job_file(
      kMinimal, "job.toml",
      {"name=quick", "rounds=3", "seed=9", "sites.mandatory=[\"north\"]", "train.optimizer.lr=1",
       "model.layers.0.out_features=7", "evaluate.dataset=numbers-test"});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->name, "quick");
  EXPECT_EQ(spec->rounds, 3u);
  EXPECT_EQ(spec->seed, 9u);
  EXPECT_EQ(spec->sites.mandatory, std::vector{SiteId::literal("north")});
  EXPECT_EQ(spec->train.optimizer.lr, 1.0);
  EXPECT_EQ(spec->model.layers[0].attributes.at("out_features"), Attribute{std::int64_t{7}});
  EXPECT_EQ(spec->evaluate, (EvaluateSpec{"numbers-test", 1}));
}

TEST(JobFile, TheFashionMnistExampleIsLegal) {
  const auto spec = read_job_file(kSource / "examples/fashion-mnist/job.toml", {});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_TRUE(spec->seed);
  EXPECT_EQ(spec->sites.min, 3u);
  const auto model = validate(*spec);
  ASSERT_TRUE(model);
  // By hand: 16*25+16 + 32*16*9+32 + 1568*64+64 + 64*10+10.
  EXPECT_EQ(model->parameters(), 106'122u);
  EXPECT_EQ(model->output, Shape{10});
}

TEST(JobFile, TheDocumentedExampleUsesEveryKey) {
  const auto page = read_text(kSource / "docs/job-file.md");
  const std::string fence = "```toml\n";
  const auto begin = page.find(fence);
  ASSERT_NE(begin, std::string::npos);
  const auto end = page.find("```\n", begin + fence.size());
  ASSERT_NE(end, std::string::npos);
  const auto spec =
      parse_job_file(page.substr(begin + fence.size(), end - begin - fence.size()), "docs", {});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->name, "lung-screening");
  EXPECT_EQ(spec->rounds, 20u);
  EXPECT_EQ(spec->seed, 7u);
  EXPECT_EQ(spec->deadline, std::chrono::hours{6});
  EXPECT_EQ(spec->stall_window, std::chrono::minutes{5});
  EXPECT_EQ(spec->priority, -10);
  EXPECT_EQ(spec->sites, (SiteSelection{3,
                                        5,
                                        2,
                                        {SiteId::literal("north")},
                                        {SiteId::literal("test-lab")},
                                        false,
                                        1000,
                                        "jurisdiction IN ('DE', 'FR')",
                                        "cores * slots",
                                        SampleSpec{SampleBy::samples, 2, 0, 1.5, 0}}));
  EXPECT_EQ(spec->stop, (StopSpec{"accuracy", 3, 0.001}));
  EXPECT_EQ(spec->keep, Keep::best_and_last);
  EXPECT_EQ(spec->resources, (TaskNeeds{2'000'000'000, 2, 1}));
  EXPECT_EQ(spec->train,
            (TrainSpec{"lung-nodules",
                       2,
                       64,
                       Loss::cross_entropy,
                       {"sgd", 0.01, 0.9, 0.0001, {{"nesterov", true}}},
                       {1, 1, 1, 1, 1, 1, 1, 1, 1, 2.5},
                       {"step",
                        {{"every", std::int64_t{10}}, {"gamma", 0.1}, {"warmup", std::int64_t{2}}}},
                       5,
                       0.5,
                       {"conv1.weight"},
                       true,
                       {true, false, 0.8, 2},
                       "torch",
                       {},
                       0.01,
                       {"conv1.bias"},
                       {"classes.bias"},
                       3}));
  EXPECT_EQ(spec->evaluate, (EvaluateSpec{"lung-nodules-test", 5}));
  EXPECT_EQ(spec->strategy.kind, "fedavg");
  EXPECT_EQ(spec->update, (UpdateSpec{"topk", 0.05}));
  EXPECT_TRUE(spec->preemptible);
  EXPECT_EQ(spec->after, std::vector{JobId::literal("lung-pretraining-1")});
  EXPECT_EQ(spec->init,
            (InitialModel{JobId::literal("lung-pretraining-1"), InitialModel::Which::best, 0}));
}

TEST(JobFile, AFlipIsOneOfThreeWords) {
  const auto flipped = parse_job_file(kMinimal, "job.toml", {"train.augment.flip=sideways"});
  ASSERT_FALSE(flipped);
  EXPECT_THAT(flipped.error().message,
              testing::HasSubstr("train.augment.flip is \"sideways\", which is unknown"));
}

TEST(JobFile, NumbersAreWrittenAsShortAsTheyReadBackTheSame) {
  auto spec = parse_job_file(kMinimal, "job.toml", {});
  ASSERT_TRUE(spec) << spec.error().message;
  spec->train.optimizer.lr = 0.05;
  spec->train.optimizer.momentum = 0;
  spec->train.optimizer.weight_decay = 1e-20;
  spec->sites.require = "slots >\n0\nAND slots\n = 0.050000000000000003\nOR slots > 0";
  const auto text = job_file_text(*spec);
  EXPECT_THAT(text, testing::HasSubstr("lr = 0.05\n"));
  EXPECT_THAT(text, testing::HasSubstr("momentum = 0.0\n"));
  EXPECT_EQ(parse_job_file(text, "text", {})->sites.require, spec->sites.require) << text;
  EXPECT_EQ(*parse_job_file(text, "text", {}), *spec) << text;
}

// The example beside the kinds.
TEST(JobFile, AJobThatEvaluatesHasNoTrainTableAndReadsBackAsTheSame) {
  const auto page = read_text(kSource / "docs/job-file.md");
  const auto begin = page.find("name = \"lung-check\"");
  const auto text = page.substr(begin, page.find("```\n", begin) - begin);
  const auto spec = parse_job_file(text, "docs", {"evaluate.loss=\"mse\""});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->kind, JobKind::evaluate);
  EXPECT_EQ(spec->rounds, 1U);
  EXPECT_EQ(spec->train.dataset, "lung-scans-test");
  EXPECT_EQ(spec->train.loss, Loss::mse);
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{},
        {"evaluate.trainer=\"pytorch\"", "evaluate.normalise=\"stats:numbers-1\""}}) {
    const auto one = parse_job_file(text, "docs", more);
    ASSERT_TRUE(one) << one.error().message;
    EXPECT_EQ(one->train.normalise.has_value(), !more.empty());
    const auto again = parse_job_file(job_file_text(*one), "text", {});
    ASSERT_TRUE(again) << again.error().message << "\n" << job_file_text(*one);
    EXPECT_EQ(*again, *one);
  }
  const auto trained =
      parse_job_file(text + "[train]\ndataset = \"x\"\nlocal_epochs = 2\n", "docs", {});
  ASSERT_FALSE(trained);
  EXPECT_THAT(trained.error().message, testing::HasSubstr("has no [train]"));
  const auto unknown = parse_job_file(text, "docs", {"kind=\"evaluat\""});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(
      unknown.error().message,
      testing::HasSubstr("kind is \"evaluat\", which is unknown; did you mean \"evaluate\"?"));
}

TEST(JobFile, AFileOfTheCoordinatorsIsNamedByItsPathFromTheJobFilesFolder) {
  FilePaths files;
  const auto spec =
      parse_job_file("init = \"file:models/first.safetensors\"\n" + kMinimal, "job", {}, &files);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->init->which, InitialModel::Which::file);
  EXPECT_FALSE(has_its_files(*spec)) << "who submits it reads the file";
  EXPECT_EQ(files, (FilePaths{{FileUse::initial_model, "models/first.safetensors"}}));
  const auto folder = std::filesystem::path(testing::TempDir());
  std::ofstream(folder / "from-file.toml") << "init = \"file:first.safetensors\"\n" << kMinimal;
  ASSERT_TRUE(read_job_file(folder / "from-file.toml", {}, &files));
  EXPECT_EQ(files[FileUse::initial_model], folder / "first.safetensors");
  ASSERT_TRUE(read_job_file(folder / "from-file.toml", {"init=\"file:/srv/m\""}, &files));
  EXPECT_EQ(files[FileUse::initial_model], "/srv/m");
  EXPECT_THAT(parse_job_file("init = \"file:\"\n" + kMinimal, "job", {}).error().message,
              testing::HasSubstr("for a file of your own \"file:PATH\""));
}

// The example of its section.
TEST(JobFile, AJobThatPredictsNamesItsInputsAndItsTextHasTheirDigests) {
  const auto page = read_text(kSource / "docs/job-file.md");
  const auto begin = page.find("kind = \"predict\"\nname");
  const auto text = page.substr(begin, page.find("```\n", begin) - begin);
  FilePaths files;
  auto spec = parse_job_file(text, "docs", {"predict.loss=\"mse\""}, &files);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->kind, JobKind::predict);
  EXPECT_EQ(spec->train.dataset, "lung-nodules");
  EXPECT_EQ(spec->train.loss, Loss::mse);
  EXPECT_EQ(spec->strategy.weights, Weighting::uniform);
  EXPECT_EQ(spec->predict->own, JobId::literal("lung-linear-1"));
  EXPECT_EQ(files, (FilePaths{{FileUse::inputs, "new-scans.safetensors"}}));
  spec->predict->inputs.bytes.fill(7);
  spec->predict->inputs_bytes = 3136 * 2 + 100;
  spec->predict->examples = 2;
  ASSERT_TRUE(validate(*spec));
  auto again = parse_job_file(job_file_text(*spec), "text", {}, &files);
  ASSERT_TRUE(again) << again.error().message << "\n" << job_file_text(*spec);
  EXPECT_EQ(files[FileUse::inputs], spec->predict->inputs.hex());
  again->predict->inputs = spec->predict->inputs;
  again->predict->inputs_bytes = spec->predict->inputs_bytes;
  again->predict->examples = spec->predict->examples;
  EXPECT_EQ(*again, *spec);
}

// The documented example has every key, so that a key which is not written shows here.
TEST(JobFile, TheTextOfASpecReadsBackAsTheSame) {
  const auto page = read_text(kSource / "docs/job-file.md");
  const std::string fence = "```toml\n";
  const auto begin = page.find(fence) + fence.size();
  auto spec = parse_job_file(page.substr(begin, page.find("```\n", begin) - begin), "docs", {});
  ASSERT_TRUE(spec) << spec.error().message;
  spec->deadline = Millis{1'500'001};
  spec->train.optimizer.lr = 0.1 + 0.2;
  for (const bool has_own_weights : {false, true}) {
    if (has_own_weights) {
      spec->strategy.weights = Weighting::given;
      spec->strategy.site_weights = {{SiteId::literal("north"), 2.5}};
      spec->sites.quorum = 1;
      spec->sites.sample = SampleSpec{SampleBy::uniform, 0, 1.0 / 3, 1, 2};
      spec->train.exclude.clear();
      spec->train.private_tensors.clear();
      spec->train.private_epochs = 0;
      spec->train.personal = PersonalSpec{0.5, 2};
      spec->evaluate->personal = true;
    }
    const auto text = job_file_text(*spec);
    const auto again = parse_job_file(text, "text", {});
    ASSERT_TRUE(again) << again.error().message << "\n" << text;
    EXPECT_EQ(*again, *spec) << text;
  }
}

TEST(JobFile, AsynchronousTrainingHasItsOwnTableAndReadsBackAsTheSame) {
  const std::string rest =
      "name = \"a\"\nrounds = 3\n[model]\ninput = [4]\nlayers = [{ type = \"linear\", "
      "out_features = 2 }]\n[train]\ndataset = \"scans\"\n";
  const auto spec = parse_job_file(
      rest + "[async]\nbuffer = 4\nstaleness_exponent = 1\nstaleness_max = 3\nconcurrency = 8\n",
      "job.toml", {});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->async, (AsyncSpec{4, 1, 3, 8}));
  const auto again = parse_job_file(job_file_text(*spec), "again.toml", {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *spec);
  const auto least = parse_job_file(rest + "[async]\nbuffer = 1\n", "job.toml", {});
  ASSERT_TRUE(least) << least.error().message;
  EXPECT_EQ(least->async, AsyncSpec());
  const auto none = parse_job_file(rest + "[async]\n", "job.toml", {});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, testing::HasSubstr("\"buffer\""));
}

TEST(JobFile, AJobThatCountsHasItsOwnTable) {
  constexpr auto kCounts = R"(
name = "numbers"
kind = "statistics"
sites = { min = 3 }
[statistics]
dataset = "tumours"
columns = ["mean radius", "diagnosis"]
bins = 16
quantiles = [0.05, 0.5]
)";
  const auto spec = parse_job_file(kCounts, "job.toml", {});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->kind, JobKind::statistics);
  EXPECT_EQ(spec->rounds, 2U);
  EXPECT_EQ(spec->train.dataset, "tumours");
  EXPECT_EQ(spec->statistics, (StatisticsSpec{{"mean radius", "diagnosis"}, 16, {0.05, 0.5}}));
  const auto again = parse_job_file(job_file_text(*spec), "text", {});
  ASSERT_TRUE(again) << again.error().message << job_file_text(*spec);
  EXPECT_EQ(*again, *spec);
  EXPECT_FALSE(parse_job_file(kCounts, "job.toml", {"rounds=3"}));
  EXPECT_FALSE(parse_job_file(kCounts, "job.toml", {"strategy.kind=krum"}));
  EXPECT_FALSE(parse_job_file(kMinimal, "job.toml", {"statistics.dataset=tumours"}));
}

TEST(JobFile, NormalisesByAJobOrByNumbers) {
  auto spec = parse_job_file(kMinimal, "job.toml", {"train.normalise=stats:numbers-1"});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->train.normalise, (Normalisation{JobId::literal("numbers-1"), {}}));
  EXPECT_FALSE(parse_job_file(kMinimal, "job.toml", {"train.normalise=numbers-1"}));
  spec->train.normalise->columns = {{"mean radius", 14.1, 3.5}, {"area", 0.1 + 0.2, 1}};
  const auto text = job_file_text(*spec);
  const auto again = parse_job_file(text, "text", {});
  ASSERT_TRUE(again) << again.error().message << text;
  EXPECT_EQ(*again, *spec) << text;
  spec->train.normalise->columns[0].deviation = 0;
  EXPECT_FALSE(parse_job_file(job_file_text(*spec), "text", {}));
}

std::string row_of(const std::string& page, const std::string& first_cell) {
  const auto row = page.find("\n| " + first_cell);
  EXPECT_NE(row, std::string::npos) << first_cell;
  return row == std::string::npos ? "" : page.substr(row);
}

TEST(JobFile, EveryLayerAndAttributeIsDocumented) {
  const auto page = read_text(kSource / "docs/models.md");
  for (const auto& kind : layer_kinds()) {
    const auto row = row_of(page, "`" + kind + "` |");
    for (const auto& attribute : layer_attributes(kind)) {
      EXPECT_THAT(row, ::testing::HasSubstr("| `" + attribute + "` |")) << kind;
    }
  }
}

TEST(JobFile, EveryArchitectureOptimizerScheduleAndLossIsDocumented) {
  const auto page = read_text(kSource / "docs/models.md");
  for (const auto& name : architecture_names()) {
    const auto row = row_of(page, "`" + name + "` |");
    for (const auto& attribute : architecture_attributes(name)) {
      EXPECT_THAT(name == "gru_classifier" ? page : row,
                  ::testing::HasSubstr("`" + attribute + "`"))
          << name;
    }
  }
  for (const auto& name : optimizer_names()) {
    for (const auto& option : optimizer_options(name)) {
      EXPECT_THAT(row_of(page, name == "adamw" ? "`adam`, `adamw`" : "`" + name + "`"),
                  ::testing::HasSubstr("| `" + option + "` |"))
          << name;
    }
  }
  for (const auto& name : schedule_names()) {
    for (const auto& option : schedule_options(name)) {
      EXPECT_THAT(option == "warmup" ? page : row_of(page, "`" + name + "` |"),
                  ::testing::HasSubstr("`" + option + "`"))
          << name;
    }
  }
  for (const auto& name : loss_names()) {
    row_of(page, "`" + name + "` |");
  }
}

std::string with_model(const std::string& model) {
  return "name = \"tiny\"\nrounds = 8\n[train]\ndataset = \"numbers\"\n" + model;
}

TEST(JobFile, AnArchitectureIsReadAsItsLayers) {
  const auto spec = parse_job_file(
      with_model("[model]\ninput = [1, 4, 4]\narchitecture = \"mlp\"\nhidden = [5]\noutputs = 3\n"),
      "job.toml", {});
  ASSERT_TRUE(spec) << spec.error().message;
  ASSERT_EQ(spec->model.layers.size(), 4u);
  EXPECT_EQ(spec->model.layers[3],
            (LayerSpec{"linear", "output", {{"out_features", std::int64_t{3}}}}));
  const auto again = parse_job_file(with_model(model_text(spec->model)), "text", {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->model, spec->model);
}

TEST(JobFile, BlocksAreWrittenAndReadWithTheirLayers) {
  const auto spec = parse_job_file(
      with_model("[model]\ninput = [3, 8, 8]\narchitecture = \"resnet8\"\nwidth = 8\n"), "job.toml",
      {});
  ASSERT_TRUE(spec) << spec.error().message;
  const auto again = parse_job_file(job_file_text(*spec), "text", {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *spec);
  EXPECT_EQ(again->model.layers[5].shortcut.size(), 2u);
}

TEST(JobFile, OfACrossEvaluationHasAsManySitesAsItsMatrixHasRoomForUnlessItSaysFewer) {
  const auto text = replaced(kMinimal, "rounds = 2\n", "kind = \"cross_evaluate\"\n") +
                    "[evaluate]\ndataset = \"numbers-test\"\n";
  const auto spec = parse_job_file(text, "job.toml", {});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->kind, JobKind::cross_evaluate);
  EXPECT_EQ(spec->sites.max, kCrossSitesMax);
  const auto again = parse_job_file(job_file_text(*spec), "again.toml", {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *spec);
  EXPECT_EQ(parse_job_file(text, "job.toml", {"sites.max=5"})->sites.max, 5U);
  EXPECT_FALSE(parse_job_file(text, "job.toml", {"sites.max=33"}));
}

TEST(JobFile, ACosineIsAsLongAsTheRoundsAfterItsWarmUp) {
  const auto spec = parse_job_file(
      kMinimal, "job.toml", {"rounds=8", "train.schedule.type=cosine", "train.schedule.warmup=3"});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->train.schedule.options.at("rounds"), Attribute{std::int64_t{5}});
}

struct Invalid {
  const char* rule;
  std::string text;
  std::string code;
  std::string message;
  std::string hint;
  std::vector<std::string> overrides = {};
};

void PrintTo(const Invalid& tested, std::ostream* out) { *out << tested.rule; }

class InvalidJobFile : public ::testing::TestWithParam<Invalid> {};

TEST_P(InvalidJobFile, IsRefusedWithTheThingTheCauseAndTheNextStep) {
  const auto spec = parse_job_file(GetParam().text, "job.toml", GetParam().overrides);
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().code, GetParam().code);
  EXPECT_EQ(spec.error().message, GetParam().message);
  EXPECT_EQ(spec.error().hint, GetParam().hint);
}

const std::string kDocs = "docs/job-file.md explains every key";

INSTANTIATE_TEST_SUITE_P(
    JobFile, InvalidJobFile,
    ::testing::Values(
        Invalid{"Empty", "", "config_invalid",
                "job.toml: \"dataset\" is missing in [train]\n"
                "job.toml: \"name\" is missing\n"
                "job.toml: \"rounds\" is missing",
                kDocs},
        Invalid{"UnknownKeyAtTheTop", "round = 3\n" + kMinimal, "config_invalid",
                "job.toml:1: unknown key \"round\"; did you mean \"rounds\"?", kDocs},
        Invalid{"UnknownKeyInATable", kMinimal + "batchsize = 8\n", "config_invalid",
                "job.toml:10: unknown key \"batchsize\" in [train]; did you mean \"batch_size\"?",
                kDocs},
        Invalid{"UnknownKeyInANestedTable", kMinimal + "[train.optimizer]\nlearning_rate = 1\n",
                "config_invalid",
                "job.toml:11: unknown key \"learning_rate\" in [train.optimizer]; known are lr, "
                "momentum, nesterov, type, weight_decay",
                kDocs},
        Invalid{"LayerWithoutType", replaced(kMinimal, "type = \"linear\"\n", ""), "config_invalid",
                "job.toml:5: \"type\" is missing in [[model.layers]]", kDocs},
        Invalid{"UnknownLayerTypeBesideAnotherMistake",
                replaced(replaced(kMinimal, "\"linear\"", "\"liner\""), "rounds", "round"),
                "config_invalid",
                "job.toml: \"rounds\" is missing\n"
                "job.toml:2: unknown key \"round\"; did you mean \"rounds\"?\n"
                "job.toml:6: layer type \"liner\" is unknown; did you mean \"linear\"?",
                kDocs},
        Invalid{"InitThatNamesNoVersion", "init = \"model:lung-1\"\n" + kMinimal, "config_invalid",
                "job.toml:1: init is \"model:lung-1\"; write \"model:JOB@best\", "
                "\"model:JOB@last\", for the model of round 3 \"model:JOB@3\", or for a file of "
                "your own \"file:PATH\"",
                kDocs},
        Invalid{"AfterThatIsNoJob", "after = [\"Lung 1\"]\n" + kMinimal, "config_invalid",
                "job.toml:1: \"Lung 1\" in after is no job id", kDocs},
        Invalid{"UnknownKeyFarFromAllOthers", "zzz = 3\n" + kMinimal, "config_invalid",
                "job.toml:1: unknown key \"zzz\"; known are after, async, deadline, evaluate, "
                "init, keep, kind, model, name, predict, preemptible, priority, resources, rounds, "
                "seed, sites, stall_window, statistics, stop, strategy, train, update",
                kDocs},
        Invalid{
            "LayerWithATable", replaced(kMinimal, "out_features = 3", "out_features = {}"),
            "config_invalid",
            "job.toml:7: model.layers.out_features must be true or false, a number or a string, "
            "is a table",
            kDocs},
        Invalid{"LayerThatDoesNotFit", replaced(kMinimal, "[4]", "[1, 28, 28]"), "model_invalid",
                "job.toml: layer 1 \"linear\": expects a flat input, gets [1, 28, 28]",
                "put a flatten layer before it"},
        Invalid{"UnknownLayerAttribute", replaced(kMinimal, "out_features", "out_featurs"),
                "model_invalid",
                "job.toml: layer 1 \"linear\": unknown attribute \"out_featurs\"; did you mean "
                "\"out_features\"?",
                "docs/models.md lists every attribute"},
        Invalid{"RoundsOutOfRange", replaced(kMinimal, "rounds = 2", "rounds = 0"),
                "config_invalid", "job.toml:2: rounds is 0, must be from 1 to 100000", kDocs},
        Invalid{"NegativeSeed", "seed = -1\n" + kMinimal, "config_invalid",
                "job.toml:1: seed is -1, must be from 0 to 9223372036854775807", kDocs},
        Invalid{"DeadlineThatIsNoDuration", "deadline = \"soon\"\n" + kMinimal, "config_invalid",
                "job.toml:1: deadline is \"soon\", must be a duration such as \"90s\", \"5m\", "
                "\"2h\" or \"1d\"",
                kDocs},
        Invalid{"IllegalSiteName", kMinimal + "[sites]\nexclude = [\"South\"]\n", "config_invalid",
                "job.toml:11: \"South\" in sites.exclude is not a legal site name", kDocs},
        Invalid{"MinAboveMax", kMinimal + "[sites]\nmin = 4\nmax = 3\n", "job_invalid",
                "job.toml: sites.min is 4, more than sites.max, 3",
                "raise sites.max, or leave it out to take every eligible site"},
        Invalid{"UnknownWayToSample",
                kMinimal + "[sites]\nsample = { count = 1, by = \"sample\" }\n", "config_invalid",
                "job.toml:11: sites.sample.by is \"sample\", which is unknown; did you mean "
                "\"samples\"?",
                kDocs},
        Invalid{"UnknownLocalSteps", kMinimal + "local_steps = \"balance\"\n", "config_invalid",
                "job.toml:10: train.local_steps is \"balance\", which is unknown; did you mean "
                "\"balanced\"?",
                kDocs},
        Invalid{"UnknownLoss", kMinimal + "loss = \"cross_entrop\"\n", "config_invalid",
                "job.toml:10: train.loss is \"cross_entrop\", which is unknown; did you mean "
                "\"cross_entropy\"?",
                kDocs},
        Invalid{"ArchitectureAndLayers",
                replaced(kMinimal, "[model]\n", "[model]\narchitecture = \"linear\"\n"),
                "config_invalid",
                "job.toml:4: model.architecture and model.layers exclude each other", kDocs},
        Invalid{"UnknownArchitecture",
                with_model("[model]\ninput = [4]\narchitecture = \"lennet\"\n"), "config_invalid",
                "job.toml:7: model.architecture is \"lennet\", which is unknown; did you mean "
                "\"lenet\"?; docs/models.md lists the architectures",
                kDocs},
        Invalid{"AttributeOfAnotherArchitecture",
                with_model("[model]\ninput = [1, 28, 28]\narchitecture = \"lenet\"\nwidth = 3\n"),
                "config_invalid",
                "job.toml:8: unknown key \"width\" in [model]; known are architecture, hidden, "
                "input, layers, outputs",
                kDocs},
        Invalid{"MisspeltKeyOfALayerInABlock",
                with_model("[model]\ninput = [4]\n[[model.layers]]\ntype = \"residual\"\nlayers = "
                           "[{ type = \"liner\" }]\n"),
                "config_invalid",
                "job.toml:9: layer type \"liner\" is unknown; did you mean \"linear\"?", kDocs},
        Invalid{
            "ClassWeightThatIsAWord", kMinimal + "class_weights = [1, \"two\"]\n", "config_invalid",
            "job.toml:10: train.class_weights must be a list of numbers, contains a string", kDocs},
        Invalid{"UnknownStrategy", kMinimal + "[strategy]\nkind = \"fed_avg\"\n", "job_invalid",
                "job.toml: strategy.kind is \"fed_avg\", which is unknown; did you mean "
                "\"fedavg\"?",
                "set strategy.kind to \"fedavg\""},
        Invalid{"UnknownEncoding", kMinimal + "[update]\nencoding = \"float16\"\n", "job_invalid",
                "job.toml: update.encoding is \"float16\", which is unknown; did you mean "
                "\"float32\"?",
                "set update.encoding to \"float32\""},
        Invalid{"FractionOfAnEncodingThatSendsAll",
                kMinimal + "[update]\nencoding = \"f16\"\nfraction = 0.1\n", "job_invalid",
                "job.toml: update.fraction has no effect: f16 sends every value",
                "leave it out, or set update.encoding to \"topk\""},
        Invalid{"EvaluateWithoutDataset", kMinimal + "[evaluate]\nevery = 2\n", "config_invalid",
                "job.toml:10: \"dataset\" is missing in [evaluate]", kDocs},
        Invalid{"UnknownKeyInAnOverride",
                kMinimal,
                "config_invalid",
                "--set sites.mn=2: unknown key \"mn\" in [sites]; known are exclude, mandatory, "
                "max, min, prefer, quorum, replace, require, sample, samples_min",
                kDocs,
                {"sites.mn=2"}},
        Invalid{"OverrideWithoutAValue",
                kMinimal,
                "config_invalid",
                "--set \"rounds\": there is no \"=\"",
                "write it as --set key=value, for example --set sites.min=2",
                {"rounds"}}),
    [](const auto& tested) { return tested.param.rule; });

}  // namespace
}  // namespace entente
