#include "tests/bench/rounds/stage.h"

#include <fmt/format.h>

#include <algorithm>

namespace entente::bench {
namespace {

// The tests' job has 64 inputs and 3 classes: 68 parameters for each hidden unit.
int hidden_units(std::uint64_t model_bytes) {
  constexpr std::uint64_t kBytesPerUnit = 68 * sizeof(float);
  return static_cast<int>(std::max<std::uint64_t>(1, model_bytes / kBytesPerUnit));
}

}  // namespace

std::vector<std::string> add_echo_sites(integration::Consortium& consortium, int count) {
  std::vector<std::string> names;
  integration::SiteSetup setup;
  setup.trainer = "echo-trainer";
  for (int i = 0; i < count; ++i) {
    names.push_back(fmt::format("site-{:03}", i));
    consortium.add_site(names.back(), setup);
  }
  consortium.wait_for_sites(names.size());
  return names;
}

integration::JobFile echo_job(const RoundSetup& setup) {
  integration::JobFile file;
  file.name = "echo";
  file.rounds = setup.rounds;
  file.sites_min = setup.sites;
  file.hidden = hidden_units(setup.model_bytes);
  file.evaluates = false;
  return file;
}

}  // namespace entente::bench
