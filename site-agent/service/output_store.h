// What a trainer wrote, on its way into the blob store: checked, an update in the encoding of its
// job, and under the name of its digest.
//
// Nothing but the tensors that the job exchanges may leave the house, so a file with anything else
// in it is refused. What is to stay here lies in a file of its own, `own`, and becomes a blob too.
// Blocks while it reads and writes the disk; called by the agent's disk thread.
#pragma once

#include <filesystem>

#include "common/blob/blob_store.h"
#include "common/domain/tensor_layout.h"
#include "site-agent/core/events.h"

namespace entente::agent {

// Refuses a file that is not exactly the model's tensors, finite and within the norm's bound, as
// check_tensors does, and with "contract_violated" one that is none or holds any other text.
[[nodiscard]] Expected<void> check_output(const std::filesystem::path& file,
                                          const TensorLayout& layout);

// OutputStored, or OutputLost with the reason. Never throws.
[[nodiscard]] Event store_output(const effect::StoreOutput& output,
                                 const std::filesystem::path& file,
                                 const std::filesystem::path& own, BlobStore& blobs);

}  // namespace entente::agent
