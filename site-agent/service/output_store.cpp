#include "site-agent/service/output_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "common/base/limits.h"
#include "common/domain/update_encodings.h"
#include "common/runtime/failpoint.h"
#include "common/runtime/log.h"
#include "common/tensors/safetensors.h"
#include "common/tensors/update_encoder.h"
#include "common/tensors/update_file.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFormatBytesMax = 16;

// True when a file's free-text metadata is no more than the usual {"format": "pt"}: more could
// carry anything out of the house.
bool metadata_is_plain(const fs::path& file) {
  const auto tensors = TensorFile::open(file);
  return tensors &&
         std::all_of(tensors->metadata().begin(), tensors->metadata().end(), [](const auto& entry) {
           return entry.first == "format" && entry.second.size() <= kFormatBytesMax;
         });
}

// A residual whose bytes have changed is as good as lost: what it held is never sent.
std::optional<fs::path> residual_before(const effect::StoreOutput& output, BlobStore& blobs) {
  if (!output.residual) {
    return std::nullopt;
  }
  if (!blobs.vouch_for(*output.residual)) {
    log::warning("residual_damaged",
                 "what earlier rounds have left out is damaged on the disk and will not be sent",
                 {{"job", output.key.job.str()}, {"blob", output.residual->hex()}});
    return std::nullopt;
  }
  return blobs.path(*output.residual);
}

// From the trainer's float32 `file` to a blob, and another one of what topk leaves out.
Expected<event::OutputStored> store_encoded(const effect::StoreOutput& output,
                                            const TensorLayout& layout, const fs::path& file,
                                            BlobStore& blobs) {
  EncodeRequest request;
  request.update = file;
  request.model = layout;
  request.spec = output.update;
  request.seed = output.rounding_seed;
  request.output = file.string() + ".encoded";
  request.residual_before = residual_before(output, blobs);
  request.residual_after = file.string() + ".residual";
  if (auto encoded = encode_update(request); !encoded) {
    return tl::unexpected(std::move(encoded.error()));
  }
  // The broker holds the encoded update against the same bound.
  if (const auto check =
          check_update(request.output, layout, output.update, limits::kUpdateNormMax);
      !check) {
    return tl::unexpected(check.error());
  }
  event::OutputStored stored{output.key, {}, fs::file_size(request.output)};
  if (encoding_of(output.update) == Encoding::topk) {
    stored.residual = blobs.adopt(request.residual_after);
    ENTENTE_FAILPOINT("agent.residual.stored");
  }
  stored.blob = blobs.adopt(request.output);
  fs::remove(file);
  return stored;
}

Expected<event::OutputStored> store_update(const effect::StoreOutput& output, const fs::path& file,
                                           BlobStore& blobs) {
  if (encoding_of(output.update) != Encoding::float32) {
    return store_encoded(output, output.layout, file, blobs);
  }
  const std::uint64_t bytes = fs::file_size(file);
  return event::OutputStored{output.key, blobs.adopt(file), bytes};
}

// Both files are checked before either is kept.
Expected<event::OutputStored> store(const effect::StoreOutput& output, const fs::path& file,
                                    const fs::path& own, BlobStore& blobs) {
  if (auto sound = check_output(file, output.layout); !sound) {
    return tl::unexpected(std::move(sound.error()));
  }
  if (output.own.tensors.empty()) {
    return store_update(output, file, blobs);
  }
  if (const auto check = check_tensors(own, output.own, limits::kUpdateNormMax); !check) {
    Refusal reason = check.error();
    reason.message = fmt::format("what the trainer wrote to stay here: {}", reason.message);
    return tl::unexpected(std::move(reason));
  }
  auto stored = store_update(output, file, blobs);
  if (stored) {
    stored->own = blobs.adopt(own);
    ENTENTE_FAILPOINT("agent.own.stored");
  }
  return stored;
}

}  // namespace

Expected<void> check_output(const fs::path& file, const TensorLayout& layout) {
  if (!fs::is_regular_file(fs::symlink_status(file))) {
    return refuse("contract_violated", "the trainer wrote no result file",
                  "see the trainer's log at the site", Scope::site);
  }
  if (const auto check = check_tensors(file, layout, limits::kUpdateNormMax); !check) {
    return tl::unexpected(check.error());
  }
  if (!metadata_is_plain(file)) {
    return refuse("contract_violated", "the trainer's file holds metadata beside the tensors",
                  "write no metadata but \"format\"", Scope::site);
  }
  return {};
}

Event store_output(const effect::StoreOutput& output, const fs::path& file, const fs::path& own,
                   BlobStore& blobs) {
  try {
    auto stored = store(output, file, own, blobs);
    if (!stored) {
      return event::OutputLost{output.key, {std::move(stored.error()), false}};
    }
    ENTENTE_FAILPOINT("agent.output.stored");
    return *std::move(stored);
  } catch (const std::exception& error) {
    return event::OutputLost{
        output.key,
        {{"disk_failed", error.what(), "check the disk of the site's data folder", Scope::site},
         true}};
  }
}

}  // namespace entente::agent
