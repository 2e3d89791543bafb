// The arithmetic of quick-trainer: initial model and updates are exact functions of the seed and of
// the model's values, so that an update that was lost, doubled or merged into the wrong model
// changes every later one, and anybody can compute what a model must be.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace entente::integration {

constexpr std::uint64_t kQuickExamples = 240;

// The update that this seed makes of `model`; the initial model is that of zeros.
[[nodiscard]] std::vector<float> quick_update(std::span<const float> model, std::uint64_t seed);

// Whether poison-trainer sends an update of NaN for this task.
[[nodiscard]] constexpr bool is_poisoned(std::uint64_t seed) { return seed % 4 == 0; }

// Speaks the trainer contract on standard input and output until it is told to stop. A file "fault"
// beside the agent's data folder has it fail at its next training, in one way or another: "error",
// "killed", "hang" or "garbage". A file "pace" there has the milliseconds that each of its steps
// takes, of which it then makes as many as it is asked for, or 30.
int run_quick_trainer(bool poisons);

}  // namespace entente::integration
