// FedAvg (McMahan et al. 2017, Algorithm 1): the weighted mean of the updates, added to the model.
//
//   model' = model + sum_i w_i * update_i / sum_i w_i
//
// Works on flat float32 vectors, block by block in bounded memory, accumulating in double in the
// order of `updates` (by site id): the bits depend neither on arrival order nor on block size.
// Pure; SIMD through Highway.
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace entente::broker {

struct WeightedUpdate {
  std::span<const float> delta;
  double weight = 0;  // > 0
};

// Emits model' front to back in blocks. All spans have the same length; at least one update.
void fedavg(std::span<const float> model, std::span<const WeightedUpdate> updates,
            const std::function<void(std::span<const float>)>& emit);

}  // namespace entente::broker
