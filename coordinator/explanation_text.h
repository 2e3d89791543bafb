// How an explanation looks on a terminal: what the job waits for, what must change, then a line for
// each site with its sentences.
#pragma once

#include <string>

#include "common/domain/explanation.h"

namespace entente::cli {

[[nodiscard]] std::string describe(const Explanation& explanation);

}  // namespace entente::cli
