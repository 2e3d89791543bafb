#include "tests/simulation/fake_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "common/crypto/digest.h"
#include "common/domain/seeds.h"
#include "common/domain/statistics.h"
#include "common/domain/strategy_kinds.h"

namespace entente::simulation {
namespace {

std::string_view bytes_of(const BlobId& blob) {
  return {reinterpret_cast<const char*>(blob.bytes.data()), blob.bytes.size()};
}

}  // namespace

Digest digest_of(const JobSpec& spec) {
  return sha256(fmt::format("spec {} {} {} {} {} {} {}", spec.name, spec.rounds,
                            spec.seed.value_or(0), spec.stall_window.count(), spec.strategy.kind,
                            spec.update.encoding, spec.train.exclude.size()));
}

BlobId brought_model(const std::string& job_name) { return sha256("brought for " + job_name); }

BlobId brought_inputs(const std::string& name) { return sha256("inputs of " + name); }

BlobId initial_model(std::uint64_t task_seed) { return sha256(fmt::format("model {}", task_seed)); }

BlobId trained_update(const TrainedFrom& from, std::uint64_t task_seed, Round round,
                      const SiteId& site) {
  Sha256 hash;
  hash.update(fmt::format("update {} {} {} ", task_seed, round, site.str()));
  hash.update(bytes_of(from.model));
  for (const auto& [what, blob] :
       {std::pair("own", from.own), std::pair("control", from.control)}) {
    if (blob) {
      hash.update(what);
      hash.update(bytes_of(*blob));
    }
  }
  return hash.finish();
}

bool keeps_own(const JobSpec& spec) {
  return !spec.train.exclude.empty() || has_control(spec.strategy);
}

BlobId own_after(const BlobId& sent_update) {
  Sha256 hash;
  hash.update("stays after ");
  hash.update(bytes_of(sent_update));
  return hash.finish();
}

BlobId sparse_update(const BlobId& update, const std::optional<BlobId>& residual) {
  Sha256 hash;
  hash.update("sparse ");
  hash.update(bytes_of(update));
  if (residual) {
    hash.update(bytes_of(*residual));
  }
  return hash.finish();
}

BlobId residual_after(const BlobId& sparse_update) {
  Sha256 hash;
  hash.update("left out by ");
  hash.update(bytes_of(sparse_update));
  return hash.finish();
}

BlobId sent_update(const JobSpec& spec, Round round, const SiteId& site, const BlobId& model,
                   const std::optional<BlobId>& server_state,
                   const std::optional<BlobId>& sent_before, std::uint32_t taken_before) {
  TrainedFrom from{model};
  if (keeps_own(spec) && sent_before) {
    from.own = own_after(*sent_before);
  }
  if (has_control(spec.strategy)) {
    from.control = server_state;
  }
  const auto seed =
      repeated_seed(task_seed(job_seed(spec, digest_of(spec)), round, site.str()), taken_before);
  const auto trained = trained_update(from, seed, round, site);
  if (spec.update.encoding != "topk") {
    return trained;
  }
  return sparse_update(trained,
                       sent_before ? std::optional(residual_after(*sent_before)) : std::nullopt);
}

BlobId merged_model(const BlobId& model, std::span<const WeightedUpdate> updates,
                    const std::optional<BlobId>& server_state) {
  Sha256 hash;
  hash.update(bytes_of(model));
  for (const auto& [site, update, weight, factor, from] : updates) {
    hash.update(fmt::format(" {} {} {} ", site.str(), weight, factor));
    hash.update(bytes_of(update));
  }
  if (server_state) {
    hash.update(bytes_of(*server_state));
  }
  return hash.finish();
}

BlobId predicted_outputs(const BlobId& model, const BlobId& inputs,
                         const std::optional<BlobId>& own, const SiteId& site) {
  Sha256 hash;
  hash.update("outputs of " + site.str());
  hash.update(bytes_of(model));
  hash.update(bytes_of(inputs));
  if (own) {
    hash.update(bytes_of(*own));
  }
  return hash.finish();
}

BlobId merged_outputs(std::span<const WeightedUpdate> outputs) {
  return merged_model(sha256("zeros"), outputs, std::nullopt);
}

std::optional<BlobId> next_server_state(const StrategySpec& strategy, const Digest& spec_digest,
                                        const BlobId& model) {
  if (strategy.kind != "fedadam" && !has_control(strategy)) {
    return std::nullopt;
  }
  Sha256 hash;
  hash.update("server state ");
  hash.update(bytes_of(spec_digest));
  hash.update(bytes_of(model));
  return hash.finish();
}

std::uint64_t examples_at(const SiteId& site) {
  return 100 + static_cast<std::uint64_t>(site.str().front());
}

Sums evaluation_sums(const SiteId& site, Round round) {
  const auto count = static_cast<double>(examples_at(site));
  const double right = std::floor(count * (1 - 1.0 / (round + 2)));
  return {{"count", {count}},
          {"correct", {right}},
          {"loss", {count - right}},
          {"loss_weight", {count}}};
}

double age_at(const SiteId& site) { return static_cast<double>(site.str().front() - 'a' + 20); }

Sums counted(const SiteId& site, const Sums& ranges) {
  Statistics statistics;
  if (ranges.empty()) {
    auto& column = statistics.columns["age"];
    column.sites = 1;
    column.count = examples_at(site);
    column.mean = age_at(site);
    column.squares = 1;
    column.low = age_at(site) / 2;
    column.high = age_at(site) * 2;
  } else {
    auto& bins = statistics.histograms["age"].bins;
    bins.resize(kCountedBins);
    const auto asked = ranges_from(ranges).value();
    bins[bin_of(age_at(site), asked.at("age"), kCountedBins)] = examples_at(site);
  }
  return to_sums(statistics);
}

namespace {

// The draw of a round as it was published (broker/core/draw.h), in floating point: the largest
// u^(1/weight) of those who have rested.
std::vector<SiteId> sampled(const JobSpec& spec, Round round, const std::vector<SiteId>& sites,
                            std::map<SiteId, Round>& last_rounds) {
  if (spec.kind == JobKind::cyclic) {
    return {sites[(round - 1) % sites.size()]};
  }
  const auto& sample = spec.sites.sample;
  if (!sample) {
    return sites;
  }
  std::vector<std::pair<double, SiteId>> turns;
  for (const auto& site : sites) {
    const auto last = last_rounds.find(site);
    if (last == last_rounds.end() || round - last->second > sample->separation) {
      const auto number = draw_number(job_seed(spec, digest_of(spec)), round, site.str());
      const auto weight =
          sample->by == SampleBy::samples ? static_cast<double>(examples_at(site)) : 1.0;
      turns.emplace_back(-std::log(std::ldexp(static_cast<double>(number), -64)) / weight, site);
    }
  }
  std::sort(turns.begin(), turns.end());
  turns.resize(updates_wanted(*sample, sites.size()));
  std::vector<SiteId> drawn;
  for (const auto& [key, site] : turns) {
    drawn.push_back(site);
    last_rounds[site] = round;
  }
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

}  // namespace

BlobId undisturbed_model(const JobSpec& spec, std::vector<SiteId> sites) {
  std::sort(sites.begin(), sites.end());
  const auto seed = job_seed(spec, digest_of(spec));
  const bool is_brought = spec.init && spec.init->file;
  auto model = is_brought ? *spec.init->file : initial_model(task_seed(seed, 0, ""));
  std::optional<BlobId> server_state;
  std::map<SiteId, BlobId> sent;  // the last one of each site
  std::map<SiteId, Round> last_rounds;
  for (Round round = 1; round <= spec.rounds; ++round) {
    std::vector<WeightedUpdate> updates;
    for (const auto& site : sampled(spec, round, sites, last_rounds)) {
      const auto before = sent.find(site);
      const bool is_first = before == sent.end();
      const auto update = sent_update(spec, round, site, model, server_state,
                                      is_first ? std::nullopt : std::optional(before->second));
      sent[site] = update;
      updates.push_back({site, update, static_cast<double>(examples_at(site))});
    }
    model = merged_model(model, updates, server_state);
    server_state = next_server_state(spec.strategy, digest_of(spec), model);
  }
  return model;
}

}  // namespace entente::simulation
