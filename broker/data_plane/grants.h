// What a peer may move over the data plane, and what the loop learns of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/blob_id.h"
#include "common/base/refusal.h"
#include "common/domain/tensor_layout.h"
#include "common/domain/update_spec.h"
#include "common/tensors/safetensors.h"

namespace entente::broker {

struct PutGrant {
  std::string peer;  // Identity::path()
  BlobId blob;
  std::uint64_t bytes = 0;
  std::shared_ptr<const TensorLayout> layout;  // none: only the digest is checked
  double l2_norm_max = 0;
  UpdateSpec update{};  // how the values are written down; a model's are float32
  // The peer must bring all bytes itself, also those that the broker has (file_inbox.h).
  bool is_brought = false;
};

struct GetGrant {
  std::string peer;
  BlobId blob;
};

// The blob is on disk and has passed its checks, or has failed them and is gone (unless it was
// there before this put: a peer must not be able to remove a model by claiming it as its update).
struct BlobArrived {
  std::string peer;
  BlobId blob;
  Expected<TensorCheck> check;
};

// Bytes of a put or get have moved since the last report (at most one report a second and blob).
struct BlobMoved {
  std::string peer;
  BlobId blob;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

}  // namespace entente::broker
