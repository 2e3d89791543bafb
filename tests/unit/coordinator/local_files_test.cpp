// Files that travel along with a job: what is wrong with one is said before anything is submitted.
#include "coordinator/local_files.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "common/crypto/digest.h"
#include "common/tensors/safetensors.h"
#include "coordinator/predictions.h"

namespace entente::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const TensorLayout kModel{{TensorInfo{"fc.weight", {2, 3}}, TensorInfo{"fc.bias", {2}}}};

class LocalFile : public testing::Test {
 protected:
  LocalFile() {
    std::string name = (fs::temp_directory_path() / "entente-local-XXXXXX").native();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    spec_.name = "tiny";
    spec_.deadline = std::chrono::hours(1);
    spec_.stall_window = std::chrono::minutes(1);
    spec_.model.input = {3};
    spec_.model.layers = {LayerSpec{"linear", "fc", {{"out_features", std::int64_t{2}}}}};
    spec_.train.dataset = "numbers";
    spec_.init = InitialModel{};
    spec_.init->which = InitialModel::Which::file;
  }
  ~LocalFile() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  fs::path write(const TensorLayout& layout, std::vector<float> values,
                 const std::string& name = "model.safetensors") {
    TensorFileWriter writer(folder_ / name, layout, {{"format", "pt"}});
    values.resize(layout.elements(), 0.5F);
    writer.append(std::span<const float>(values));
    writer.close();
    return folder_ / name;
  }

  Refusal refused(const fs::path& path) {
    LocalFiles files;
    const auto read = files.read(spec_, {{FileUse::initial_model, path}});
    EXPECT_FALSE(read);
    return read ? Refusal{} : read.error();
  }

  static Digest digest(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    return sha256(bytes);
  }

  fs::path folder_;
  JobSpec spec_;
};

TEST_F(LocalFile, OfTheJobsOwnOrderGoesAsItIs) {
  const auto path = write(kModel, {1, 2, 3, 4, 5, 6, 7, 8});
  LocalFiles files;
  ASSERT_TRUE(files.read(spec_, {{FileUse::initial_model, path}}));
  EXPECT_EQ(spec_.init->file, digest(path));
  EXPECT_EQ(spec_.init->bytes, fs::file_size(path));
  ASSERT_EQ(files.ready().size(), 1U);
  EXPECT_EQ(files.ready()[0].file.blob, digest(path));
}

TEST_F(LocalFile, InAnotherOrderIsTheSameFileAsInTheJobs) {
  const auto path = write(kModel, {1, 2, 3, 4, 5, 6, 7, 8});
  const auto sorted = write({{kModel.tensors[1], kModel.tensors[0]}}, {7, 8, 1, 2, 3, 4, 5, 6},
                            "sorted.safetensors");
  LocalFiles files;
  ASSERT_TRUE(files.read(spec_, {{FileUse::initial_model, sorted}}));
  EXPECT_EQ(spec_.init->file, digest(path));
  EXPECT_EQ(spec_.init->bytes, fs::file_size(path));
}

TEST_F(LocalFile, WithOtherTensorsIsRefusedWithTheirNames) {
  auto wrong = kModel;
  wrong.tensors[1].shape = {3};
  auto refusal = refused(write(wrong, {}));
  EXPECT_EQ(refusal.code, "layout_mismatch");
  EXPECT_THAT(refusal.message, HasSubstr("init, "));
  EXPECT_THAT(refusal.message, HasSubstr("fc.bias"));
  wrong.tensors.pop_back();
  EXPECT_THAT(refused(write(wrong, {})).message,
              HasSubstr("tensor \"fc.bias\" of shape [2] is missing"));
  wrong = kModel;
  wrong.tensors.push_back({"extra", {1}});
  EXPECT_THAT(refused(write(wrong, {})).message,
              HasSubstr("\"extra\" of shape [1] is one too many"));
}

TEST_F(LocalFile, WithValuesThatAreNoNumbersIsRefusedWithTheTensor) {
  const auto refusal =
      refused(write(kModel, {1, 2, 3, 4, 5, 6, std::numeric_limits<float>::quiet_NaN(), 8}));
  EXPECT_EQ(refusal.code, "not_finite");
  EXPECT_THAT(refusal.message, HasSubstr("fc.bias"));
}

