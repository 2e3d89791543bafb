// What must be true of all that a soak has left behind: P1 to P7 of the README, held against the
// broker's database, its blobs and the agents' logs.
//
// Each function returns the violations it has found, in words, and counts what it has looked at.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/soak/workload.h"

namespace entente::soak {

struct Examined {
  std::size_t models = 0;
  std::size_t updates = 0;
  std::size_t trainings = 0;
  std::size_t checks = 0;  // of a data directory, by `entente-broker check`
  std::vector<std::string> violations;
};

// Every published model, bit for bit, from the updates its receipt names: these are known in closed
// form (tests/support/quick_trainer.h). Also: who contributed, how often, with what, and enough of
// them. The broker must not run.
void examine_models(const std::filesystem::path& broker_data,
                    const std::map<std::string, SoakedJob>& jobs, Examined& examined);

// `entente-broker check`. The broker must not run.
void check_data_directory(integration::Consortium& consortium, Examined& examined);

// A site that has finished the training of a round never trains it again, unless it sent NaN.
void examine_trainings(const integration::Consortium& consortium, Examined& examined);

}  // namespace entente::soak
