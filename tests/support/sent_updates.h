// What reaches the broker of a site's updates: encoded as their job asks and decoded again, so that
// anybody can compute what a model must be. Remembers what topk has left out, for each site as the
// site itself does: of its accepted updates, in the order of their rounds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/domain/tensor_layout.h"
#include "common/domain/update_spec.h"
#include "tests/support/temp_folder.h"

namespace entente::integration {

class SentUpdates {
 public:
  SentUpdates(TensorLayout layout, UpdateSpec spec)
      : layout_(std::move(layout)), spec_(std::move(spec)) {}

  // `seed` is the task's. Throws std::runtime_error when it cannot be encoded.
  [[nodiscard]] std::vector<float> send(const std::string& site, const std::vector<float>& update,
                                        std::uint64_t seed);

 private:
  const TensorLayout layout_;
  const UpdateSpec spec_;
  TempFolder folder_;
};

}  // namespace entente::integration
