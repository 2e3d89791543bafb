#include "site-agent/data/idx_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "site-agent/data/gzip_stream.h"

namespace entente::agent {
namespace {

constexpr std::uint8_t kUnsignedByte = 0x08;
// One example: a large medical image fits, a forged header does not exhaust memory.
constexpr std::uint64_t kExampleBytesMax = 64 << 20;
// Deflate cannot shrink anything further (zlib.net/zlib_tech.html, "Maximum Compression Factor").
constexpr std::uint64_t kDeflateRatioMax = 1032;
constexpr std::size_t kReadBytesMax = 1 << 20;

std::uint32_t big_endian(std::span<const std::uint8_t, 4> bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
}

}  // namespace

void IdxFile::Close::operator()(gzFile_s* file) const { ::gzclose(file); }

tl::unexpected<Refusal> IdxFile::invalid(std::string_view cause) const {
  return refuse("dataset_invalid", fmt::format("{}: {}", path_.filename().string(), cause),
                "check that the file is complete and that the paths of images and labels are not "
                "swapped",
                Scope::site);
}

Expected<IdxFile> IdxFile::open(const std::filesystem::path& path, std::size_t dimensions_min,
                                std::size_t dimensions_max) {
  const auto file = open_gzip(path);
  if (!file) {
    return tl::unexpected(file.error());
  }
  IdxFile idx(path, *file);
  if (auto read = idx.read_header(dimensions_min, dimensions_max); !read) {
    return tl::unexpected(read.error());
  }
  return idx;
}

Expected<void> IdxFile::read_header(std::size_t dimensions_min, std::size_t dimensions_max) {
  std::array<std::uint8_t, 4> magic{};
  if (auto got = read(magic); !got) {
    return got;
  }
  if (magic[0] != 0 || magic[1] != 0) {
    return invalid("not an IDX file");
  }
  if (magic[2] != kUnsignedByte) {
    return invalid(
        fmt::format("holds elements of IDX type 0x{:02x}, only unsigned bytes (0x08) "
                    "are supported",
                    magic[2]));
  }
  if (magic[3] < dimensions_min || magic[3] > dimensions_max) {
    return invalid(dimensions_min == dimensions_max
                       ? fmt::format("has {} dimensions, expected {}", magic[3], dimensions_min)
                       : fmt::format("has {} dimensions, expected {} to {}", magic[3],
                                     dimensions_min, dimensions_max));
  }
  for (int i = 0; i < magic[3]; ++i) {
    std::array<std::uint8_t, 4> bytes{};
    if (auto got = read(bytes); !got) {
      return got;
    }
    dimensions_.push_back(big_endian(bytes));
  }
  std::uint64_t example_bytes_so_far = 1;
  for (const auto dimension : example()) {
    if (dimension == 0) {
      return invalid("has a dimension of size 0");
    }
    // Both factors are below 2^32, so the product cannot overflow before it is compared.
    example_bytes_so_far *= dimension;
    if (example_bytes_so_far > kExampleBytesMax) {
      return invalid(fmt::format("an example is larger than {} MiB", kExampleBytesMax >> 20));
    }
  }
  std::error_code not_a_plain_file;
  const auto stored_bytes = std::filesystem::file_size(path_, not_a_plain_file);
  if (!not_a_plain_file && count() * example_bytes_so_far / kDeflateRatioMax > stored_bytes) {
    return invalid("truncated: the header announces more than the file can hold");
  }
  return {};
}

std::size_t IdxFile::example_bytes() const {
  std::size_t bytes = 1;
  for (const auto dimension : example()) {
    bytes *= dimension;
  }
  return bytes;
}

Expected<void> IdxFile::read(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto wanted = static_cast<unsigned>(std::min(bytes.size(), kReadBytesMax));
    const int got = ::gzread(file_.get(), bytes.data(), wanted);
    if (got <= 0) {
      int code = Z_OK;
      const char* const cause = ::gzerror(file_.get(), &code);
      if (got < 0 && code != Z_BUF_ERROR) {
        return invalid(code == Z_ERRNO ? std::strerror(errno) : cause);
      }
      return invalid("truncated");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Expected<void> IdxFile::finish() {
  std::uint8_t extra = 0;
  const int got = ::gzread(file_.get(), &extra, 1);
  if (got > 0) {
    return invalid("goes on after the last element that its header announces");
  }
  // A gzip stream without its whole trailer reads like the end of the file, but leaves this error.
  int code = Z_OK;
  ::gzerror(file_.get(), &code);
  if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
    return invalid("damaged at its end (truncated, or its checksum differs)");
  }
  return {};
}

}  // namespace entente::agent
