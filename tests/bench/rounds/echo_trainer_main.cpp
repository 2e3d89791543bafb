// echo-trainer: answers every task at once, so that a round is nothing but moving and merging.
//
// An update is as large as the model, and different for each site and round: equal ones would have
// one name, and be moved and stored only once.
#include <algorithm>
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

constexpr std::uint64_t kExamples = 100;
constexpr std::uint64_t kBlock = 1 << 16;

class EchoTrainer {
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
    write(initialize.output, 0);
    return contract::Result{};
  }
  contract::ReplyBody carry_out(const contract::Train& train) {
    constexpr std::uint64_t kValues = 1 << 24;
    write(train.output, static_cast<float>(train.seed % kValues) / kValues);
    return contract::Result{kExamples, 1, {{"loss", 1.0}}};
  }
  contract::ReplyBody carry_out(const contract::Evaluate&) {
    return contract::Result{kExamples, 0, {{"loss", 1.0}}};
  }
  contract::ReplyBody carry_out(const contract::Statistics&) {
    return contract::Error{"job_invalid", "this trainer has no examples to count", false};
  }
  contract::ReplyBody carry_out(const contract::Predict&) {
    return contract::Error{"job_invalid", "this trainer has no model to ask", false};
  }
  contract::ReplyBody carry_out(const contract::Stop&) { return contract::Result{}; }

  void write(const std::string& output, float value) const {
    const std::vector<float> block(kBlock, value);
    TensorFileWriter writer(output, layout_, {{"format", "pt"}});
    for (auto left = layout_.elements(); left > 0;) {
      const auto count = std::min<std::uint64_t>(left, kBlock);
      writer.append(std::span(block).first(count));
      left -= count;
    }
    writer.close();
  }

  TensorLayout layout_;
};

}  // namespace

int main() {
  EchoTrainer trainer;
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
