// The examples that people are told to run, with real processes.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "common/config/job_file.h"
#include "common/domain/layers.h"
#include "common/tensors/safetensors.h"
#include "site-agent/data/dataset.h"
#include "site-agent/service/agent_config.h"
#include "tests/support/consortium.h"
#include "tests/support/postgres_server.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;

const fs::path kExamples = ENTENTE_EXAMPLES_FOLDER;
const fs::path kExample = kExamples / "breast-cancer";

std::string replace(std::string text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// The share of pairs, one of each class, that the scores put in the right order; a tie is half a
// pair.
double area_under_roc(const std::vector<float>& scores, const std::vector<std::int64_t>& labels) {
  double right = 0;
  double pairs = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    for (std::size_t j = 0; j < scores.size(); ++j) {
      if (labels[i] == 1 && labels[j] == 0) {
        pairs += 1;
        right += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
      }
    }
  }
  return right / pairs;
}

class Example : public testing::Test {
 protected:
  // A site whose agent.toml ends with `site_config`, the example's for this site.
  void add_site(const std::string& site, std::string site_config) {
    site_config = replace(std::move(site_config), "{site}", site);
    site_config = replace(std::move(site_config), "\"coordinator\"", "\"alice\"");
    const auto policy = site_config.find("[policy]");
    SiteSetup setup;
    setup.more_datasets = site_config.substr(0, policy);
    setup.policy = site_config.substr(site_config.find('\n', policy) + 1);
    setup.trainer = "entente-trainer";
    setup.keys = keys_;
    consortium_.add_site(site, setup);
  }

  // As `entente local up` does for light sites: they share a pool of trainers, all of them kept
  // warm.
  void share_trainers(std::size_t sites) {
    keys_ = "trainer_pool = { folder = \"" + (consortium_.folder() / "trainers").string() +
            "\", running = 2, warm = " + std::to_string(sites) + " }\n";
  }

  // As `entente local up --site-config` does. Each value of `changes` replaces its key first.
  void add_sites(const fs::path& site_config, const std::vector<std::string>& sites,
                 const std::map<std::string, std::string>& changes = {}) {
    auto config = read_text(site_config);
    for (const auto& [from, to] : changes) {
      config = replace(std::move(config), from, to);
    }
    config = replace(std::move(config), "{here}", site_config.parent_path().string());
    config = replace(std::move(config), "{sites}", std::to_string(sites.size()));
    for (std::size_t i = 0; i < sites.size(); ++i) {
      add_site(sites[i], replace(config, "{index}", std::to_string(i)));
    }
    consortium_.wait_for_sites(sites.size());
  }

  // The completed job, as `entente job show --json` has it.
  nlohmann::json run(const fs::path& job_file, const std::vector<std::string>& changes = {}) {
    std::vector<std::string> arguments{"job", "submit", job_file.string()};
    for (const auto& change : changes) {
      arguments.emplace_back("--set");
      arguments.push_back(change);
    }
    const std::string job = consortium_.ask(arguments)["job"];
    const auto ended = consortium_.wait_for_end(job, std::chrono::minutes(4));
    EXPECT_EQ(ended["state"], "completed") << ended.dump(2);
    return ended;
  }

  Consortium consortium_;
  std::string keys_;
};

double last_evaluation(const nlohmann::json& job, const char* metric) {
  return job["rounds_done"].back()["evaluate_metrics"][metric];
}

TEST_F(Example, DigitsAreReadByDenseLayers) {
  add_sites(kExamples / "mnist/site.toml", {"north", "east", "south"});
  EXPECT_GT(last_evaluation(run(kExamples / "mnist/job.toml"), "accuracy"), 0.88);
}

std::uint64_t parameters_of(const char* job_file) {
  const auto spec =
      parse_job_file(read_text(kExamples / "mnist-paper" / job_file), job_file, {}).value();
  return resolve_model(spec.model).value().layout.elements();
}

