// A small problem that a small model learns at once: images of 6 by 6 noisy pixels with a bright
// pair of columns, whose position is the label.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "site-agent/contract/contract.h"
#include "site-agent/data/seeded_random.h"
#include "tests/unit/agent_data/idx_fixture.h"

namespace entente::agent {

class StripesFolder : public IdxFolder {
 protected:
  static constexpr std::uint32_t kSide = 6;
  static constexpr std::uint32_t kClasses = 3;

  DatasetConfig stripes(const std::string& name, std::uint32_t count, std::uint64_t seed) const {
    SeededRandom random(seed);
    Bytes pixels;
    Bytes labels;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto label = static_cast<std::uint8_t>(random.below(kClasses));
      labels.push_back(label);
      for (std::uint32_t pixel = 0; pixel < kSide * kSide; ++pixel) {
        const bool bright = pixel % kSide / 2 == label;
        pixels.push_back(static_cast<std::uint8_t>((bright ? 120 : 0) + random.below(120)));
      }
    }
    auto dataset = config(gzip(name + "-images.gz", idx({count, kSide, kSide}, pixels)),
                          gzip(name + "-labels.gz", idx({count}, labels)));
    dataset.name = name;
    return dataset;
  }

  // A model of one hidden layer with dropout, and settings that learn stripes in a few rounds.
  contract::Prepare job() const {
    contract::Prepare prepare;
    prepare.spec.model.input = {1, kSide, kSide};
    prepare.spec.model.layers = {{"flatten", "", {}},
                                 {"linear", "", {{"out_features", std::int64_t{12}}}},
                                 {"relu", "", {}},
                                 {"dropout", "", {{"p", 0.1}}},
                                 {"linear", "", {{"out_features", std::int64_t{kClasses}}}}};
    prepare.spec.train.dataset = "train";
    prepare.spec.train.local_epochs = 2;
    prepare.spec.train.batch_size = 16;
    prepare.spec.train.optimizer = {"sgd", 0.1, 0.9, 1e-4};
    prepare.spec.evaluate = EvaluateSpec{.dataset = "test"};
    prepare.train_dataset = stripes("train", 200, 1);
    prepare.evaluate_dataset = stripes("test", 300, 2);
    return prepare;
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static std::string bytes_of(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
};

}  // namespace entente::agent
