// quick-trainer: a trainer without LibTorch, for tests that need many rounds and no learning.
//
// Its initial model and its updates are exact functions of the seed and of the model's values, so
// an update that was lost, doubled or merged into the wrong model changes every later one. It
// speaks the trainer contract like the built-in one, and starts in a few milliseconds.
#include <cstdint>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include "common/domain/layers.h"
#include "common/tensors/safetensors.h"
#include "site-agent/contract/contract.h"

namespace {

using namespace entente;
using namespace entente::agent;

constexpr std::uint64_t kExamples = 240;

// In [-0.5, 0.5), by SplitMix64 (Steele, Lea, Flood 2014).
float value_at(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  z ^= z >> 31U;
  return static_cast<float>(z >> 40U) / static_cast<float>(1U << 24U) - 0.5F;
}

class QuickTrainer {
 public:
  contract::ReplyBody handle(const contract::CommandBody& command) {
    return std::visit([this](const auto& one) { return carry_out(one); }, command);
  }

 private:
  contract::ReplyBody carry_out(const contract::Prepare& prepare) {
    layout_ = resolve_model(prepare.spec.model).value().layout;
    return contract::Result{};
  }
  contract::ReplyBody carry_out(const contract::Initialize& initialize) {
    write(initialize.output, std::vector<float>(layout_.elements(), 0.0F), initialize.seed);
    return contract::Result{};
  }
  contract::ReplyBody carry_out(const contract::Train& train) {
    const auto file = TensorFile::open(train.model).value();
    const auto model = file.flat(layout_).value();
    write(train.output, {model.begin(), model.end()}, train.seed);
    return contract::Result{kExamples, 1, {{"loss", 1.0}}};
  }
  contract::ReplyBody carry_out(const contract::Evaluate&) {
    return contract::Result{kExamples, 0, {{"loss", 1.0}}};
  }
  contract::ReplyBody carry_out(const contract::Stop&) { return contract::Result{}; }

  void write(const std::string& output, std::vector<float> values, std::uint64_t seed) const {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = value_at(seed, i) - values[i] / 2;
    }
    TensorFileWriter writer(output, layout_, {{"format", "pt"}});
    writer.append(values);
    writer.close();
  }

  TensorLayout layout_;
};

}  // namespace

int main() {
  QuickTrainer trainer;
  for (std::string line; std::getline(std::cin, line);) {
    const auto command = contract::parse_command(line).value();
    std::cout << contract::encode(contract::Reply{command.id, trainer.handle(command.body)})
              << std::flush;
    if (std::holds_alternative<contract::Stop>(command.body)) {
      return 0;
    }
  }
  return 0;
}
