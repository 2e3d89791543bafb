// A coordinator's job file (TOML, documented in docs/job-file.md) to a validated JobSpec.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/brought_files.h"
#include "common/domain/job_spec.h"

namespace entente {

// Paths of the files that a job file names for its coordinator to bring ("file:lung.safetensors").
// The spec that was read has neither their digests nor their sizes yet (domain/brought_files.h).
using FilePaths = std::map<FileUse, std::filesystem::path>;

// Parses, applies `--set key=value` overrides, and validates (domain validate()). Refuses with
// "config_invalid", "job_invalid" or "model_invalid".
// Relative paths in `files` are meant from the job file's own folder; of a text as they are
// written.
[[nodiscard]] Expected<JobSpec> read_job_file(const std::filesystem::path& path,
                                              const std::vector<std::string>& overrides,
                                              FilePaths* files = nullptr);
[[nodiscard]] Expected<JobSpec> parse_job_file(std::string_view text, const std::string& name,
                                               const std::vector<std::string>& overrides,
                                               FilePaths* files = nullptr);

// A file that reads back as the same spec; but for files that a coordinator brings, of which it has
// the digests in the place of their paths.
[[nodiscard]] std::string job_file_text(const JobSpec& spec);

// Only its [model]: every layer written out, whatever shorthand the file had.
[[nodiscard]] std::string model_text(const ModelSpec& model);

}  // namespace entente
