// The model that a job starts from, instead of one that a site draws from the seed: another job's,
// in a job file "model:lung-1@best", "model:lung-1@last" or, for the model of round 3,
// "model:lung-1@3"; or one that the coordinator brings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/blob_id.h"
#include "common/base/ids.h"

namespace entente {

struct InitialModel {
  enum class Which : std::uint8_t {
    last,
    best,  // by its job's stop.metric; without one by the highest accuracy or the lowest loss
    round,
    file,
  };

  JobId job;  // not of Which::file
  Which which = Which::last;
  Round round = 0;               // of Which::round
  std::optional<BlobId> file{};  // of Which::file
  std::uint64_t bytes = 0;       // of that file

  bool operator==(const InitialModel&) const = default;
};

[[nodiscard]] std::string to_string(const InitialModel& init);

// Nothing when `text` is none.
[[nodiscard]] std::optional<InitialModel> parse_initial_model(std::string_view text);

}  // namespace entente
