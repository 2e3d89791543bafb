// Arrays of NumPy: kinds "npy", a file for inputs and one for labels or targets, and "npz", all of
// them in one archive.
#pragma once

#include "site-agent/data/source.h"

namespace entente::agent {

[[nodiscard]] Expected<std::unique_ptr<Source>> open_npy(const DatasetConfig& config,
                                                         Purpose purpose);
[[nodiscard]] Expected<std::unique_ptr<Source>> open_npz(const DatasetConfig& config,
                                                         Purpose purpose);

}  // namespace entente::agent
