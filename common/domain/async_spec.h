// Asynchronous training, which waits for no site: after Nguyen et al., "Federated learning with
// buffered asynchronous aggregation" (2022), FedBuff.
#pragma once

#include <cstdint>

namespace entente {

struct AsyncSpec {
  std::uint32_t buffer = 1;          // updates that one version of the model is made from
  double staleness_exponent = 0.5;   // an update s versions old weighs 1 / (1 + s)^exponent
  std::uint32_t staleness_max = 10;  // older ones are given up
  std::uint32_t concurrency = 0;     // sites that train at once; 0: all that take part

  bool operator==(const AsyncSpec&) const = default;
};

}  // namespace entente
