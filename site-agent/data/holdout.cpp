#include "site-agent/data/holdout.h"

namespace entente::agent {
namespace {

constexpr std::uint64_t kFnvPrime = 0x100000001b3;
// No byte of a piece: it stands for the piece's end.
constexpr std::uint64_t kEnd = 0x100;

}  // namespace

void Fingerprint::add(std::string_view bytes) {
  for (const char byte : bytes) {
    state_ = (state_ ^ static_cast<unsigned char>(byte)) * kFnvPrime;
  }
}

void Fingerprint::end_piece() { state_ = (state_ ^ kEnd) * kFnvPrime; }

std::uint64_t Fingerprint::value() const {
  std::uint64_t mixed = state_;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return mixed ^ mixed >> 31;
}

std::uint64_t fingerprint_of(std::span<const std::byte> content) {
  Fingerprint fingerprint;
  fingerprint.add({reinterpret_cast<const char*>(content.data()), content.size()});
  return fingerprint.value();
}

bool is_held_out(std::uint64_t fingerprint, double share) {
  return static_cast<double>(fingerprint >> 11) * 0x1p-53 < share;
}

}  // namespace entente::agent
