// Images and labels as IDX files: kind "idx". Pixels are bytes, scaled to [0, 1].
#pragma once

#include "site-agent/data/source.h"

namespace entente::agent {

[[nodiscard]] Expected<std::unique_ptr<Source>> open_idx(const DatasetConfig& config,
                                                         Purpose purpose);

}  // namespace entente::agent
