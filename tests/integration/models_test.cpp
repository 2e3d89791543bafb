// Models beyond layers in a row, from the job file to the merged model.
#include <gmock/gmock.h>

#include <algorithm>

#include "common/tensors/safetensors.h"
#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using testing::Each;
using testing::Gt;

std::vector<float> values_of(const TensorFile& file, const std::string& name) {
  const auto& tensors = file.layout().tensors;
  std::size_t start = 0;
  for (const auto& tensor : tensors) {
    if (tensor.name == name) {
      const auto flat = (*file.flat(file.layout())).subspan(start, tensor.elements());
      return {flat.begin(), flat.end()};
    }
    start += tensor.elements();
  }
  ADD_FAILURE() << "no tensor " << name;
  return {};
}

// Residual blocks, running statistics, an adaptive optimizer, a schedule and a frozen layer at
// once.
TEST(Models, ABlockWithRunningStatisticsIsTrainedAtTwoSitesAndMerged) {
  Consortium consortium;
  consortium.add_site("north");
  consortium.add_site("south");
  consortium.wait_for_sites(2);
  const auto submitted = consortium.entente(
      {"job", "submit", consortium.write_job({}).string(), "--set", "rounds=4", "--set",
       "model.layers=[{type='conv2d', name='first', out_channels=4, kernel_size=3, padding=1},"
       "{type='residual', name='block', layers=["
       "{type='conv2d', out_channels=8, kernel_size=3, padding=1, stride=2},"
       "{type='batch_norm', name='norm'}, {type='relu'}],"
       "shortcut=[{type='conv2d', out_channels=8, kernel_size=1, stride=2}]},"
       "{type='flatten'}, {type='linear', name='classes', out_features=3}]",
       "--set", "train.freeze=['first.*']", "--set", "train.optimizer={type='adamw', lr=0.01}",
       "--set", "train.schedule={type='cosine', warmup=1}", "--watch"});
  ASSERT_EQ(submitted.code, 0) << submitted.err;

  const auto job = consortium.wait_for_end("stripes-1");
  const auto& metrics = job["rounds_done"].back()["evaluate_metrics"];
  EXPECT_GT(metrics["accuracy"], 0.9);
  EXPECT_GT(metrics["f1_macro"], 0.9);

  const auto pull = [&](const std::string& model) {
    const auto path = consortium.folder() / model;
    consortium.ask({"model", "pull", model, "-o", path.string()});
    return TensorFile::open(path);
  };
  const auto initial = pull("stripes-1@0");
  const auto last = pull("stripes-1@4");
  ASSERT_TRUE(initial && last);
  EXPECT_EQ(values_of(*last, "first.weight"), values_of(*initial, "first.weight")) << "frozen";
  EXPECT_NE(values_of(*last, "classes.weight"), values_of(*initial, "classes.weight"));
  EXPECT_THAT(values_of(*initial, "block.norm.running_var"), Each(1));
  EXPECT_THAT(values_of(*last, "block.norm.running_var"), testing::Not(Each(1)));
  EXPECT_THAT(values_of(*last, "block.norm.running_var"), Each(Gt(0)));
}

}  // namespace
}  // namespace entente::integration
