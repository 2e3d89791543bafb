// How numbers and tables look on a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/domain/task.h"

namespace entente::cli {

[[nodiscard]] std::string with_commas(std::uint64_t number);  // "20,000"
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);   // "412.0 KB"
[[nodiscard]] std::string describe(const Metrics& metrics);   // "accuracy 0.912, loss 0.2514"

// Rows of cells in left-aligned columns, the first row being the header. Prints to standard output.
void print_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace entente::cli
