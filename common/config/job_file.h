// A coordinator's job file (TOML, documented in docs/job-file.md) to a validated JobSpec.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"

namespace entente {

// Parses, applies `--set key=value` overrides, and validates (domain validate()). Refuses with
// "config_invalid", "job_invalid" or "model_invalid".
[[nodiscard]] Expected<JobSpec> read_job_file(const std::filesystem::path& path,
                                              const std::vector<std::string>& overrides);
[[nodiscard]] Expected<JobSpec> parse_job_file(std::string_view text, const std::string& name,
                                               const std::vector<std::string>& overrides);

// A file that reads back as the same spec.
[[nodiscard]] std::string job_file_text(const JobSpec& spec);

// Only its [model]: every layer written out, whatever shorthand the file had.
[[nodiscard]] std::string model_text(const ModelSpec& model);

}  // namespace entente
