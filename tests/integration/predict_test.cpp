// A federated ensemble between real processes: what comes of it is what one would compute who had
// every site's model, f(x) = sum w_i f_i(x).
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <sstream>

#include "common/domain/layers.h"
#include "common/tensors/safetensors.h"
#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

constexpr std::size_t kRows = 300;
constexpr std::size_t kPixels = 64;
constexpr std::size_t kClasses = 3;

// The tensors of a file by name.
using Tensors = std::map<std::string, std::vector<float>>;

Tensors tensors_of(const fs::path& path) {
  const auto file = TensorFile::open(path).value();
  Tensors tensors;
  for (std::size_t i = 0; i < file.layout().tensors.size(); ++i) {
    auto& values = tensors[file.layout().tensors[i].name];
    values.resize(file.data(i).size() / sizeof(float));
    std::memcpy(values.data(), file.data(i).data(), file.data(i).size());
  }
  return tensors;
}

std::vector<double> linear(const Tensors& model, const std::string& name,
                           const std::vector<double>& x) {
  const auto& weights = model.at(name + ".weight");
  std::vector<double> y(model.at(name + ".bias").begin(), model.at(name + ".bias").end());
  for (std::size_t i = 0; i < y.size(); ++i) {
    for (std::size_t j = 0; j < x.size(); ++j) {
      y[i] += double{weights[i * x.size() + j]} * x[j];
    }
  }
  return y;
}

// The model of tests/support/job_file.h, then softmax.
std::vector<double> said_by(const Tensors& model, const std::vector<double>& x) {
  auto hidden = linear(model, "hidden", x);
  for (auto& value : hidden) {
    value = std::max(value, 0.0);
  }
  auto scores = linear(model, "classes", hidden);
  double total = 0;
  for (auto& score : scores) {
    total += score = std::exp(score);
  }
  for (auto& score : scores) {
    score /= total;
  }
  return scores;
}

class Predict : public testing::Test {
 protected:
  void add_site(const std::string& site, const std::string& kinds = "\"train\", \"predict\"") {
    SiteSetup setup;
    setup.policy =
        "coordinators = [\"alice\"]\ndatasets = [\"stripes\"]\nkinds = [" + kinds + "]\n";
    consortium_.add_site(site, setup);
  }

  fs::path path(const std::string& name) const { return consortium_.folder() / name; }

  // A job that leaves something at its sites.
  std::string train(const std::string& keys) {
    JobFile file;
    file.evaluates = false;
    file.train_extra = keys;
    const auto id = consortium_.complete(file);
    (void)consortium_.ask({"model", "pull", id, "-o", path("shared.safetensors").string()});
    return id;
  }

  void write_inputs() {
    inputs_.resize(kRows * kPixels);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      inputs_[i] = static_cast<float>(i * 31 % 97) / 97;
    }
    TensorFileWriter writer(path("cases.safetensors"), {{TensorInfo{"inputs", {kRows, 1, 8, 8}}}},
                            {});
    writer.append(std::span<const float>(inputs_));
    writer.close();
  }

  // Submits a job that predicts, starting from `init`; `more` is in [predict] and after it.
  std::string predict(const std::string& init, const std::string& more) {
    const auto file = path("predict.toml");
    write_text(file, "name = \"ask\"\nkind = \"predict\"\ninit = \"" + init + R"("
[sites]
min = 2
quorum = 2
)" + JobFile().model_table() +
                         R"([predict]
inputs = "file:cases.safetensors"
dataset = "stripes"
)" + more);
    return consortium_.ask({"job", "submit", file.string()})["job"];
  }

  Tensors model_at(const std::string& site, const std::string& job, const std::string& suffix) {
    auto model = tensors_of(path("shared.safetensors"));
    for (const auto& [name, values] :
         tensors_of(consortium_.site_folder(site) / "data/own" / (job + ".safetensors"))) {
      if (name.ends_with(suffix)) {
        model[name.substr(0, name.size() - suffix.size())] = values;
      }
    }
    return model;
  }

  void expect_mean(const std::vector<std::pair<double, Tensors>>& ensemble,
                   const std::vector<float>& outputs) {
    ASSERT_EQ(outputs.size(), kRows * kClasses);
    for (std::size_t row = 0; row < kRows; row += 13) {
      const std::vector<double> x(
          inputs_.begin() + static_cast<std::ptrdiff_t>(row * kPixels),
          inputs_.begin() + static_cast<std::ptrdiff_t>((row + 1) * kPixels));
      std::vector<double> expected(kClasses, 0.0);
      for (const auto& [weight, model] : ensemble) {
        const auto said = said_by(model, x);
        for (std::size_t i = 0; i < kClasses; ++i) {
          expected[i] += weight * said[i];
        }
      }
      for (std::size_t i = 0; i < kClasses; ++i) {
        EXPECT_NEAR(outputs[row * kClasses + i], expected[i], 1e-5) << row;
      }
    }
  }

  std::vector<float> take(const std::string& job) {
    const auto file = path("answers.safetensors");
    const auto taken = consortium_.ask({"job", "predictions", job, "-o", file.string()});
    EXPECT_EQ(taken["contributions"].size(), 2U);
    return tensors_of(file).at("outputs");
  }

  Consortium consortium_;
  std::vector<float> inputs_;
};