// Section 3 of McMahan et al. (2017), arXiv:1602.05629.
TEST(Paper, ModelsHaveAsManyParametersAsItsOwn) {
  EXPECT_EQ(parameters_of("2nn.toml"), 199'210U);
  EXPECT_EQ(parameters_of("cnn.toml"), 1'663'370U);
}

// What ./run paper measures in an hour, in small: 1,200 digits at twenty sites, and a quarter of
// the sites in each round. A site alone has sixty.
TEST_F(Example, DigitsOfThePaperAreLearntInTenRoundsOfSampledSites) {
  constexpr std::size_t kSites = 20;
  share_trainers(kSites);
  auto config =
      replace(read_text(kExamples / "mnist/site.toml"), "{here}", (kExamples / "mnist").string());
  config = replace(config, "scheme = \"dirichlet\", alpha = 1.0", "scheme = \"iid\"");
  config = replace(config, "{sites}", std::to_string(kSites));
  const auto judge = config.find("[[datasets]]\nname = \"digits-test\"");
  const auto config_of_others =
      config.substr(0, judge) + config.substr(config.find("[policy]", judge));
  for (std::size_t i = 0; i < kSites; ++i) {
    add_site("site-" + std::to_string(i),
             replace(i == 0 ? config : config_of_others, "{index}", std::to_string(i)));
  }
  consortium_.wait_for_sites(kSites);
  const auto job =
      run(kExamples / "mnist-paper/2nn.toml",
          {"rounds=10", "sites.min=20", "sites.sample.fraction=0.25", "train.dataset=digits",
           "evaluate.dataset=digits-test", "evaluate.every=10"});
  EXPECT_EQ(job["rounds_done"].back()["updates"], 5);
  RecordProperty("accuracy", std::to_string(last_evaluation(job, "accuracy")));
  EXPECT_GT(last_evaluation(job, "accuracy"), 0.5);  // 0.63; whoever guesses has 0.1
}

TEST_F(Example, ClothesAreToldApartByLeNet) {
  add_sites(kExamples / "fashion-mnist/site.toml", {"north", "east", "south"},
            {{"{sites}", "30"}, {"alpha = 0.1", "alpha = 100"}});
  const auto job = run(kExamples / "fashion-mnist/lenet.toml", {"rounds=4"});
  EXPECT_GT(last_evaluation(job, "accuracy"), 0.4);
}

TEST_F(Example, DiseaseIsPredictedByLinearRegression) {
  add_sites(kExamples / "diabetes/site.toml", {"north", "east", "south"});
  const auto job = run(kExamples / "diabetes/job.toml");
  EXPECT_GT(last_evaluation(job, "r2"), 0.25);
  EXPECT_LT(last_evaluation(job, "mae"), 60);
}

// What psql's \\copy does.
std::string import_of(const fs::path& table) {
  auto rows = read_text(table);
  const auto names = rows.substr(0, rows.find('\n'));
  rows = rows.substr(names.size() + 1);
  rows.pop_back();  // the last line's end
  return fmt::format("INSERT INTO import ({}) VALUES ({})", names,
                     replace(std::move(rows), "\n", "), ("));
}

TEST_F(Example, TablesInDatabasesServeTheJobThatFilesServe) {
  const PostgresServer server;
  const std::vector<std::string> clinics{"north", "east", "south"};
  for (const auto& clinic : clinics) {
    server.run("CREATE DATABASE " + clinic);
    server.run(read_text(kExamples / "postgres/tables.sql"), clinic);
    server.run(import_of(kExamples / "diabetes" / (clinic + ".csv")), clinic);
    server.run(read_text(kExamples / "postgres/fill.sql"), clinic);
  }
  add_sites(kExamples / "postgres/site.toml", clinics,
            {{"dbname={site}", server.connection("{site}")}});
  int patients = 0;
  for (const auto& dataset : consortium_.ask({"dataset", "list"})) {
    patients += dataset["kind"] == "postgres" ? dataset["examples"].get<int>() : 0;
  }
  EXPECT_EQ(patients, 198 + 126 + 74) << "a tenth has not consented";
  const auto job = run(kExamples / "diabetes/job.toml");
  EXPECT_GT(last_evaluation(job, "r2"), 0.2);
  EXPECT_EQ(job["rounds_done"].back()["evaluated_at"], 3) << "the smallest clinic counts, too";
}

// The mean age of all 442 patients is 48.5, of those that are trained on nearly that.
TEST_F(Example, DiseaseIsPredictedFromInputsNormalisedByStatistics) {
  add_sites(kExamples / "diabetes/site.toml", {"north", "east", "south"});
  const std::string counted = run(kExamples / "diabetes/statistics.toml")["job"];
  const auto columns = consortium_.ask({"job", "statistics", counted})["columns"];
  EXPECT_EQ(columns["age"]["sites"], 3);
  EXPECT_NEAR(columns["age"]["mean"].get<double>(), 48.5, 1);
  EXPECT_NEAR(columns["bmi"]["deviation"].get<double>(), 4.41, 0.3);
  const auto job =
      run(kExamples / "diabetes/normalised.toml", {"train.normalise=stats:" + counted});
  EXPECT_GT(last_evaluation(job, "r2"), 0.25);
}

TEST_F(Example, TumoursAreToldApartByASupportVectorMachine) {
  add_sites(kExamples / "breast-cancer/site.toml", {"north", "east", "south"});
  EXPECT_GT(last_evaluation(run(kExamples / "breast-cancer/svm.toml"), "accuracy"), 0.9);
}

class LanguageExample : public Example, public testing::WithParamInterface<const char*> {};

// A fifth of the words that people are told to take, and half of the rounds. The metrics of
// training are those of the model before each site's only step, on words of all languages.
TEST_P(LanguageExample, IsLearntThoughEachSiteHasWordsOfOne) {
  add_sites(kExamples / "languages/site.toml",
            {"american-english-small", "french", "italian", "ngerman", "spanish"},
            {{"of = 100", "of = 500"}});
  const auto job = run(kExamples / "languages" / (std::string(GetParam()) + ".toml"),
                       {"rounds=40", "evaluate.every=40"});
  EXPECT_GT(job["rounds_done"].back()["train_metrics"]["accuracy"], 0.5);
}

INSTANTIATE_TEST_SUITE_P(By, LanguageExample, testing::Values("lstm", "gru", "transformer"),
                         [](const auto& with) { return std::string(with.param); });

class BreastCancer : public Example {
 protected:
  void add_hospital(const std::string& site) {
    add_site(site,
             replace(read_text(kExample / "site.toml"), "{here}", consortium_.folder().string()));
  }

  std::string train(const std::vector<std::string>& changes) {
    return run(kExample / "job.toml", changes)["job"];
  }

  double area_of(const std::string& job, const agent::Dataset& data) {
    const auto file = consortium_.folder() / (job + ".safetensors");
    (void)consortium_.ask({"model", "pull", job, "-o", file.string()});
    const auto model = TensorFile::open(file);
    EXPECT_TRUE(model);
    const std::size_t inputs = data.features.size() / data.size();
    std::vector<float> weights(2 * inputs);
    EXPECT_EQ(model->data(0).size(), weights.size() * sizeof(float));
    std::memcpy(weights.data(), model->data(0).data(), model->data(0).size());
    std::vector<float> scores;
    for (std::size_t i = 0; i < data.size(); ++i) {
      float logit = 0;
      for (std::size_t j = 0; j < inputs; ++j) {
        logit += (weights[inputs + j] - weights[j]) * data.features[i * inputs + j];
      }
      scores.push_back(logit);
    }
    return area_under_roc(scores, data.labels);
  }
};

TEST_F(BreastCancer, ThreeHospitalsLearnWhatOneTableWouldTeach) {
  std::string pooled;
  for (const std::string site : {"north", "east", "south"}) {
    const auto table = read_text(kExample / (site + ".csv"));
    write_text(consortium_.folder() / (site + ".csv"), table);
    pooled += pooled.empty() ? table : table.substr(table.find('\n') + 1);
    add_hospital(site);
  }
  write_text(consortium_.folder() / "pooled.csv", pooled);
  add_hospital("pooled");
  consortium_.wait_for_sites(4);

  std::set<int> counts;
  int examples = 0;
  for (const auto& dataset : consortium_.ask({"dataset", "list"})) {
    if (dataset["dataset"] == "tumours" && dataset["site"] != "pooled") {
      counts.insert(dataset["examples"].get<int>());
      examples += dataset["examples"].get<int>();
      EXPECT_EQ(dataset["example_shape"], nlohmann::json({30}));
      EXPECT_EQ(dataset["features"][0], "mean radius");
      EXPECT_EQ(dataset["classes"], 2);
    }
  }
  EXPECT_EQ(counts.size(), 3U) << "hospitals of unequal size";

  const auto config = agent::read_agent_config(consortium_.site_folder("pooled") / "agent.toml");
  ASSERT_TRUE(config) << config.error().message;
  const auto holdout = std::find_if(config->datasets.begin(), config->datasets.end(),
                                    [](const auto& it) { return it.name == "tumours-holdout"; });
  ASSERT_NE(holdout, config->datasets.end());
  const auto judged = agent::load_dataset(*holdout);
  ASSERT_TRUE(judged) << judged.error().message;
  EXPECT_EQ(judged->size() + static_cast<std::size_t>(examples), 569U);

  const auto together = area_of(train({"sites.exclude=[\"pooled\"]"}), *judged);
  const auto in_one_place =
      area_of(train({"sites.min=1", "sites.max=1", "sites.mandatory=[\"pooled\"]"}), *judged);
  RecordProperty("auroc_federated", std::to_string(together));
  RecordProperty("auroc_pooled", std::to_string(in_one_place));
  EXPECT_GT(together, 0.98);
  EXPECT_NEAR(together, in_one_place, 0.01 * in_one_place);
}

}  // namespace
}  // namespace entente::integration
