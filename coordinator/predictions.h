// What a job of the kind "predict" has come to: the outputs of all sites together, as a safetensors
// file or a table, and whose models said how much of it.
#pragma once

#include <filesystem>

#include "coordinator/broker_client.h"
#include "coordinator/output.h"

namespace entente::cli {

// Writes them to `output` and says of how many sites they are, with each one's weight.
[[nodiscard]] ExitCode take_predictions(const Options& options, BrokerClient& client,
                                        const JobId& job, const std::filesystem::path& output,
                                        bool as_csv);

// The file's one tensor as lines of text: "output_1,output_2", then a line for each row, each
// number as short as it reads back the same. Refuses like TensorFile, and with "output_invalid"
// when the table cannot be written.
[[nodiscard]] Expected<void> write_csv(const std::filesystem::path& tensors,
                                       const std::filesystem::path& table);

}  // namespace entente::cli
