#include "common/tensors/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/tensors/norm_guard.h"
#include "common/tensors/tensor_header.h"

namespace entente {
namespace {

static_assert(std::endian::native == std::endian::little && sizeof(float) == 4,
              "the mapped bytes are used as floats");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kWriteBytes = std::size_t{1} << 20;

// Messages travel to peers: the name of the file, not the folders of this machine.
tl::unexpected<Refusal> invalid(const std::filesystem::path& file, const std::string& why) {
  return refuse(
      "tensors_invalid",
      fmt::format("{} is not a usable safetensors file: {}", quote(file.filename().string()), why),
      {}, Scope::site);
}

tl::unexpected<Refusal> mismatch(std::string message) {
  return refuse("layout_mismatch", std::move(message),
                "the file was made for another model; use the model that the job declares",
                Scope::site);
}

std::string describe(const TensorInfo& tensor) {
  return fmt::format(
      "{} of shape [{}]{}", quote(tensor.name), fmt::join(tensor.shape, ", "),
      tensor.dtype == DType::f32 ? "" : fmt::format(" and dtype {}", to_string(tensor.dtype)));
}

[[noreturn]] void throw_errno(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

Expected<void> compare(const TensorLayout& found, const TensorLayout& expected) {
  const auto& ours = expected.tensors;
  const auto& theirs = found.tensors;
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    if (theirs[i] != ours[i]) {
      return mismatch(fmt::format("tensor {} is {}, expected {}", i + 1, describe(theirs[i]),
                                  describe(ours[i])));
    }
  }
  if (theirs.size() < ours.size()) {
    return mismatch(fmt::format("tensor {} is missing", describe(ours[theirs.size()])));
  }
  if (theirs.size() > ours.size()) {
    return mismatch(fmt::format("tensor {} is one too many", describe(theirs[ours.size()])));
  }
  return {};
}

}  // namespace

class TensorFile::Mapping {
 public:
  Mapping(void* address, std::size_t bytes)
      : address_(static_cast<const std::byte*>(address)), bytes_(bytes) {}
  ~Mapping() { ::munmap(const_cast<std::byte*>(address_), bytes_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {address_, bytes_}; }

  TensorHeader header;
  std::span<const std::byte> data;  // all tensors, behind the header

 private:
  const std::byte* address_;
  std::size_t bytes_;
};

Expected<TensorFile> TensorFile::open(const std::filesystem::path& file,
                                      std::span<const DType> dtypes) {
  // O_NONBLOCK: a named pipe in the place of a file must not hold us up.
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return invalid(file, std::generic_category().message(errno));
  }
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (!regular || size <= kLengthBytes || size > limits::kBlobBytesMax) {
    ::close(fd);
    return invalid(file, regular ? fmt::format("it has {} bytes", size) : "it is no regular file");
  }
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  const int error = errno;
  ::close(fd);
  if (address == MAP_FAILED) {
    throw_errno(error, fmt::format("cannot map {}", file.string()));
  }
  auto mapping = std::make_unique<Mapping>(address, size);
  ::madvise(address, size, MADV_SEQUENTIAL);  // checks and merges go front to back

  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, address, kLengthBytes);
  const auto behind_length = mapping->bytes().subspan(kLengthBytes);
  if (header_bytes > limits::kTensorHeaderBytesMax || header_bytes > behind_length.size()) {
    return invalid(file, fmt::format("its header would have {} bytes", header_bytes));
  }
  const auto json = behind_length.first(header_bytes);
  auto header =
      parse_tensor_header({reinterpret_cast<const char*>(json.data()), json.size()}, dtypes);
  if (!header) {
    return invalid(file, header.error().message);
  }
  mapping->data = behind_length.subspan(header_bytes);
  if (header->offsets.back() != mapping->data.size()) {
    return invalid(file, fmt::format("its tensors need {} bytes of data, there are {}",
                                     header->offsets.back(), mapping->data.size()));
  }
  mapping->header = std::move(*header);
  return TensorFile(std::move(mapping));
}

