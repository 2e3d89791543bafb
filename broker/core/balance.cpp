#include "broker/core/balance.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "common/base/limits.h"

namespace entente::broker {
namespace {

// What the agent's reports call a trainer's progress, as opposed to bytes.
constexpr const char* kTrainingUnit = "examples";

// 0 when the site no longer has the dataset.
double nominal_steps(const State& state, const Job& job, const SiteId& site) {
  const auto& train = job.spec().train;
  const auto* dataset = state.sites.at(site).row.advert.find(train.dataset);
  if (dataset == nullptr) {
    return 0;
  }
  const auto in_an_epoch = (dataset->examples + train.batch_size - 1) / train.batch_size;
  return static_cast<double>(in_an_epoch) * train.local_epochs;
}

}  // namespace

std::uint64_t steps_for(const State& state, const Job& job, const SiteId& site) {
  const auto speed = job.parts.at(site).row.steps_per_second;
  const auto nominal = nominal_steps(state, job, site);
  if (!job.spec().train.balanced || nominal == 0) {
    return 0;
  }
  if (speed == 0) {
    return static_cast<std::uint64_t>(nominal);
  }
  double steps = 0;
  double speeds = 0;
  for (const auto& [id, part] : job.parts) {
    if (part.row.has_place && part.row.steps_per_second > 0) {
      steps += nominal_steps(state, job, id);
      speeds += part.row.steps_per_second;
    }
  }
  const double share = speeds > 0 ? speed * steps / speeds : nominal;
  const double bounded =
      std::clamp(share, nominal / limits::kBalanceFactorMax, nominal * limits::kBalanceFactorMax);
  return static_cast<std::uint64_t>(std::max(1.0, std::floor(bounded + 0.5)));
}

void note_training(Task& task, Monotonic now) {
  const auto& progress = task.progress;
  if (!task.training && progress.unit == kTrainingUnit && progress.done < progress.total) {
    task.training =
        Training{now, 1 - static_cast<double>(progress.done) / static_cast<double>(progress.total)};
  }
}

void measure(Task& task, std::uint64_t steps, Monotonic now) {
  const auto training = std::exchange(task.training, std::nullopt);
  if (!training || now <= training->since) {
    return;
  }
  const std::chrono::duration<double> elapsed = now - training->since;
  task.steps_per_second = static_cast<double>(steps) * training->share_left / elapsed.count();
}

void note_speed(PartRow& part, const Task& task) {
  if (task.steps_per_second > 0) {
    part.steps_per_second = part.steps_per_second == 0
                                ? task.steps_per_second
                                : (part.steps_per_second + task.steps_per_second) / 2;
  }
}

}  // namespace entente::broker
