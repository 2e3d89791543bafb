#include "tests/support/quick_trainer.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <string>
#include <variant>

#include "common/domain/layers.h"
#include "common/domain/site_tensors.h"
#include "common/tensors/safetensors.h"
#include "site-agent/contract/contract.h"

namespace entente::integration {
namespace {

using namespace entente::agent;

// In [-0.5, 0.5), by SplitMix64 (Steele, Lea, Flood 2014).
float value_at(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  z ^= z >> 31U;
  return static_cast<float>(z >> 40U) / static_cast<float>(1U << 24U) - 0.5F;
}

// The agent's contract puts HOME at <site>/data/work/<job>.
std::filesystem::path file_of_site(const char* name) {
  const char* const work = std::getenv("HOME");
  return std::filesystem::path(work == nullptr ? "." : work) / "../../.." / name;
}

// A word that a test has left.
std::string word_in(const char* name) {
  std::ifstream file(file_of_site(name));
  std::string word;
  file >> word;
  return word;
}

// For tests that count who computes at the same time: lines of "nanoseconds word".
void note_time(const char* word) {
  std::ofstream(file_of_site("times"), std::ios::app)
      << std::chrono::steady_clock::now().time_since_epoch().count() << ' ' << word << '\n';
}

// The epochs of the tests' jobs: two passes over 240 examples in batches of 16.
constexpr std::uint64_t kNominalSteps = 30;

// Makes steps that take their time, as a site of that speed would. Returns how many.
std::uint64_t take_steps(std::uint64_t id, std::uint64_t asked) {
  const auto pace = word_in("pace");
  if (pace.empty()) {
    return asked != 0 ? asked : 1;
  }
  const auto steps = asked != 0 ? asked : kNominalSteps;
  note_time("begin");
  for (std::uint64_t done = 0; done < steps; ++done) {
    std::cout << contract::encode(contract::Reply{id, contract::Progress{done, steps, "examples"}})
              << std::flush;
    ::poll(nullptr, 0, std::stoi(pace));
  }
  note_time("end");
  return steps;
}

[[noreturn]] void break_down(const std::string& fault) {
  if (fault == "killed") {
    ::raise(SIGKILL);  // as the kernel does when memory runs out
  } else if (fault == "garbage") {
    std::cout << "Epoch 1/10 loss=0.3\n" << std::flush;
  }
  while (true) {
    ::pause();
  }
}

class QuickTrainer {
 public:
  explicit QuickTrainer(bool poisons) : poisons_(poisons) {}

  contract::ReplyBody handle(const contract::Command& command) {
    id_ = command.id;
    return std::visit([this](const auto& one) { return carry_out(one); }, command.body);
  }

 private:
  contract::ReplyBody carry_out(const contract::Prepare& prepare) {
    const auto model = resolve_model(prepare.spec.model).value();
    layout_ = model.layout;
    outputs_ = model.output.front();
    train_ = prepare.spec.train;
    return contract::Result{};
  }
  contract::ReplyBody carry_out(const contract::Initialize& initialize) {
    write(initialize.output, layout_,
          quick_update(std::vector<float>(layout_.elements(), 0.0F), initialize.seed));
    return contract::Result{};
  }
  contract::ReplyBody carry_out(const contract::Train& train) {
    if (const auto fault = word_in("fault"); fault == "error") {
      return contract::Error{"training_failed", "ZeroDivisionError: division by zero", false};
    } else if (!fault.empty()) {
      break_down(fault);
    }
    const auto file = TensorFile::open(train.model).value();
    const auto global = file.flat(layout_).value();
    std::vector<float> model(global.begin(), global.end());
    take_own(train.own, model);
    auto update = quick_update(model, train.seed);
    if (poisons_ && is_poisoned(train.seed)) {
      std::fill(update.begin(), update.end(), std::numeric_limits<float>::quiet_NaN());
    }
    write_shared_and_own(train, model, update);
    return contract::Result{kQuickExamples, take_steps(id_, train.steps), {{"loss", 1.0}}};
  }
  contract::ReplyBody carry_out(const contract::Evaluate&) {
    return contract::Result{kQuickExamples, 0, {{"loss", 1.0}}};
  }
  contract::ReplyBody carry_out(const contract::Statistics&) {
    return contract::Error{"job_invalid", "this trainer has no examples to count", false};
  }
  // Whatever the inputs are.
  contract::ReplyBody carry_out(const contract::Predict& predict) {
    const auto inputs = TensorFile::open(predict.inputs).value();
    const auto rows = inputs.layout().tensors.front().shape.front();
    const TensorLayout layout{{TensorInfo{"outputs", {rows, outputs_}}}};
    write(predict.output, layout, std::vector<float>(layout.elements(), 0.5F));
    return contract::Result{kQuickExamples, 0, {}};
  }
  contract::ReplyBody carry_out(const contract::Stop&) { return contract::Result{}; }

  // Puts the site's own tensors into the places of the model's.
  void take_own(const std::string& own, std::vector<float>& model) const {
    if (own.empty()) {
      return;
    }
    const auto file = TensorFile::open(own).value();
    auto kept = file.flat(site_layout(train_, false, layout_)).value();
    const auto stays = site_tensors(train_, layout_);
    std::size_t at = 0;
    for (std::size_t i = 0; i < layout_.tensors.size(); ++i) {
      const std::size_t count = layout_.tensors[i].elements();
      if (stays[i]) {
        std::copy_n(kept.begin(), count, model.begin() + static_cast<std::ptrdiff_t>(at));
        kept = kept.subspan(count);
      }
      at += count;
    }
  }

  // The update of what is exchanged, and what stays as it is after the update.
  void write_shared_and_own(const contract::Train& train, const std::vector<float>& model,
                            const std::vector<float>& update) const {
    std::vector<float> shared;
    std::vector<float> own;
    const auto stays = site_tensors(train_, layout_);
    std::size_t at = 0;
    for (std::size_t i = 0; i < layout_.tensors.size(); ++i) {
      for (const std::size_t end = at + layout_.tensors[i].elements(); at < end; ++at) {
        if (stays[i]) {
          own.push_back(model[at] + update[at]);
        } else {
          shared.push_back(update[at]);
        }
      }
    }
    write(train.output, shared_layout(train_, layout_), shared);
    if (!train.own_output.empty()) {
      write(train.own_output, site_layout(train_, false, layout_), own);
    }
  }

  static void write(const std::string& output, const TensorLayout& layout,
                    const std::vector<float>& values) {
    TensorFileWriter writer(output, layout, {{"format", "pt"}});
    writer.append(values);
    writer.close();
  }

  const bool poisons_;
  std::uint64_t id_ = 0;  // of the command under way
  TensorLayout layout_;
  std::int64_t outputs_ = 0;
  TrainSpec train_;
};

}  // namespace

std::vector<float> quick_update(std::span<const float> model, std::uint64_t seed) {
  std::vector<float> update(model.begin(), model.end());
  for (std::size_t i = 0; i < update.size(); ++i) {
    update[i] = value_at(seed, i) - update[i] / 2;
  }
  return update;
}

int run_quick_trainer(bool poisons) {
  QuickTrainer trainer(poisons);
  for (std::string line; std::getline(std::cin, line);) {
    const auto command = contract::parse_command(line).value();
    std::cout << contract::encode(contract::Reply{command.id, trainer.handle(command)})
              << std::flush;
    if (std::holds_alternative<contract::Stop>(command.body)) {
      return 0;
    }
  }
  return 0;
}

}  // namespace entente::integration
