// Text from a command line, and how metrics and tables look on a terminal.
#pragma once

#include <string>
#include <vector>

#include "common/base/figures.h"
#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/domain/task.h"

namespace entente::cli {

// Refuses with "job_unknown" what cannot be a job's id.
[[nodiscard]] Expected<JobId> parse_job(const std::string& text);

[[nodiscard]] std::string describe(const Metrics& metrics);  // "accuracy 0.912, loss 0.2514"

// Rows of cells in left-aligned columns, the first row being the header. Prints to standard output.
void print_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace entente::cli
