// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace entente {

[[nodiscard]] std::string with_commas(std::uint64_t number);  // "20,000"
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);   // "412.0 KB"
// "1 task", "2 tasks"; for things whose plural ends in s.
[[nodiscard]] std::string counted(std::uint64_t number, std::string_view thing);

}  // namespace entente
