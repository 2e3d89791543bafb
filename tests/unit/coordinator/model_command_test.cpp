// The commands about models that need no broker.
#include "coordinator/model_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/config/job_file.h"
#include "common/tensors/safetensors.h"

namespace entente::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ModelCommand : public testing::Test {
 protected:
  ModelCommand() {
    std::string name = (fs::temp_directory_path() / "entente-model-XXXXXX").native();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~ModelCommand() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  // Runs `entente model ...`; what it printed is in out_ and err_.
  ExitCode run(std::vector<std::string> words) {
    CLI::App app;
    Action chosen;
    add_model_command(app, options_, chosen);
    words.insert(words.begin(), "model");
    std::reverse(words.begin(), words.end());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    ExitCode code = ExitCode::usage;
    try {
      app.parse(words);
      code = chosen();
    } catch (const CLI::ParseError&) {
      code = ExitCode::usage;
    }
    fflush(stdout);
    fflush(stderr);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::string job(const std::string& model) {
    std::ofstream(path("job.toml"))
        << "name = \"tiny\"\nrounds = 1\n[train]\ndataset = \"digits\"\n[model]\n"
        << model;
    return path("job.toml");
  }

  std::string model_file() {
    const TensorLayout layout{{{"fc.weight", {2, 3}}, {"fc.bias", {2}}}};
    TensorFileWriter writer(path("model"), layout, {});
    writer.append(std::vector<float>{-3, 0.5, 2, -1, 4, 0.25, 0.01F, 0.02F});
    writer.close();
    return path("model");
  }

  Options options_;
  fs::path folder_;
  std::string out_;
  std::string err_;
};

TEST_F(ModelCommand, DescribeShowsEachLayerWithItsShapeAndParameters) {
  const auto file = job("input = [3, 32, 32]\narchitecture = \"resnet8\"\n");
  ASSERT_EQ(run({"describe", file}), ExitCode::done) << err_;
  EXPECT_THAT(out_, HasSubstr("block2      residual         [32, 16, 16]  14,528\n"));
  EXPECT_THAT(out_, HasSubstr("    conv    conv2d           [32, 16, 16]  512\n"));
  EXPECT_THAT(out_, HasSubstr("block1.norm2.running_var [16]\n"));
  EXPECT_THAT(out_, HasSubstr("78,042"));
}

TEST_F(ModelCommand, DescribeWritesTheDeclarationOut) {
  const auto file = job("input = [1, 28, 28]\narchitecture = \"lenet\"\n");
  options_.json = true;
  ASSERT_EQ(run({"describe", file}), ExitCode::done) << err_;
  const auto described = nlohmann::json::parse(out_);
  EXPECT_EQ(described["parameters"], 61'706);
  EXPECT_EQ(described["layers"][0]["output"], (std::vector<int>{6, 28, 28}));
  const auto short_form = read_job_file(file, {});
  const auto written_out = read_job_file(
      job(described["declaration"].get<std::string>().substr(std::string("[model]\n").size())), {});
  ASSERT_TRUE(written_out) << written_out.error().message;
  EXPECT_EQ(written_out->model, short_form->model);
}

TEST_F(ModelCommand, DescribeRefusesWhatDoesNotFitWithTheLayer) {
  const auto file =
      job("input = [1, 28, 28]\nlayers = [{ type = \"linear\", out_features = 3 }]\n");
  EXPECT_EQ(run({"describe", file}), ExitCode::refused);
  EXPECT_THAT(err_, HasSubstr("layer 1 \"linear\": expects a flat input, gets [1, 28, 28]"));
  EXPECT_EQ(run({"describe", "No Such Thing"}), ExitCode::refused);
  EXPECT_THAT(err_, HasSubstr("is neither a job file nor a job"));
}

TEST_F(ModelCommand, PruneWritesAFileWithSoManyZeros) {
  ASSERT_EQ(run({"prune", model_file(), "--sparsity", "0.5", "-o", path("small")}), ExitCode::done)
      << err_;
  EXPECT_THAT(out_, HasSubstr("3 of 6 weights are zero"));
  const auto small = TensorFile::open(path("small"));
  ASSERT_TRUE(small) << small.error().message;
  const auto values = *small->flat(small->layout());
  EXPECT_THAT(std::vector<float>(values.begin(), values.end()),
              testing::ElementsAre(-3, 0, 2, 0, 4, 0, 0.01F, 0.02F));
}

TEST_F(ModelCommand, PruneTakesUnitsAwayAndPrintsTheLayersThatAreLeft) {
  const auto layers =
      job("input = [3]\nlayers = [{ type = \"linear\", out_features = 2 }, "
          "{ type = \"relu\" }, { type = \"linear\", out_features = 1 }]\n");
  const TensorLayout layout{{{"linear1.weight", {2, 3}},
                             {"linear1.bias", {2}},
                             {"linear2.weight", {1, 2}},
                             {"linear2.bias", {1}}}};
  TensorFileWriter writer(path("model"), layout, {});
  writer.append(std::vector<float>{1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7});
  writer.close();
  ASSERT_EQ(
      run({"prune", path("model"), "--units", "0.5", "--layers", layers, "-o", path("small")}),
      ExitCode::done)
      << err_;
  EXPECT_THAT(out_, HasSubstr("6 of 11 values are left"));
  EXPECT_THAT(out_, HasSubstr("out_features = 1"));
  const auto small = TensorFile::open(path("small"));
  ASSERT_TRUE(small) << small.error().message;
  const auto values = *small->flat(small->layout());
  EXPECT_THAT(std::vector<float>(values.begin(), values.end()),
              testing::ElementsAre(2, 2, 2, 4, 6, 7));
}

TEST_F(ModelCommand, PruneNeedsTheLayersOfAFileAndOneWayToPrune) {
  const auto file = model_file();
  EXPECT_EQ(run({"prune", file, "--units", "0.5", "-o", path("small")}), ExitCode::refused);
  EXPECT_THAT(err_, HasSubstr("--layers"));
  EXPECT_EQ(run({"prune", file, "-o", path("small")}), ExitCode::usage);
  EXPECT_EQ(run({"prune", file, "--units", "0.5", "--sparsity", "0.5", "-o", path("small")}),
            ExitCode::usage);
}

TEST_F(ModelCommand, PruneNeverOverwritesWhatItReads) {
  const auto file = model_file();
  EXPECT_EQ(run({"prune", file, "--sparsity", "0.5", "-o", file}), ExitCode::refused);
  EXPECT_THAT(err_, HasSubstr("would be overwritten while it is read"));
  EXPECT_EQ(run({"prune", file, "--sparsity", "1", "-o", path("small")}), ExitCode::refused);
  EXPECT_THAT(err_, HasSubstr("0.8 sets four of five weights to zero"));
}

}  // namespace
}  // namespace entente::cli
