// What a site tells the consortium about itself.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/domain/model_spec.h"

namespace entente {

struct DatasetAdvert {
  std::string name;  // the name that jobs ask for
  std::string kind;  // "idx", "csv", ...
  std::uint64_t examples = 0;
  Shape example_shape;                     // {1, 28, 28}
  std::uint32_t classes = 0;               // labels run from 0 to classes - 1; 0: see targets
  std::vector<std::string> class_names{};  // by label; empty when the site gives none
  std::vector<std::string> tags{};         // the site's own words: "ct", "2024"
  std::vector<std::string> features{};     // what the inputs are called, in order, where they are
  std::uint32_t targets = 0;               // numbers to predict of an example without a class
  std::uint32_t vocabulary = 0;            // inputs are tokens from 0 to vocabulary - 1; 0: numbers
  bool operator==(const DatasetAdvert&) const = default;
};

// What the site's machine gives to Entente, for all its slots together.
struct Resources {
  std::uint32_t cores = 0;
  std::uint64_t memory_bytes = 0;
  std::uint32_t gpus = 0;
  bool operator==(const Resources&) const = default;
};

// Pushed by the site after Welcome and again on every change.
struct SiteAdvert {
  std::vector<DatasetAdvert> datasets;
  std::uint32_t slots = 1;             // tasks that run at the same time
  std::uint32_t threads_per_slot = 1;  // fixed setting of the site: bits depend on it
  std::string version;                 // of the agent's software
  Resources resources{};
  std::string jurisdiction{};                   // whose law the data is under: "DE"; may be empty
  std::map<std::string, std::string> labels{};  // the site's own: "network" -> "university"
  std::string policy{};                         // which clauses its policy has, for people
  bool paused = false;                          // its people have stopped all work
  std::string pause_reason{};

  [[nodiscard]] const DatasetAdvert* find(std::string_view dataset) const;
  bool operator==(const SiteAdvert&) const = default;
};

// 1 to 16 bytes of [A-Z0-9-].
[[nodiscard]] bool is_jurisdiction(std::string_view text);

}  // namespace entente
