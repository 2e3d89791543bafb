#include "tests/unit/data_plane/tensors.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace entente::broker {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

std::shared_ptr<const TensorLayout> layout_of(std::int64_t elements) {
  return std::make_shared<const TensorLayout>(TensorLayout{{TensorInfo{"w", {elements}}}});
}

std::string tensor_bytes(const std::vector<float>& values) {
  const std::size_t bytes = values.size() * sizeof(float);
  std::string header = R"({"w":{"dtype":"F32","shape":[)" + std::to_string(values.size()) +
                       R"(],"data_offsets":[0,)" + std::to_string(bytes) + "]}}";
  header.resize((header.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const std::uint64_t length = header.size();
  std::string file(sizeof(length) + header.size() + bytes, '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  std::memcpy(file.data() + sizeof(length), header.data(), header.size());
  std::memcpy(file.data() + sizeof(length) + header.size(), values.data(), bytes);
  return file;
}

}  // namespace entente::broker
