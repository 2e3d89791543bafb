// Training and merging as exact functions, so that the right final model is known in closed form.
//
// A blob is only its name here: the hash of what it was made of. Equal inputs give equal blobs, as
// they do in the product, also across jobs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/domain/job_spec.h"

namespace entente::simulation {

constexpr std::uint64_t kBlobBytes = 64;
constexpr std::uint64_t kPredictedRows = 3;  // a file of them has as many bytes as any blob here

struct WeightedUpdate {
  SiteId site;
  BlobId update;
  double weight = 0;
  double factor = 1;       // what is left of it, because it comes late
  Round started_from = 0;  // the version that it was trained from
};

[[nodiscard]] Digest digest_of(const JobSpec& spec);
[[nodiscard]] BlobId initial_model(std::uint64_t task_seed);
// Files that coordinators bring: the model that a job starts from, inputs to predict on.
[[nodiscard]] BlobId brought_model(const std::string& job_name);
[[nodiscard]] BlobId brought_inputs(const std::string& name);
// What training reads: the global model, what the site keeps for itself, the server's control.
struct TrainedFrom {
  BlobId model;
  std::optional<BlobId> own{};
  std::optional<BlobId> control{};
};
[[nodiscard]] BlobId trained_update(const TrainedFrom& from, std::uint64_t task_seed, Round round,
                                    const SiteId& site);
// Whether the job has its sites keep something, and what that is after such an update was sent.
[[nodiscard]] bool keeps_own(const JobSpec& spec);
// Whether what a site sends hangs on what it has kept.
[[nodiscard]] inline bool keeps_state(const JobSpec& spec) {
  return keeps_own(spec) || spec.update.encoding == "topk";
}
// Whether it outlives the job at its sites, for their own people: a control variate does not.
[[nodiscard]] inline bool hands_out(const JobSpec& spec) { return !spec.train.exclude.empty(); }
[[nodiscard]] BlobId own_after(const BlobId& sent_update);
// What topk makes of an update, starting from what it has left out before, and what it leaves out
// then.
[[nodiscard]] BlobId sparse_update(const BlobId& update, const std::optional<BlobId>& residual);
[[nodiscard]] BlobId residual_after(const BlobId& sparse_update);
// What a site sends in a round when its last accepted update was `sent_before`, from which what it
// has kept since follows; of those that it began in this round, so many have been taken before.
[[nodiscard]] BlobId sent_update(const JobSpec& spec, Round round, const SiteId& site,
                                 const BlobId& model, const std::optional<BlobId>& server_state,
                                 const std::optional<BlobId>& sent_before,
                                 std::uint32_t taken_before = 0);
// The order of the updates matters, as that of floating-point sums does; and what the server's
// optimiser remembers, where the strategy has one.
[[nodiscard]] BlobId merged_model(const BlobId& model, std::span<const WeightedUpdate> updates,
                                  const std::optional<BlobId>& server_state);
// What it remembers after the round that made `model`; nothing for a strategy without.
[[nodiscard]] std::optional<BlobId> next_server_state(const StrategySpec& strategy,
                                                      const Digest& spec_digest,
                                                      const BlobId& model);
[[nodiscard]] std::uint64_t examples_at(const SiteId& site);

// What a site says of the inputs by the model that all share, and by what it has of its own.
[[nodiscard]] BlobId predicted_outputs(const BlobId& model, const BlobId& inputs,
                                       const std::optional<BlobId>& own, const SiteId& site);
// Over zeros: the model that the sites predict with is no part of it.
[[nodiscard]] BlobId merged_outputs(std::span<const WeightedUpdate> outputs);

// What an evaluation of the round's model comes to at the site: so many of its examples are right.
Sums evaluation_sums(const SiteId& site, Round round);

// What a site has to count: rows of one age, between a half and twice of it.
constexpr std::size_t kCountedBins = 4;
[[nodiscard]] double age_at(const SiteId& site);
[[nodiscard]] Sums counted(const SiteId& site, const Sums& ranges);

// The model after all rounds, when `sites` (in any order) take part in every one.
[[nodiscard]] BlobId undisturbed_model(const JobSpec& spec, std::vector<SiteId> sites);

}  // namespace entente::simulation
