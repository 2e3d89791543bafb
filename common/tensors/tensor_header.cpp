#include "common/tensors/tensor_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "common/base/limits.h"
#include "common/base/quote.h"

namespace entente {
namespace {

constexpr std::string_view kMetadataKey = "__metadata__";
// Longer names would not fit into a message to a person.
constexpr std::size_t kNameBytesMax = 512;

// With these, a header of the largest size costs tens of megabytes to read, not gigabytes.
constexpr std::size_t kTensorsMax = 16 * limits::kLayersMax;
constexpr std::size_t kMetadataMax = 1024;

tl::unexpected<Refusal> invalid(std::string message) {
  return refuse("tensors_invalid", std::move(message), {}, Scope::site);
}

struct Entry {
  TensorInfo info;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// Follows the tokens of a header. Each token is legal in one place only; the first that is not
// stops the parser with `error`.
//
//   {                                          top
//     "__metadata__": {"key": "text", ...},    metadata
//     "conv1.weight": {                        tensor
//       "dtype": "F32",
//       "shape": [6, 1, 5, 5],                 shape
//       "data_offsets": [0, 600]               offsets
//     }, ...
//   }
class HeaderReader {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  explicit HeaderReader(std::span<const DType> dtypes) : dtypes_(dtypes) {}

  bool null() { return fail("holds a null"); }
  bool boolean(bool) { return fail("holds a boolean"); }
  bool number_integer(number_integer_t) { return fail("holds a negative number"); }
  bool number_float(number_float_t, const string_t&) { return fail("holds a fraction"); }
  bool binary(binary_t&) { return fail("holds binary data"); }

  bool number_unsigned(number_unsigned_t value) {
    if (place_ != Place::shape && place_ != Place::offsets) {
      return fail("holds a number where none belongs");
    }
    const std::size_t count_max = place_ == Place::shape ? limits::kTensorDimensionsMax : 2;
    if (numbers_.size() == count_max) {
      return fail(fmt::format("gives tensor {} more than {} numbers in its {}", quote(name_),
                              count_max, key_));
    }
    numbers_.push_back(value);
    return true;
  }

  bool string(string_t& value) {
    if (place_ == Place::metadata) {
      header_metadata[key_] = value;
      return true;
    }
    if (place_ != Place::tensor || key_ != "dtype") {
      return fail("holds a text where none belongs");
    }
    return store_dtype(value);
  }

  bool start_object(std::size_t) {
    switch (place_) {
      case Place::before:
        place_ = Place::top;
        return true;
      case Place::top:
        place_ = name_ == kMetadataKey ? Place::metadata : Place::tensor;
        keys_.clear();
        entry_ = Entry{.info = {.name = name_, .shape = {}}, .begin = 0, .end = 0};
        return true;
      case Place::metadata:
      case Place::tensor:
      case Place::shape:
      case Place::offsets:
        break;
    }
    return fail("is nested too deeply");
  }

  bool key(string_t& value) {
    if (place_ == Place::top) {
      name_ = value;
      if (names_.size() > kTensorsMax) {
        return fail(fmt::format("has more than {} tensors", kTensorsMax));
      }
      return names_.insert(value).second || fail(fmt::format("names {} twice", quote(value)));
    }
    key_ = value;
    const bool known = place_ == Place::metadata || value == "dtype" || value == "shape" ||
                       value == "data_offsets";
    if (!known) {
      return fail(fmt::format("gives tensor {} an unknown key {}", quote(name_), quote(value)));
    }
    if (keys_.size() == kMetadataMax) {
      return fail(fmt::format("has more than {} keys in {}", kMetadataMax, kMetadataKey));
    }
    return keys_.insert(value).second ||
           fail(fmt::format("gives {} the key {} twice", quote(name_), quote(value)));
  }

  bool end_object() {
    if (place_ == Place::top) {
      return true;
    }
    if (place_ == Place::tensor) {
      if (keys_.size() != 3) {
        return fail(fmt::format("gives tensor {} no dtype, shape or data_offsets", quote(name_)));
      }
      entries.push_back(std::move(entry_));
    }
    place_ = Place::top;
    return true;
  }

  bool start_array(std::size_t) {
    if (place_ != Place::tensor || key_ == "dtype") {
      return fail("holds a list where none belongs");
    }
    place_ = key_ == "shape" ? Place::shape : Place::offsets;
    numbers_.clear();
    return true;
  }

  bool end_array() {
    const bool stored = place_ == Place::shape ? store_shape() : store_offsets();
    place_ = Place::tensor;
    return stored;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    return fail(fmt::format("is not JSON at byte {}", position));
  }