TensorFile::TensorFile(std::unique_ptr<Mapping> mapping) : mapping_(std::move(mapping)) {}
TensorFile::TensorFile(TensorFile&&) noexcept = default;
TensorFile& TensorFile::operator=(TensorFile&&) noexcept = default;
TensorFile::~TensorFile() = default;

const TensorLayout& TensorFile::layout() const { return mapping_->header.layout; }
const TensorMetadata& TensorFile::metadata() const { return mapping_->header.metadata; }

std::span<const std::byte> TensorFile::data(std::size_t index) const {
  const auto& offsets = mapping_->header.offsets;
  ENTENTE_CHECK(index < layout().tensors.size());
  return mapping_->data.subspan(offsets[index], offsets[index + 1] - offsets[index]);
}

Expected<void> TensorFile::check_layout(const TensorLayout& layout) const {
  if (auto same = compare(this->layout(), layout); !same) {
    return same;
  }
  std::size_t alignment = 1;
  for (const TensorInfo& tensor : layout.tensors) {
    alignment = std::max(alignment, bytes_of(tensor.dtype));
  }
  if (reinterpret_cast<std::uintptr_t>(mapping_->data.data()) % alignment != 0) {
    return mismatch(fmt::format("the tensors are not aligned to {} bytes", alignment));
  }
  return {};
}

Expected<std::span<const float>> TensorFile::flat(const TensorLayout& layout) const {
  if (auto same = check_layout(layout); !same) {
    return tl::unexpected(std::move(same.error()));
  }
  const auto data = mapping_->data;
  return std::span(reinterpret_cast<const float*>(data.data()), data.size() / sizeof(float));
}

