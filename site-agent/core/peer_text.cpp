#include "site-agent/core/peer_text.h"

#include "common/base/limits.h"

namespace entente::agent {
namespace {

void cut(std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) {
    return;
  }
  // A UTF-8 continuation byte is 10xxxxxx: step back to the start of a character.
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) {
    --end;
  }
  text.resize(end);
}

}  // namespace

Refusal bounded(Refusal refusal) {
  constexpr std::size_t kCodeBytesMax = 64;
  cut(refusal.code, kCodeBytesMax);
  cut(refusal.message, limits::kPeerTextBytesMax);
  cut(refusal.hint, limits::kPeerTextBytesMax);
  return refusal;
}

}  // namespace entente::agent
