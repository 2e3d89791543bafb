#include "site-agent/data/gzip_stream.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

constexpr std::size_t kBlockBytes = 1 << 20;
constexpr unsigned kInflateBufferBytes = 128 << 10;

}  // namespace

void GzipStream::Close::operator()(gzFile_s* file) const { ::gzclose(file); }

GzipStream::GzipStream(std::filesystem::path path, gzFile_s* file)
    : path_(std::move(path)), file_(file), block_(kBlockBytes, '\0') {}

Expected<gzFile_s*> open_gzip(const std::filesystem::path& path) {
  std::error_code no_status;
  if (std::filesystem::is_directory(path, no_status)) {
    return missing_file(path, "it is a folder");
  }
  errno = 0;
  gzFile_s* file = ::gzopen(path.c_str(), "rbe");
  if (file == nullptr) {
    return missing_file(path, std::strerror(errno));
  }
  ::gzbuffer(file, kInflateBufferBytes);
  return file;
}

Expected<GzipStream> GzipStream::open(const std::filesystem::path& path) {
  const auto file = open_gzip(path);
  if (!file) {
    return tl::unexpected(file.error());
  }
  return GzipStream(path, *file);
}

Expected<std::string_view> GzipStream::read() {
  const int got = ::gzread(file_.get(), block_.data(), static_cast<unsigned>(block_.size()));
  // A gzip stream that was cut reads like the end of the file, but leaves this error.
  int code = Z_OK;
  const char* const cause = ::gzerror(file_.get(), &code);
  if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
    return invalid_dataset(fmt::format("{}: {}", name(),
                                       code == Z_ERRNO       ? std::strerror(errno)
                                       : code == Z_BUF_ERROR ? "truncated"
                                                             : cause),
                           "check that the file is complete");
  }
  return std::string_view(block_).substr(0, static_cast<std::size_t>(got));
}

}  // namespace entente::agent
