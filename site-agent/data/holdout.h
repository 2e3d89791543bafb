// Which examples are held out: those whose fingerprint, a stable hash of their content, falls into
// the first `share` of all numbers. The same example is on the same side at every site, in every
// order and however much data is added, and two equal examples are never torn apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace entente::agent {

// Takes an example's content piece by piece. FNV-1a (draft-eastlake-fnv), whose high bits are poor
// for short contents, with the finaliser of SplitMix64 (Steele, Lea and Flood 2014) behind it. Not
// for secrets: whoever makes the data chooses the side.
class Fingerprint {
 public:
  void add(std::string_view bytes);
  // Where one piece ends and another begins: "ab", "c" is not "a", "bc".
  void end_piece();
  [[nodiscard]] std::uint64_t value() const;

 private:
  std::uint64_t state_ = 0xcbf29ce484222325;
};

[[nodiscard]] std::uint64_t fingerprint_of(std::span<const std::byte> content);

// `share` is from 0 to 1.
[[nodiscard]] bool is_held_out(std::uint64_t fingerprint, double share);

}  // namespace entente::agent
