#include "tests/support/sent_updates.h"

#include <stdexcept>

#include "common/domain/seeds.h"
#include "common/tensors/safetensors.h"
#include "common/tensors/update_encoder.h"
#include "common/tensors/update_file.h"

namespace entente::integration {

namespace fs = std::filesystem;

std::vector<float> SentUpdates::send(const std::string& site, const std::vector<float>& update,
                                     std::uint64_t seed) {
  EncodeRequest request;
  request.update = folder_.path() / "update";
  request.model = layout_;
  request.spec = spec_;
  request.seed = rounding_seed(seed);
  request.output = folder_.path() / "encoded";
  request.residual_after = folder_.path() / "residual";
  const auto residual = folder_.path() / ("residual-of-" + site);
  if (fs::exists(residual)) {
    request.residual_before = residual;
  }
  TensorFileWriter writer(request.update, layout_, {});
  writer.append(update);
  writer.close();
  if (const auto encoded = encode_update(request); !encoded) {
    throw std::runtime_error(encoded.error().message);
  }
  if (fs::exists(request.residual_after)) {
    fs::rename(request.residual_after, residual);
  }
  const auto file = UpdateFile::open(request.output, layout_, spec_);
  if (!file) {
    throw std::runtime_error(file.error().message);
  }
  std::vector<float> values(file->size());
  const float* const read = file->read(0, values);
  return {read, read + values.size()};
}

}  // namespace entente::integration
