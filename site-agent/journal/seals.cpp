#include "site-agent/journal/seals.h"

#include <bit>
#include <cstdint>
#include <optional>
#include <string>

#include "common/crypto/digest.h"

namespace entente::agent {
namespace {

void cover(Sha256& seal, std::uint64_t number) { seal.update_field(std::to_string(number)); }

void cover(Sha256& seal, const std::optional<BlobId>& blob) {
  seal.update_field(blob ? blob->hex() : "");
}

}  // namespace

// The spec is covered by its digest, which is compared with it too.
Digest seal_of(const Promise& promise) {
  Sha256 seal;
  seal.update_field("promise");
  seal.update_field(promise.job.str());
  seal.update_field(promise.coordinator);
  seal.update_field(promise.spec_digest.hex());
  return seal.finish();
}

Digest seal_of(const SiteState& state) {
  Sha256 seal;
  seal.update_field("residual");
  seal.update_field(state.job.str());
  cover(seal, state.round);
  cover(seal, state.residual);
  cover(seal, state.settled ? 1 : 0);
  if (state.own) {  // rows of before have none, and keep their seals
    cover(seal, state.own);
  }
  return seal.finish();
}

Digest seal_of(const OutboxEntry& entry) {
  const auto& [order, result] = entry;
  Sha256 seal;
  seal.update_field("result");
  seal.update_field(order.key.job.str());
  cover(seal, order.key.round);
  seal.update_field(to_string(order.key.kind));
  seal.update_field(order.key.site.str());
  cover(seal, order.key.attempt);
  cover(seal, order.seed);
  cover(seal, order.model);
  cover(seal, order.model_bytes);
  if (order.steps != 0) {  // rows of before have none, and keep their seals
    cover(seal, order.steps);
  }
  cover(seal, result.blob);
  cover(seal, result.blob_bytes);
  cover(seal, result.examples);
  cover(seal, result.steps);
  for (const auto& [name, value] : result.metrics) {
    seal.update_field(name);
    cover(seal, std::bit_cast<std::uint64_t>(value));
  }
  for (const auto& [name, values] : result.sums) {  // none in rows of before
    seal.update_field(name);
    cover(seal, values.size());
    for (const double value : values) {
      cover(seal, std::bit_cast<std::uint64_t>(value));
    }
  }
  return seal.finish();
}

Digest seal_of(const Decision& decision) {
  Sha256 seal;
  seal.update_field("decision");
  seal.update_field(decision.job.str());
  seal.update_field(decision.spec_digest.hex());
  seal.update_field(decision.approved ? "approved" : "denied");
  seal.update_field(decision.who);
  seal.update_field(decision.reason);
  cover(seal, static_cast<std::uint64_t>(decision.decided_unix_ms));
  cover(seal, static_cast<std::uint64_t>(decision.until_unix_ms));
  return seal.finish();
}

Digest seal_of(const SpentRound& spent) {
  Sha256 seal;
  seal.update_field("spent");
  seal.update_field(spent.job.str());
  cover(seal, spent.round);
  seal.update_field(spent.coordinator);
  cover(seal, static_cast<std::uint64_t>(spent.day));
  return seal.finish();
}

}  // namespace entente::agent
