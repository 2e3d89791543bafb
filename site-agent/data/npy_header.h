// The header of an array of NumPy: a Python dictionary of three known keys, as text:
// {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 28, 28), }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace entente::agent {

struct NpyHeader {
  std::string type;  // without byte order: "f4"
  bool is_big_endian = false;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

// Nothing for any other text: a key more or less, a nested type, a dimension beyond 2^32.
[[nodiscard]] std::optional<NpyHeader> parse_npy_header(std::string_view text);

}  // namespace entente::agent
