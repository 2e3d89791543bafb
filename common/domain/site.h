// What a site tells the consortium about itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/domain/model_spec.h"

namespace entente {

struct DatasetAdvert {
  std::string name;  // the name that jobs ask for
  std::string kind;  // "idx"
  std::uint64_t examples = 0;
  Shape example_shape;        // {1, 28, 28}
  std::uint32_t classes = 0;  // labels run from 0 to classes - 1
  bool operator==(const DatasetAdvert&) const = default;
};

// Pushed by the site after Welcome and again on every change.
struct SiteAdvert {
  std::vector<DatasetAdvert> datasets;
  std::uint32_t slots = 1;             // tasks that run at the same time
  std::uint32_t threads_per_slot = 1;  // fixed setting of the site: bits depend on it
  std::string version;                 // of the agent's software

  [[nodiscard]] const DatasetAdvert* find(std::string_view dataset) const;
  bool operator==(const SiteAdvert&) const = default;
};

}  // namespace entente
