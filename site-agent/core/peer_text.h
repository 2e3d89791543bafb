// Text on its way to the broker, which refuses whole messages that exceed
// limits::kPeerTextBytesMax.
#pragma once

#include "common/base/refusal.h"

namespace entente::agent {

// The refusal with its texts cut to what a peer accepts, at a character's boundary.
[[nodiscard]] Refusal bounded(Refusal refusal);

}  // namespace entente::agent
