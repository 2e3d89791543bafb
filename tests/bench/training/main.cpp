// bench_training MODEL: how fast the built-in trainer trains a model, beside the same loop written
// directly in LibTorch. MODEL is lenet or mlp. Prints one JSON object.
//
// Both do the same: shuffled batches picked from one tensor, cross-entropy, SGD with momentum, one
// thread. They take turns and are measured in processor time, so that a busy machine slows both.
#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "common/domain/architectures.h"
#include "site-agent/data/seeded_random.h"
#include "site-agent/training/device.h"
#include "site-agent/training/local_training.h"

namespace entente::agent {
namespace {

namespace nn = torch::nn;

constexpr std::int64_t kExamples = 2048;
constexpr int kTurns = 7;
const Shape kImage{1, 28, 28};

Dataset noise() {
  SeededRandom random(3);
  Dataset data;
  data.shape = kImage;
  data.classes = 10;
  for (std::int64_t i = 0; i < kExamples; ++i) {
    data.labels.push_back(static_cast<std::int64_t>(random.below(10)));
    for (int pixel = 0; pixel < 28 * 28; ++pixel) {
      data.features.push_back(static_cast<float>(random.below(256)) / 255);
    }
  }
  return data;
}

TrainSpec spec() {
  TrainSpec spec;
  spec.batch_size = 32;
  spec.optimizer = {"sgd", 0.01, 0.9, 0.0};
  return spec;
}

Model ours(const std::string& name) {
  ArchitectureSpec architecture{name, {{"outputs", std::int64_t{10}}}, {}};
  if (name == "mlp") {
    architecture.hidden = {64, 64};
  }
  auto resolved = resolve_model({kImage, *expand_architecture(architecture, kImage)});
  return *Model::build(std::move(*resolved), torch::kCPU);
}

nn::Sequential direct(const std::string& name) {
  if (name == "mlp") {
    return nn::Sequential(nn::Flatten(), nn::Linear(784, 64), nn::ReLU(), nn::Linear(64, 64),
                          nn::ReLU(), nn::Linear(64, 10));
  }
  return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(1, 6, 5).padding(2)), nn::ReLU(),
                        nn::MaxPool2d(2), nn::Conv2d(nn::Conv2dOptions(6, 16, 5)), nn::ReLU(),
                        nn::MaxPool2d(2), nn::Flatten(), nn::Linear(400, 120), nn::ReLU(),
                        nn::Linear(120, 84), nn::ReLU(), nn::Linear(84, 10));
}

// One epoch as a person would write it down, with the loss of each step, as everybody logs it.
double train_directly(nn::Sequential& model, const torch::Tensor& features,
                      const torch::Tensor& labels) {
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
  model->train();
  const auto order = torch::randperm(kExamples);
  double loss_sum = 0;
  for (std::int64_t first = 0; first < kExamples; first += 32) {
    const auto picked = order.narrow(0, first, std::min<std::int64_t>(32, kExamples - first));
    const auto loss = torch::cross_entropy_loss(model->forward(features.index_select(0, picked)),
                                                labels.index_select(0, picked));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    loss_sum += loss.item<double>();
  }
  return loss_sum;
}

double seconds_of(const std::function<void()>& work) {
  const auto before = std::clock();
  work();
  return static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + kTurns / 2, values.end());
  return values[kTurns / 2];
}

nlohmann::json measure(const std::string& name) {
  use_threads(1);
  use_deterministic_algorithms();
  const auto data = noise();
  const auto features =
      torch::tensor(data.features).reshape({kExamples, kImage[0], kImage[1], kImage[2]});
  const auto labels = torch::tensor(data.labels, torch::kInt64);
  const Examples examples(data, torch::kCPU);
  auto model = ours(name);
  auto other = direct(name);
  std::vector<double> our_times;
  std::vector<double> direct_times;
  for (int turn = -1; turn < kTurns; ++turn) {
    const auto direct_seconds = seconds_of([&] { train_directly(other, features, labels); });
    const auto our_seconds = seconds_of([&] {
      if (!train_locally(model, examples, spec(), 1, 7, 0, [](const contract::Progress&) {})) {
        std::exit(1);
      }
    });
    if (turn >= 0) {  // the first one warms up
      direct_times.push_back(direct_seconds);
      our_times.push_back(our_seconds);
    }
  }
  return {{"model", name},
          {"examples_per_second", kExamples / median(our_times)},
          {"direct_examples_per_second", kExamples / median(direct_times)}};
}

}  // namespace
}  // namespace entente::agent

int main(int argc, char** argv) {
  const std::string name = argc == 2 ? argv[1] : "";
  if (name != "lenet" && name != "mlp") {
    std::fputs("usage: bench_training lenet|mlp\n", stderr);
    return 2;
  }
  std::puts(entente::agent::measure(name).dump().c_str());
  return 0;
}
