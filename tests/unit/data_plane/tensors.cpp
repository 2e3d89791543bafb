#include "tests/unit/data_plane/tensors.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace entente::broker {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

static std::string file_of(std::string header, const std::string& data) {
  header.resize((header.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const std::uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + header + data;
}

template <class T>
static std::string bytes_of(const T* values, std::size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

std::shared_ptr<const TensorLayout> layout_of(std::int64_t elements) {
  return std::make_shared<const TensorLayout>(TensorLayout{{TensorInfo{"w", {elements}}}});
}

std::string tensor_bytes(const std::vector<float>& values) {
  const auto data = bytes_of(values.data(), values.size());
  return file_of(R"({"w":{"dtype":"F32","shape":[)" + std::to_string(values.size()) +
                     R"(],"data_offsets":[0,)" + std::to_string(data.size()) + "]}}",
                 data);
}

std::string sparse_bytes(std::int32_t place, float value) {
  return file_of(R"({"indices":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},)"
                 R"("values":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                 bytes_of(&place, 1) + bytes_of(&value, 1));
}

}  // namespace entente::broker