  std::vector<Entry> entries;
  TensorMetadata header_metadata;
  std::string error;

 private:
  enum class Place : std::uint8_t { before, top, metadata, tensor, shape, offsets };

  bool fail(std::string what) {
    error = std::move(what);
    return false;
  }

  bool store_dtype(const std::string& name) {
    const auto dtype = parse_dtype(name);
    if (!dtype || std::ranges::find(dtypes_, *dtype) == dtypes_.end()) {
      std::vector<std::string_view> names;
      for (const DType one : dtypes_) {
        names.push_back(to_string(one));
      }
      return fail(fmt::format("gives tensor {} the dtype {}, only {} is exchanged", quote(name_),
                              quote(name), fmt::join(names, " or ")));
    }
    entry_.info.dtype = *dtype;
    return true;
  }

  bool store_shape() {
    for (const auto dimension : numbers_) {
      if (dimension > limits::kBlobBytesMax) {
        return fail(fmt::format("gives tensor {} a dimension of {}", quote(name_), dimension));
      }
      entry_.info.shape.push_back(static_cast<std::int64_t>(dimension));
    }
    return true;
  }

  bool store_offsets() {
    if (numbers_.size() != 2) {
      return fail(fmt::format("gives tensor {} no begin and end", quote(name_)));
    }
    entry_.begin = numbers_[0];
    entry_.end = numbers_[1];
    return true;
  }

  const std::span<const DType> dtypes_;
  Place place_ = Place::before;
  std::string name_;  // the last key at the top
  std::string key_;   // the last key below it
  std::set<std::string> names_;
  std::set<std::string> keys_;
  std::vector<std::uint64_t> numbers_;
  Entry entry_;
};

// The sizes of one tensor, against its shape. Nothing can overflow: elements() saturates.
std::optional<std::string> find_fault(const Entry& entry) {
  const std::uint64_t elements = entry.info.elements();
  if (entry.info.name.size() > kNameBytesMax) {
    return fmt::format("has a tensor name of {} bytes", entry.info.name.size());
  }
  if (elements > limits::kModelParametersMax) {
    return fmt::format("gives tensor {} more elements than a model may have",
                       quote(entry.info.name));
  }
  if (entry.end < entry.begin || entry.end - entry.begin != entry.info.bytes()) {
    return fmt::format("gives tensor {} the bytes {} to {}, its shape needs {}",
                       quote(entry.info.name), entry.begin, entry.end, entry.info.bytes());
  }
  return std::nullopt;
}

}  // namespace

Expected<TensorHeader> parse_tensor_header(std::string_view json, std::span<const DType> dtypes) {
  if (json.empty() || json.front() != '{') {
    return invalid("the header is not a JSON object");
  }
  HeaderReader reader(dtypes);
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader)) {
    return invalid("the header " + reader.error);
  }
  auto& entries = reader.entries;
  std::ranges::stable_sort(entries, {},
                           [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
  TensorHeader header;
  header.metadata = std::move(reader.header_metadata);
  header.offsets.push_back(0);
  for (Entry& entry : entries) {
    if (const auto fault = find_fault(entry)) {
      return invalid("the header " + *fault);
    }
    if (entry.begin != header.offsets.back()) {
      return invalid(fmt::format("tensor {} starts at byte {}, not at {} where the one before ends",
                                 quote(entry.info.name), entry.begin, header.offsets.back()));
    }
    header.offsets.push_back(entry.end);
    header.layout.tensors.push_back(std::move(entry.info));
  }
  if (header.layout.elements() > limits::kModelParametersMax) {
    return invalid("the tensors have more elements than a model may have");
  }
  return header;
}

std::string write_tensor_header(const TensorLayout& layout, const TensorMetadata& metadata) {
  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    header[std::string(kMetadataKey)] = metadata;
  }
  std::uint64_t begin = 0;
  // Appended to the list behind the object: its operator[] would search all names each time.
  auto& members = header.get_ref<nlohmann::ordered_json::object_t&>();
  for (const TensorInfo& tensor : layout.tensors) {
    const std::uint64_t end = begin + tensor.bytes();
    auto entry = nlohmann::ordered_json::object();
    entry["dtype"] = to_string(tensor.dtype);
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {begin, end};
    members.push_back({tensor.name, std::move(entry)});
    begin = end;
  }
  constexpr auto replace = nlohmann::ordered_json::error_handler_t::replace;
  std::string text = header.dump(-1, ' ', false, replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace entente
