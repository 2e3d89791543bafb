// Predictions of a federated ensemble: each site's model on inputs that the coordinator brings, put
// together with weights.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/blob_id.h"
#include "common/base/ids.h"

namespace entente {

struct PredictSpec {
  BlobId inputs;                   // a safetensors file with the tensor "inputs"
  std::uint64_t inputs_bytes = 0;  // of that file
  std::uint64_t examples = 0;      // in it
  std::optional<JobId> own{};  // each site's model is what this job has left there; none: shared

  bool operator==(const PredictSpec&) const = default;
};

}  // namespace entente
