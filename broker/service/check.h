// `entente-broker check`: whether a data directory is sound, without a broker running on it.
//
// Looks at everything that a broker would build on: the database file (quick_check, foreign keys,
// version), every row's form, the audit log's hashes, what rows say about each other
// (store/consistency.h), and every blob that a row names, byte by byte. What an interrupted
// transfer or a crash may leave behind is told as a note. Repairs nothing; like a start it brings
// an older database to this version's schema and empties blobs/scratch.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/refusal.h"

namespace entente::broker {

struct CheckReport {
  std::vector<std::string> problems;  // a line each; none: sound
  std::vector<std::string> notes;     // nothing wrong, and good to know
  std::size_t jobs = 0;
  std::size_t models = 0;
  std::size_t updates = 0;  // accepted and not merged yet
  std::size_t files = 0;    // that coordinators have brought for jobs that have not ended
};

// Refuses when it cannot look: no database there, or in use by a running broker.
[[nodiscard]] Expected<CheckReport> check_data_directory(const std::filesystem::path& data_dir);

// For people, a line each; or one JSON object.
[[nodiscard]] std::string to_text(const CheckReport& report, const std::filesystem::path& data_dir);
[[nodiscard]] std::string to_json(const CheckReport& report, const std::filesystem::path& data_dir);

}  // namespace entente::broker