class TensorFileWriter::Output {
 public:
  Output(const std::filesystem::path& file, std::uint64_t data_bytes, const std::string& header)
      : path_(file),
        data_bytes_(data_bytes),
        data_offset_(kLengthBytes + header.size()),
        bytes_left_(data_bytes) {
    const std::uint64_t header_bytes = header.size();
    fd_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) {
      throw_errno(errno, fmt::format("cannot write {}", file.string()));
    }
    const auto bytes = kLengthBytes + header_bytes + data_bytes;
    if (const int error = ::posix_fallocate(fd_, 0, static_cast<off_t>(bytes)); error != 0) {
      discard();
      throw_errno(error, fmt::format("cannot reserve {} bytes for {}", bytes, file.string()));
    }
    buffer_.reserve(kWriteBytes);
    put(std::as_bytes(std::span(&header_bytes, 1)));
    put(std::as_bytes(std::span(header)));
  }

  ~Output() {
    if (fd_ >= 0) {
      discard();
    }
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void append(std::span<const std::byte> bytes) {
    ENTENTE_CHECK(bytes.size() <= bytes_left_);
    bytes_left_ -= bytes.size();
    put(bytes);
  }

  void write(std::uint64_t offset, std::span<const std::byte> bytes) {
    ENTENTE_CHECK(offset + bytes.size() <= data_bytes_);
    bytes_left_ -= bytes.size();
    put_at(data_offset_ + offset, bytes);
  }

  std::uint64_t close() {
    ENTENTE_CHECK(fd_ >= 0 && bytes_left_ == 0);
    flush();
    if (::close(std::exchange(fd_, -1)) != 0) {
      const int error = errno;
      ::unlink(path_.c_str());
      throw_errno(error, fmt::format("cannot write {}", path_.string()));
    }
    return data_offset_ + data_bytes_;
  }

 private:
  void put(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), kWriteBytes - buffer_.size()));
      buffer_.insert(buffer_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (buffer_.size() == kWriteBytes) {
        flush();
      }
    }
  }

  void flush() {
    put_at(written_, buffer_);
    written_ += buffer_.size();
    buffer_.clear();
  }

  void put_at(std::uint64_t offset, std::span<const std::byte> bytes) const {
    const auto start = static_cast<off_t>(offset);
    for (auto rest = bytes; !rest.empty();) {
      const auto done = static_cast<off_t>(bytes.size() - rest.size());
      const auto written = ::pwrite(fd_, rest.data(), rest.size(), start + done);
      if (written < 0 && errno != EINTR) {
        throw_errno(errno, fmt::format("cannot write {}", path_.string()));
      }
      rest = rest.subspan(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    // Paced: one burst at the end would hold up the database's commits on the same disk.
    ::sync_file_range(fd_, start, static_cast<off_t>(bytes.size()), SYNC_FILE_RANGE_WRITE);
  }

  void discard() {
    ::close(std::exchange(fd_, -1));
    ::unlink(path_.c_str());
  }

  std::filesystem::path path_;
  std::uint64_t data_bytes_;
  std::uint64_t data_offset_;
  std::atomic<std::uint64_t> bytes_left_;
  std::uint64_t written_ = 0;
  int fd_ = -1;
  std::vector<std::byte> buffer_;
};

TensorFileWriter::TensorFileWriter(const std::filesystem::path& file, const TensorLayout& layout,
                                   const TensorMetadata& metadata) {
  const std::string header = write_tensor_header(layout, metadata);
  ENTENTE_CHECK(header.size() <= limits::kTensorHeaderBytesMax &&
                layout.elements() <= limits::kModelParametersMax);
  output_ = std::make_unique<Output>(file, layout.bytes(), header);
}

TensorFileWriter::~TensorFileWriter() = default;

void TensorFileWriter::write(std::size_t start, std::span<const float> values) {
  output_->write(start * sizeof(float), std::as_bytes(values));
}

void TensorFileWriter::append(std::span<const float> values) {
  output_->append(std::as_bytes(values));
}

void TensorFileWriter::append(std::span<const std::byte> bytes) { output_->append(bytes); }
std::uint64_t TensorFileWriter::close() { return output_->close(); }

Expected<TensorCheck> check_tensors(const std::filesystem::path& file, const TensorLayout& layout,
                                    double l2_norm_max) {
  const auto opened = TensorFile::open(file);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  const auto flat = opened->flat(layout);
  if (!flat) {
    return tl::unexpected(flat.error());
  }
  NormGuard guard(l2_norm_max);
  auto rest = *flat;
  for (const TensorInfo& tensor : layout.tensors) {
    if (auto sound = guard.add(tensor, sum_of_squares(rest.first(tensor.elements()))); !sound) {
      return tl::unexpected(std::move(sound.error()));
    }
    rest = rest.subspan(tensor.elements());
  }
  return guard.finish();
}

Expected<void> rewrite_tensors(const TensorFile& from, const TensorLayout& layout,
                               const TensorMetadata& metadata, const std::filesystem::path& to) {
  const auto& found = from.layout().tensors;
  std::map<std::string_view, std::size_t> index_of;
  for (std::size_t i = 0; i < found.size(); ++i) {
    index_of[found[i].name] = i;
  }
  std::vector<std::size_t> order;
  for (const TensorInfo& wanted : layout.tensors) {
    const auto at = index_of.find(wanted.name);
    if (at == index_of.end()) {
      return mismatch(fmt::format("tensor {} is missing", describe(wanted)));
    }
    if (found[at->second].shape != wanted.shape) {
      return mismatch(fmt::format("tensor {} was expected, the file has {}", describe(wanted),
                                  describe(found[at->second])));
    }
    order.push_back(at->second);
    index_of.erase(at);
  }
  if (!index_of.empty()) {
    return mismatch(
        fmt::format("tensor {} is one too many", describe(found[index_of.begin()->second])));
  }
  TensorFileWriter writer(to, layout, metadata);
  std::vector<float> block(kWriteBytes / sizeof(float));
  for (const std::size_t index : order) {
    for (auto bytes = from.data(index); !bytes.empty();) {
      const auto part = bytes.first(std::min(bytes.size(), kWriteBytes));
      std::memcpy(block.data(), part.data(), part.size());
      writer.append(std::span(block).first(part.size() / sizeof(float)));
      bytes = bytes.subspan(part.size());
    }
  }
  writer.close();
  return {};
}

}  // namespace entente
