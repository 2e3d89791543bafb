// How a job wants the updates of its sites written down on their way to the broker.
#pragma once

#include <optional>
#include <string>

namespace entente {

struct UpdateSpec {
  std::string encoding = "float32";  // a name of update_encodings.h
  std::optional<double> fraction;    // of topk: the share of the values that is sent

  bool operator==(const UpdateSpec&) const = default;
};

}  // namespace entente
