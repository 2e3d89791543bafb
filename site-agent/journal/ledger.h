// The institution's own ledger of what has left the house: a row per result that was announced,
// never deleted, in words and numbers that need no Entente to be read (docs/agent-config.md has the
// columns).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/base/time.h"
#include "site-agent/core/events.h"

namespace entente::agent {

// One row of the ledger.
struct SentRow {
  UnixMillis unix_ms = 0;  // of the last step on its way out
  std::string job;
  std::string coordinator;
  Round round = 0;
  std::string kind;
  std::uint32_t attempt = 1;
  std::string state;  // "announced", "uploading", "accepted" or "refused"
  std::string blob;   // hex; empty when only metrics left
  std::uint64_t blob_bytes = 0;
  std::uint64_t examples = 0;
  std::string metrics_json;
  std::string sums_json;  // the counts that the metrics of an evaluation follow from
};

// The ledger, oldest first. Reads beside a running agent. Refuses with "journal_missing" or
// "journal_unreadable".
[[nodiscard]] Expected<std::vector<SentRow>> read_ledger(const std::filesystem::path& path);

// A row's state in words.
[[nodiscard]] std::string_view to_string(Departure departure);

}  // namespace entente::agent
