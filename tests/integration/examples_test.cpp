// The examples that people are told to run, with real processes.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "common/tensors/safetensors.h"
#include "site-agent/data/dataset.h"
#include "site-agent/service/agent_config.h"
#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;

const fs::path kExample = fs::path(ENTENTE_EXAMPLES_FOLDER) / "breast-cancer";

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

class BreastCancer : public testing::Test {
 protected:
  void add_hospital(const std::string& site) {
    auto config = replace(read_text(kExample / "site.toml"), "{site}", site);
    config = replace(config, "{here}", consortium_.folder().string());
    config = replace(config, "\"coordinator\"", "\"alice\"");
    const auto policy = config.find("[policy]");
    SiteSetup setup;
    setup.more_datasets = config.substr(0, policy);
    setup.policy = config.substr(config.find('\n', policy) + 1);
    setup.trainer = "entente-trainer";
    consortium_.add_site(site, setup);
  }

  std::string train(std::vector<std::string> changes) {
    std::vector<std::string> arguments{"job", "submit", (kExample / "job.toml").string()};
    for (auto& change : changes) {
      arguments.emplace_back("--set");
      arguments.push_back(std::move(change));
    }
    const std::string job = consortium_.ask(arguments)["job"];
    const auto ended = consortium_.wait_for_end(job);
    EXPECT_EQ(ended["state"], "completed") << ended.dump(2);
    return job;
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

  Consortium consortium_;
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
