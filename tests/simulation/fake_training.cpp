#include "tests/simulation/fake_training.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/crypto/digest.h"
#include "common/domain/seeds.h"

namespace entente::simulation {
namespace {

std::string_view bytes_of(const BlobId& blob) {
  return {reinterpret_cast<const char*>(blob.bytes.data()), blob.bytes.size()};
}

}  // namespace

Digest digest_of(const JobSpec& spec) {
  return sha256(fmt::format("spec {} {} {} {}", spec.name, spec.rounds, spec.seed.value_or(0),
                            spec.stall_window.count()));
}

BlobId initial_model(std::uint64_t task_seed) { return sha256(fmt::format("model {}", task_seed)); }

BlobId trained_update(const BlobId& model, std::uint64_t task_seed, Round round,
                      const SiteId& site) {
  Sha256 hash;
  hash.update(fmt::format("update {} {} {} ", task_seed, round, site.str()));
  hash.update(bytes_of(model));
  return hash.finish();
}

BlobId merged_model(const BlobId& model, std::span<const WeightedUpdate> updates) {
  Sha256 hash;
  hash.update(bytes_of(model));
  for (const auto& [site, update, weight] : updates) {
    hash.update(fmt::format(" {} {} ", site.str(), weight));
    hash.update(bytes_of(update));
  }
  return hash.finish();
}

std::uint64_t examples_at(const SiteId& site) {
  return 100 + static_cast<std::uint64_t>(site.str().front());
}

BlobId undisturbed_model(const JobSpec& spec, std::vector<SiteId> sites) {
  std::sort(sites.begin(), sites.end());
  const auto seed = job_seed(spec, digest_of(spec));
  auto model = initial_model(task_seed(seed, 0, ""));
  for (Round round = 1; round <= spec.rounds; ++round) {
    std::vector<WeightedUpdate> updates;
    for (const auto& site : sites) {
      updates.push_back({site,
                         trained_update(model, task_seed(seed, round, site.str()), round, site),
                         static_cast<double>(examples_at(site))});
    }
    model = merged_model(model, updates);
  }
  return model;
}

}  // namespace entente::simulation
