#include "site-agent/data/npy_array.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "site-agent/data/npy_header.h"
#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are read as they are stored");

constexpr std::string_view kMagic = "\x93NUMPY";
// A header is a few dozen bytes; NumPy itself reads no longer one (max_header_size).
constexpr std::size_t kHeaderBytesMax = 10'000;
// One example: a large medical image fits, a forged header does not exhaust memory.
constexpr std::uint64_t kExampleBytesMax = 64 << 20;
constexpr std::size_t kBlockBytes = 1 << 20;

// Calls `use` with a value of the type; false for a type that is none of ours.
template <class Use>
bool with_type(std::string_view type, Use use) {
  if (type == "f4") return use(float{});
  if (type == "f8") return use(double{});
  if (type == "b1" || type == "u1") return use(std::uint8_t{});
  if (type == "i1") return use(std::int8_t{});
  if (type == "u2") return use(std::uint16_t{});
  if (type == "i2") return use(std::int16_t{});
  if (type == "u4") return use(std::uint32_t{});
  if (type == "i4") return use(std::int32_t{});
  if (type == "u8") return use(std::uint64_t{});
  if (type == "i8") return use(std::int64_t{});
  return false;
}

template <class Stored, class Out, class Convert>
bool convert_each(std::span<const std::byte> stored, Out* to, Convert convert) {
  for (std::size_t at = 0; at < stored.size(); at += sizeof(Stored)) {
    Stored element{};
    std::memcpy(&element, stored.data() + at, sizeof(Stored));
    if (!convert(element, *to++)) {
      return false;
    }
  }
  return true;
}

}  // namespace

tl::unexpected<Refusal> NpyArray::invalid(std::string_view cause, std::string hint) const {
  return invalid_dataset(fmt::format("{}: {}", name(), cause), std::move(hint));
}

Expected<NpyArray> NpyArray::open(std::unique_ptr<ByteStream> bytes) {
  NpyArray array(std::move(bytes));
  if (auto read = array.read_header(); !read) {
    return tl::unexpected(read.error());
  }
  return array;
}

Expected<void> NpyArray::read_header() {
  std::array<std::byte, 8> start{};
  if (auto read = bytes_->read(start); !read) {
    return read;
  }
  const auto major = std::to_integer<unsigned>(start[6]);
  if (std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0) {
    return invalid("is no array of NumPy");
  }
  if (major < 1 || major > 3) {
    return invalid(fmt::format("is of version {} of the format, known are 1 to 3", major));
  }
  std::array<std::byte, 4> length_bytes{};
  const std::size_t length_size = major == 1 ? 2 : 4;
  if (auto read = bytes_->read(std::span(length_bytes).first(length_size)); !read) {
    return read;
  }
  const auto length = std::bit_cast<std::uint32_t>(length_bytes);
  if (length > kHeaderBytesMax) {
    return invalid(
        fmt::format("has a header of {} bytes, at most {} are possible", length, kHeaderBytesMax));
  }
  std::string text(length, '\0');
  if (auto read = bytes_->read(std::as_writable_bytes(std::span(text))); !read) {
    return read;
  }
  const auto header = parse_npy_header(text);
  if (!header) {
    return invalid("has a header that cannot be read; an array of records or objects has such",
                   "store numbers: numpy.save(file, array.astype(\"float32\"))");
  }
  if (header->fortran_order) {
    return invalid("is in Fortran order",
                   "store it in C order: numpy.save(file, numpy.ascontiguousarray(array))");
  }
  type_ = header->type;
  if (header->is_big_endian || !with_type(type_, [&](auto element) {
        element_bytes_ = sizeof(element);
        return true;
      })) {
    return invalid(fmt::format("has elements of type {}, which is not read", quote(header->type)),
                   "store numbers: numpy.save(file, array.astype(\"float32\"))");
  }
  if (header->shape.empty() || header->shape.size() > limits::kTensorDimensionsMax) {
    return invalid(fmt::format("has {} dimensions, possible are 1 to {}", header->shape.size(),
                               limits::kTensorDimensionsMax));
  }
  count_ = header->shape.front();
  example_shape_.assign(header->shape.begin() + 1, header->shape.end());
  return check_size(start.size() + length_size + length);
}

Expected<void> NpyArray::check_size(std::uint64_t header_bytes) {
  std::uint64_t elements = 1;
  const auto elements_max = kExampleBytesMax / element_bytes_;
  for (const auto dimension : example_shape_) {
    const auto factor = static_cast<std::uint64_t>(dimension);
    if (factor == 0 || factor > elements_max || elements * factor > elements_max) {
      return invalid(
          fmt::format("has examples that are empty or larger than {} MiB", kExampleBytesMax >> 20));
    }
    elements *= factor;
  }
  example_elements_ = elements;
  const std::uint64_t example_bytes = elements * element_bytes_;
  const std::uint64_t stored = bytes_->size() - header_bytes;
  if (stored % example_bytes != 0 || stored / example_bytes != count_) {
    return invalid(
        fmt::format("announces {} examples, but holds {} bytes for them", count_, stored),
        "check that the file is complete");
  }
  return {};
}

bool NpyArray::is_whole() const { return type_.front() != 'f'; }

Expected<void> NpyArray::each_example(const Take& take) {
  const std::size_t example_bytes = example_elements_ * element_bytes_;
  const std::size_t block_examples = std::max<std::size_t>(1, kBlockBytes / example_bytes);
  std::vector<std::byte> block;
  for (std::size_t first = 0; first < count_; first += block_examples) {
    const std::size_t count = std::min(block_examples, count_ - first);
    block.resize(count * example_bytes);
    if (auto read = bytes_->read(block); !read) {
      return read;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto stored = std::span(block).subspan(i * example_bytes, example_bytes);
      if (auto taken = take(first + i, stored); !taken) {
        return taken;
      }
    }
  }
  return {};
}

bool NpyArray::to_numbers(std::span<const std::byte> stored, float* to) const {
  return with_type(type_, [&](auto element) {
    return convert_each<decltype(element)>(stored, to, [](auto value, float& out) {
      out = static_cast<float>(value);
      return std::isfinite(out);
    });
  });
}

bool NpyArray::to_whole(std::span<const std::byte> stored, std::int64_t* to) const {
  return with_type(type_, [&](auto element) {
    return convert_each<decltype(element)>(stored, to, [](auto value, std::int64_t& out) {
      out = static_cast<std::int64_t>(value);
      return out >= 0 || value < decltype(value){};
    });
  });
}

}  // namespace entente::agent