TEST_F(LocalFile, OfAnotherDTypeIsRefusedWithTheTensor) {
  auto half = kModel;
  half.tensors[1].dtype = DType::f16;
  const auto path = folder_ / "half.safetensors";
  TensorFileWriter writer(path, half, {});
  writer.append(std::span<const std::byte>(std::vector<std::byte>(28)));
  writer.close();
  const auto refusal = refused(path);
  EXPECT_EQ(refusal.code, "tensors_invalid");
  EXPECT_THAT(refusal.message, HasSubstr("fc.bias"));
}

TEST_F(LocalFile, ThatIsNoSafetensorsOrNotThereIsRefused) {
  EXPECT_EQ(refused(folder_ / "nothing").code, "file_missing");
  std::ofstream(folder_ / "text") << "hello";
  EXPECT_EQ(refused(folder_ / "text").code, "tensors_invalid");
  const auto digest_alone = refused(folder_ / std::string(64, 'a'));
  EXPECT_THAT(digest_alone.hint, HasSubstr("that is the digest of a file"));
}

TEST_F(LocalFile, OfInputsSaysHowManyRowsThereAre) {
  spec_.kind = JobKind::predict;
  spec_.predict = PredictSpec{};
  spec_.init = InitialModel{JobId::literal("lung-1"), InitialModel::Which::last, 0};
  LocalFiles files;
  const auto path = write({{TensorInfo{"inputs", {4, 3}}}}, {});
  ASSERT_TRUE(files.read(spec_, {{FileUse::inputs, path}}));
  EXPECT_EQ(spec_.predict->examples, 4U);
  EXPECT_EQ(spec_.predict->inputs, digest(path));
  const auto wrong = write({{TensorInfo{"inputs", {4, 2}}}}, {});
  const auto refusal = files.read(spec_, {{FileUse::inputs, wrong}});
  ASSERT_FALSE(refusal);
  EXPECT_THAT(refusal.error().message, HasSubstr("tensor \"inputs\" of shape [4, 3] was expected"));
  const auto unnamed = write({{TensorInfo{"x", {4, 3}}}}, {});
  EXPECT_THAT(files.read(spec_, {{FileUse::inputs, unnamed}}).error().message,
              HasSubstr("no tensor \"inputs\""));
}

TEST_F(LocalFile, ForASubmittedJobMustBeTheOneThatItNames) {
  const auto path = write(kModel, {1, 2, 3, 4, 5, 6, 7, 8});
  LocalFiles files;
  ASSERT_TRUE(files.read(spec_, {{FileUse::initial_model, path}}));
  LocalFiles again;
  EXPECT_TRUE(again.read(spec_, JobId::literal("tiny-1"), path));
  const auto other = write(kModel, {9}, "other.safetensors");
  const auto refusal = again.read(spec_, JobId::literal("tiny-1"), other);
  ASSERT_FALSE(refusal);
  EXPECT_EQ(refusal.error().code, "file_unknown");
  EXPECT_THAT(refusal.error().message, HasSubstr("is not the file that tiny-1 was submitted with"));
}

TEST_F(LocalFile, OfOutputsBecomesATableWithAColumnForEach) {
  const auto path = write({{TensorInfo{"outputs", {2, 3}}}}, {0.1F, 0.25F, 0.65F, 1, 0, 1e-9F});
  ASSERT_TRUE(write_csv(path, folder_ / "table.csv"));
  std::ifstream file(folder_ / "table.csv");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, "output_1,output_2,output_3\n0.1,0.25,0.65\n1,0,1e-09\n");
  const auto single = write({{TensorInfo{"outputs", {2, 1}}}}, {0.5F, 1});
  ASSERT_TRUE(write_csv(single, folder_ / "table.csv"));
  std::ifstream one(folder_ / "table.csv");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(one), {}), "output_1\n0.5\n1\n");
}

}  // namespace
}  // namespace entente::cli
