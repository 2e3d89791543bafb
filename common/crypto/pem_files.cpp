#include "common/crypto/pem_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace entente {
namespace {

// A PEM key or certificate of ours has about 1 KiB; a list of 100 000 revoked serials some 6 MiB.
constexpr std::size_t kPemBytesMax = 64 << 10;
constexpr std::size_t kCrlBytesMax = 16 << 20;

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) {
      ::close(value_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return value_; }

 private:
  int value_;
};

// Why a key file is not private, or nothing.
std::string exposure(const struct stat& status) {
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return fmt::format("belongs to user {}, not to this one or root", status.st_uid);
  }
  if ((status.st_mode & 077) != 0) {
    return fmt::format("may be used by others (mode {:04o})", status.st_mode & 07777);
  }
  return {};
}

Expected<std::string> read_open_file(const Descriptor& file, const struct stat& status,
                                     const std::filesystem::path& path, std::size_t bytes_max) {
  if (!S_ISREG(status.st_mode)) {
    return refuse("kit_invalid", fmt::format("{} is not a regular file", path.native()));
  }
  std::string text(bytes_max + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return refuse("kit_invalid",
                    fmt::format("cannot read {}: {}", path.native(), std::strerror(errno)));
    }
    if (count == 0) {
      break;
    }
    size += static_cast<std::size_t>(count);
  }
  if (size > bytes_max) {
    return refuse("kit_invalid",
                  fmt::format("{} is larger than {} bytes", path.native(), bytes_max));
  }
  text.resize(size);
  return text;
}

tl::unexpected<Refusal> cannot_open(const std::filesystem::path& path, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    return refuse("kit_missing", fmt::format("there is no file {}", path.native()),
                  "ask your consortium's operator for a kit, or make one with: entente pki issue");
  }
  if (error == ELOOP) {
    return refuse("kit_unsafe", fmt::format("{} is a symbolic link", path.native()),
                  "put the file itself into the kit's folder");
  }
  return refuse("kit_invalid",
                fmt::format("cannot open {}: {}", path.native(), std::strerror(error)));
}

int no_password(char*, int, int, void*) { return -1; }

BioPtr memory_bio(const std::string& text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  require_openssl(bio != nullptr, "BIO_new_mem_buf");
  return bio;
}

tl::unexpected<Refusal> not_pem(const std::filesystem::path& path, const char* expected) {
  return refuse("kit_invalid", fmt::format("{} holds no {} in PEM form ({})", path.native(),
                                           expected, take_openssl_errors()));
}

}  // namespace

Expected<std::string> read_small_file(const std::filesystem::path& path, std::size_t bytes_max) {
  // O_NONBLOCK: opening a named pipe would wait for its writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    return cannot_open(path, errno);
  }
  return read_open_file(file, status, path, bytes_max);
}

Expected<KeyPtr> read_private_key(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    return cannot_open(path, errno);
  }
  if (const std::string why = exposure(status); !why.empty()) {
    return refuse("kit_unsafe", fmt::format("the private key {} {}", path.native(), why),
                  fmt::format("make it yours alone: chmod 600 {}; if others may have read it, have "
                              "the certificate revoked",
                              path.native()));
  }
  auto text = read_open_file(file, status, path, kPemBytesMax);
  if (!text) {
    return tl::unexpected(text.error());
  }
  KeyPtr key(PEM_read_bio_PrivateKey(memory_bio(*text).get(), nullptr, no_password, nullptr));
  OPENSSL_cleanse(text->data(), text->size());
  if (!key) {
    return not_pem(path, "unencrypted private key");
  }
  return key;
}

Expected<CertificatePtr> read_certificate(const std::filesystem::path& path) {
  const auto text = read_small_file(path, kPemBytesMax);
  if (!text) {
    return tl::unexpected(text.error());
  }
  CertificatePtr certificate(
      PEM_read_bio_X509(memory_bio(*text).get(), nullptr, no_password, nullptr));
  if (!certificate) {
    return not_pem(path, "certificate");
  }
  return certificate;
}

Expected<CrlPtr> read_crl(const std::filesystem::path& path) {
  const auto text = read_small_file(path, kCrlBytesMax);
  if (!text) {
    return tl::unexpected(text.error());
  }
  CrlPtr crl(PEM_read_bio_X509_CRL(memory_bio(*text).get(), nullptr, no_password, nullptr));
  if (!crl) {
    return not_pem(path, "revocation list");
  }
  return crl;
}

}  // namespace entente
