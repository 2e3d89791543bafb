// The seal of a row in the journal: a digest over everything that the row means. It is written with
// the row and compared when the row is read, so that a bit that flips in a number or a name is
// found although the row is as legal as before.
#pragma once

#include "common/base/blob_id.h"
#include "site-agent/core/events.h"

namespace entente::agent {

[[nodiscard]] Digest seal_of(const Promise& promise);
[[nodiscard]] Digest seal_of(const OutboxEntry& entry);
[[nodiscard]] Digest seal_of(const SiteState& state);
[[nodiscard]] Digest seal_of(const Decision& decision);
[[nodiscard]] Digest seal_of(const SpentRound& spent);

}  // namespace entente::agent
