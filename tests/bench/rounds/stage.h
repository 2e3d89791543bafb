// What the measurements of this folder share: a consortium with echo trainers, and its CPU time.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/rounds/round.h"
#include "tests/support/consortium.h"

namespace entente::bench {

// Waits until all of them have advertised. Returns their names.
std::vector<std::string> add_echo_sites(integration::Consortium& consortium, int count);

// A job whose model has about `setup.model_bytes`.
[[nodiscard]] integration::JobFile echo_job(const RoundSetup& setup);

}  // namespace entente::bench
