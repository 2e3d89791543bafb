// A small file that a test shares with the library it preloads into a process: both map it, so that
// the test can change its plan while the process runs and read what a killed one had counted.
#pragma once

#include <cstddef>
#include <filesystem>

namespace entente::integration {

// Makes the file, and the folders above it, with `bytes` zeros and maps it. Throws
// std::system_error; the caller unmaps.
[[nodiscard]] void* make_plan_file(const std::filesystem::path& file, std::size_t bytes);

// Where a preloaded library of the build is: beside the test's own program.
[[nodiscard]] std::filesystem::path preloaded_library(const char* name);

}  // namespace entente::integration
