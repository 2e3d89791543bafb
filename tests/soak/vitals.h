// Memory and descriptors of broker and agents, to see that they do not grow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/soak/scene.h"

namespace entente::soak {

struct Vitals {
  std::uint64_t bytes = 0;  // anonymous memory
  std::size_t descriptors = 0;
};
using AllVitals = std::map<std::string, Vitals>;  // by process

[[nodiscard]] AllVitals take_vitals(Scene& scene);

// What has grown beyond its bound, in words. A broker keeps each job that it has seen.
[[nodiscard]] std::vector<std::string> growth(const AllVitals& start, const AllVitals& end,
                                              std::size_t jobs);

}  // namespace entente::soak
