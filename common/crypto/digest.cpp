#include "common/crypto/digest.h"

#include <string>

#include "common/base/check.h"
#include "common/crypto/openssl_ptr.h"

namespace entente {

struct Sha256::Context {
  OpenSslPtr<EVP_MD_CTX, EVP_MD_CTX_free> handle{EVP_MD_CTX_new()};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  require_openssl(context_->handle != nullptr, "EVP_MD_CTX_new");
  require_openssl(EVP_DigestInit_ex(context_->handle.get(), EVP_sha256(), nullptr) == 1,
                  "EVP_DigestInit_ex");
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  ENTENTE_CHECK(context_ != nullptr);
  require_openssl(EVP_DigestUpdate(context_->handle.get(), bytes.data(), bytes.size()) == 1,
                  "EVP_DigestUpdate");
}

void Sha256::update_field(std::string_view field) {
  update(std::to_string(field.size()));
  update(":");
  update(field);
}

Digest Sha256::finish() {
  ENTENTE_CHECK(context_ != nullptr);
  Digest digest;
  unsigned int length = 0;
  require_openssl(EVP_DigestFinal_ex(context_->handle.get(), digest.bytes.data(), &length) == 1,
                  "EVP_DigestFinal_ex");
  ENTENTE_CHECK(length == digest.bytes.size());
  context_.reset();
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace entente