TEST_F(Predict, IsTheWeightedMeanOfWhatEachSitesOwnModelSays) {
  add_site("north");
  add_site("south");
  consortium_.wait_for_sites(2);
  write_inputs();
  const auto trained = train("private = [\"classes.*\"]");
  const auto id =
      predict("model:" + trained + "@last",
              "own = \"" + trained + "\"\n[strategy]\nweights = { north = 3, south = 1 }\n");
  const auto job = consortium_.wait_for_end(id);
  ASSERT_EQ(job["state"], "completed") << job.dump(2);
  expect_mean({{0.75, model_at("north", trained, "")}, {0.25, model_at("south", trained, "")}},
              take(id));
  const auto text =
      consortium_.entente({"job", "predictions", id, "-o", path("a.csv").string(), "--csv"});
  EXPECT_THAT(text.out, HasSubstr("(from 2 sites)"));
  EXPECT_THAT(text.out, HasSubstr("0.7500"));
  std::istringstream csv(read_text(path("a.csv")));
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "output_1,output_2,output_3");
  std::size_t rows = 0;
  while (std::getline(csv, line)) {
    ++rows;
  }
  EXPECT_EQ(rows, kRows);
  // What each site said alone is gone, and so are the inputs.
  EXPECT_THAT(consortium_.at_site("north", {"sent"}).out, HasSubstr("predict"));
  EXPECT_TRUE(consortium_.stop("broker").success());
  const auto check = consortium_.run("entente-broker", {"check", (path("broker/data")).string()});
  EXPECT_EQ(check.code, 0) << check.out;
  EXPECT_THAT(check.out, testing::Not(HasSubstr("no row names it")));
}

TEST_F(Predict, UsesThePersonalModelsOfDittoAndModelFilesOfTheCoordinators) {
  add_site("north");
  add_site("south");
  consortium_.wait_for_sites(2);
  write_inputs();
  const auto trained = train("personal = { lambda = 0.1, local_epochs = 1 }");
  const auto own = predict("file:shared.safetensors",
                           "own = \"" + trained + "\"\n[strategy]\nweights = \"uniform\"\n");
  ASSERT_EQ(consortium_.wait_for_end(own)["state"], "completed");
  expect_mean({{0.5, model_at("north", trained, ":personal")},
               {0.5, model_at("south", trained, ":personal")}},
              take(own));
  const auto shared = predict("file:shared.safetensors", "");
  ASSERT_EQ(consortium_.wait_for_end(shared)["state"], "completed");
  expect_mean({{1.0, tensors_of(path("shared.safetensors"))}}, take(shared));
}

// The same words again are the same job: what it still waits for is sent, and no more.
TEST_F(Predict, ARepeatedSubmissionSendsTheFilesThatTheFirstOneLeftOut) {
  add_site("north");
  add_site("south");
  consortium_.wait_for_sites(2);
  write_inputs();
  (void)train("");
  const auto first = predict("file:shared.safetensors", "");
  ASSERT_EQ(consortium_.wait_for_end(first)["state"], "completed");
  const std::string again = consortium_.ask({"job", "clone", first, "--token", "once"})["job"];
  (void)consortium_.ask({"job", "upload", again, path("shared.safetensors").string()});
  EXPECT_THAT(consortium_.entente({"job", "explain", again}).out,
              HasSubstr("waits for its coordinator's file"));
  const auto repeated =
      consortium_.ask({"job", "submit", path("predict.toml").string(), "--token", "once"});
  EXPECT_EQ(repeated["job"], again);
  ASSERT_EQ(consortium_.wait_for_end(again)["state"], "completed");
  EXPECT_EQ(take(again), take(first));
}

TEST_F(Predict, ASiteWithNothingOfItsOwnOrWithoutTheKindDeclines) {
  add_site("north");
  add_site("south");
  consortium_.wait_for_sites(2);
  write_inputs();
  const auto trained = train("private = [\"classes.*\"]");
  add_site("east");
  add_site("west", "\"train\"");
  consortium_.wait_for_sites(4);
  const auto id = predict("model:" + trained + "@last", "own = \"" + trained + "\"\n");
  ASSERT_EQ(consortium_.wait_for_end(id)["state"], "completed");
  const auto logs = consortium_.entente({"job", "logs", id}).out;
  EXPECT_THAT(logs, HasSubstr("east declined: job " + trained + " has left nothing at this site"));
  EXPECT_THAT(logs, HasSubstr("west declined: policy clause \"kinds\""));
}

TEST_F(Predict, GoesOnWhereItWasWhenTheBrokerIsKilledBetweenTwoAnswers) {
  add_site("north");
  add_site("south");
  consortium_.wait_for_sites(2);
  write_inputs();
  const auto trained = train("");
  consortium_.hold("south", "predict");
  const auto id = predict("file:shared.safetensors", "");
  (void)consortium_.wait_until_held("south", "predict");
  wait_until("north to have answered", [&] {
    return consortium_.entente({"job", "logs", id}).out.find("north sent its predictions") !=
           std::string::npos;
  });
  consortium_.kill("broker");
  consortium_.start_broker();
  consortium_.wait_for_sites(2);
  consortium_.release("south", "predict");
  ASSERT_EQ(consortium_.wait_for_end(id)["state"], "completed");
  expect_mean({{1.0, tensors_of(path("shared.safetensors"))}}, take(id));
}

}  // namespace
}  // namespace entente::integration
