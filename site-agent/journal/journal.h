// What the agent must not forget: its promises, its finished results and what they leave for later,
// what has left the house, and who it is. One SQLite file, <data_dir>/journal.db
// (common/storage/database.h).
//
//  - All rows of one step are one transaction, committed before the step speaks to anyone.
//  - Promises, results, site states, decisions and spent rounds carry a seal (seals.h). A row whose
//    seal is broken has changed on the disk: it is removed and never used. A spent round that is
//    removed so counts against the site's limits as long as the process lives: a limit fails
//    closed.
//  - `decision` is the record of who approved or denied which job and why; never deleted.
//  - `sent` is the institution's own ledger (ledger.h).
//
// Not thread-safe; used by the agent's loop thread. Failures throw SQLite::Exception: an agent that
// cannot write its journal must stop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/storage/database.h"
#include "common/storage/statements.h"
#include "site-agent/core/events.h"

namespace entente::agent {

// What the journal still holds, and a sentence for each row that was damaged.
struct Recovery {
  Recovered known;  // without blobs
  std::vector<std::string> damaged;
};

class Journal {
 public:
  // Opens or makes the file. Refuses like Database::open ("database_busy": another agent runs on
  // this data folder).
  [[nodiscard]] static Expected<Journal> open(const std::filesystem::path& path);

  // The installation's number: `fresh` when there is none yet, and that one ever after.
  [[nodiscard]] std::uint64_t instance(std::uint64_t fresh);

  // Promises, outbox and site states, after the damaged rows have been removed.
  [[nodiscard]] Recovery recover();

  // Commits the journal effects among `effects` as one transaction; others are passed over.
  void commit(const Effects& effects, UnixMillis now);

 private:
  explicit Journal(Database database)
      : database_(std::move(database)), statements_(database_.sql()) {}
  Database database_;
  Statements statements_;  // of the database
};

}  // namespace entente::agent
