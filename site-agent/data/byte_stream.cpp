#include "site-agent/data/byte_stream.h"

#include <fmt/format.h>
#include <zip.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "common/base/quote.h"
#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

// Deflate cannot shrink anything further (zlib.net/zlib_tech.html, "Maximum Compression Factor").
constexpr std::uint64_t kDeflateRatioMax = 1032;

tl::unexpected<Refusal> damaged(const std::string& name, std::string_view cause) {
  return invalid_dataset(fmt::format("{}: {}", name, cause), "check that the file is complete");
}

class File final : public ByteStream {
 public:
  File(const std::filesystem::path& path, std::ifstream file, std::uint64_t size)
      : name_(path.filename().string()), file_(std::move(file)), size_(size) {}

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] Expected<void> read(std::span<std::byte> bytes) override {
    file_.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return file_ ? Expected<void>{} : damaged(name_, "truncated");
  }

 private:
  std::string name_;
  std::ifstream file_;
  std::uint64_t size_;
};

struct Close {
  void operator()(zip_t* archive) const { ::zip_discard(archive); }
  void operator()(zip_file_t* member) const { ::zip_fclose(member); }
};

class ZipMember final : public ByteStream {
 public:
  ZipMember(std::string name, std::unique_ptr<zip_t, Close> archive,
            std::unique_ptr<zip_file_t, Close> member, std::uint64_t size)
      : name_(std::move(name)),
        archive_(std::move(archive)),
        member_(std::move(member)),
        size_(size) {}

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] Expected<void> read(std::span<std::byte> bytes) override {
    while (!bytes.empty()) {
      const auto got = ::zip_fread(member_.get(), bytes.data(), bytes.size());
      if (got <= 0) {
        return damaged(name_, got == 0 ? "truncated"
                                       : ::zip_error_strerror(::zip_file_get_error(member_.get())));
      }
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

 private:
  std::string name_;
  std::unique_ptr<zip_t, Close> archive_;
  std::unique_ptr<zip_file_t, Close> member_;
  std::uint64_t size_;
};

std::string zip_cause(int code) {
  zip_error_t error;
  ::zip_error_init_with_code(&error, code);
  std::string cause = ::zip_error_strerror(&error);
  ::zip_error_fini(&error);
  return cause;
}

}  // namespace

Expected<std::unique_ptr<ByteStream>> open_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    return missing_file(path, error.message());
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return missing_file(path, std::strerror(errno));
  }
  return std::make_unique<File>(path, std::move(file), size);
}

Expected<std::unique_ptr<ByteStream>> open_zip_member(const std::filesystem::path& archive,
                                                      const std::string& member) {
  int code = 0;
  std::unique_ptr<zip_t, Close> zip(::zip_open(archive.c_str(), ZIP_RDONLY, &code));
  if (!zip) {
    return code == ZIP_ER_NOZIP || code == ZIP_ER_INCONS
               ? damaged(archive.filename().string(), zip_cause(code))
               : missing_file(archive, code == ZIP_ER_OPEN || code == ZIP_ER_NOENT
                                           ? std::strerror(errno)
                                           : zip_cause(code));
  }
  const auto name = fmt::format("{}: {}", archive.filename().string(), member);
  zip_stat_t status;
  ::zip_stat_init(&status);
  if (::zip_stat(zip.get(), member.c_str(), 0, &status) != 0) {
    return invalid_dataset(
        fmt::format("{} holds no array {}", archive.filename().string(), quote(member)),
        "list what it holds: unzip -l");
  }
  constexpr auto kSizes = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
  if ((status.valid & kSizes) != kSizes || status.size / kDeflateRatioMax > status.comp_size) {
    return damaged(name, "claims to hold more than it can");
  }
  std::unique_ptr<zip_file_t, Close> file(::zip_fopen(zip.get(), member.c_str(), 0));
  if (!file) {
    return damaged(name, ::zip_error_strerror(::zip_get_error(zip.get())));
  }
  return std::make_unique<ZipMember>(name, std::move(zip), std::move(file), status.size);
}

}  // namespace entente::agent
