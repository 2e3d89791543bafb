// A model that has lost units computes what the whole one would if nobody read them.
#include "common/tensors/unit_pruning.h"

#include <gmock/gmock.h>

#include "common/domain/architectures.h"
#include "site-agent/training/model.h"
#include "tests/unit/training/stripes_fixture.h"

namespace entente::agent {
namespace {

constexpr std::uint64_t kSeed = 11;

class PrunedUnits : public StripesFolder {
 protected:
  static Model build(const ModelSpec& spec) {
    return Model::build(resolve_model(spec).value(), torch::kCPU).value();
  }

  UnitsPruned prune(const ModelSpec& spec, Model& whole, double share) {
    whole.initialize(kSeed);
    // Statistics that change values, as training would leave them.
    torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < whole.tensors().size(); ++i) {
      if (whole.spec().layout.tensors[i].name.find("running") != std::string::npos) {
        whole.tensors()[i].uniform_(0.5, 2);
      }
    }
    whole.save(path("whole"));
    auto pruned = prune_units(*TensorFile::open(path("whole")), spec, share, path("small"));
    EXPECT_TRUE(pruned) << pruned.error().message;
    return *std::move(pruned);
  }
};

TEST_F(PrunedUnits, ComputeWhatTheWholeModelDoesWithThoseUnitsZeroed) {
  const ArchitectureSpec lenet{"lenet"};
  const ModelSpec spec{{1, 28, 28}, *expand_architecture(lenet, {1, 28, 28})};
  auto whole = build(spec);
  const auto pruned = prune(spec, whole, 0.5);
  auto small = build(pruned.model);
  ASSERT_TRUE(small.load(*TensorFile::open(path("small"))));

  // relu(0) is 0: a unit whose weights and bias are zero says nothing. Of each layer but the last,
  // the units that the smaller model lacks.
  torch::NoGradGuard no_grad;
  const auto& tensors = whole.tensors();
  for (std::size_t i = 0; i + 2 < tensors.size(); i += 2) {
    const auto kept = small.tensors()[i].size(0);
    ASSERT_LT(kept, tensors[i].size(0));
    const auto sums = tensors[i].abs().flatten(1).sum(1);
    const auto weakest = std::get<1>(sums.sort()).narrow(0, 0, tensors[i].size(0) - kept);
    tensors[i].index_fill_(0, weakest, 0);
    tensors[i + 1].index_fill_(0, weakest, 0);
  }
  whole.set_training(false);
  small.set_training(false);
  torch::manual_seed(kSeed);
  const auto pictures = torch::rand({9, 1, 28, 28});
  EXPECT_TRUE(torch::allclose(small.forward(pictures), whole.forward(pictures), 1e-4, 1e-5));
}

// sigmoid(0) is not 0 and a batch_norm shifts what it gets: here the readers' columns are zeroed.
TEST_F(PrunedUnits, AreReadByNobodyWhateverTheirActivation) {
  const auto layer = [](const char* kind, std::map<std::string, Attribute> attributes = {}) {
    return LayerSpec{kind, "", std::move(attributes)};
  };
  const ModelSpec spec{
      {2, 6, 6},
      {layer("conv2d", {{"out_channels", std::int64_t{6}}, {"kernel_size", std::int64_t{3}}}),
       layer("batch_norm"), layer("sigmoid"),
       layer("avg_pool2d", {{"kernel_size", std::int64_t{2}}}), layer("flatten"),
       layer("linear", {{"out_features", std::int64_t{3}}})}};
  auto whole = build(spec);
  const auto pruned = prune(spec, whole, 0.34);
  auto small = build(pruned.model);
  ASSERT_TRUE(small.load(*TensorFile::open(path("small"))));

  torch::NoGradGuard no_grad;
  const auto sums = whole.tensors()[0].abs().flatten(1).sum(1);
  const auto gone = std::get<1>(sums.sort()).narrow(0, 0, 2);
  auto columns = whole.tensors()[6].view({3, 6, 4});  // of the last layer: output, channel, pixel
  columns.index_fill_(1, gone, 0);
  whole.set_training(false);
  small.set_training(false);
  const auto pictures = torch::rand({5, 2, 6, 6});
  EXPECT_TRUE(torch::allclose(small.forward(pictures), whole.forward(pictures), 1e-4, 1e-5));
  EXPECT_EQ(pruned.layers.at(0).kept, 4U);
}

}  // namespace
}  // namespace entente::agent
