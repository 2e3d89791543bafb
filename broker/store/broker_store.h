// The broker's memory on disk: writes the core's rows, reads them back at start, and answers the
// few questions whose answers are too large to keep in memory. Owned by the store thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "broker/core/rows.h"
#include "common/base/blob_id.h"
#include "common/base/refusal.h"
#include "common/domain/audit.h"
#include "common/domain/job_view.h"

namespace entente::broker {

enum class Rules : std::uint8_t;  // consistency.h

// A blob that a row names, and what it is to that row.
struct NamedBlob {
  BlobId blob;
  std::uint64_t bytes = 0;
  std::string what;  // "model/lung-3@2", "the update of north for round 2 of lung-3"
};

class BrokerStore {
 public:
  // Opens or makes `file`. Refuses as Database::open does, and with "database_corrupt" when a row
  // does not decode.
  [[nodiscard]] static Expected<BrokerStore> open(const std::filesystem::path& file);
  BrokerStore(BrokerStore&&) noexcept;
  BrokerStore& operator=(BrokerStore&&) noexcept;
  ~BrokerStore();

  // Everything the core needs to go on.
  [[nodiscard]] Expected<Snapshot> load();

  // All rows in one transaction, durable when it returns. Throws SQLite::Exception: the owner must
  // then stop.
  void write(std::span<const Row> rows);

  // Events `after_seq` + 1 and on, at most `limit`.
  [[nodiscard]] std::vector<JobEvent> events(const JobId& job, std::uint64_t after_seq,
                                             std::size_t limit);
  // The newest 500, the very newest last. `job`, `version` and a `coordinator` that is not empty
  // narrow the answer.
  [[nodiscard]] std::vector<ModelView> models(const std::optional<JobId>& job,
                                              std::optional<Round> version,
                                              const std::string& coordinator);

  // Entries of the audit log (audit_chain.h).
  [[nodiscard]] std::vector<AuditEntry> audit(std::uint64_t after_seq);
  [[nodiscard]] std::vector<AuditEntry> newest_audit(const std::optional<JobId>& job,
                                                     std::size_t limit);

  // Blobs that a row still names: every model, and the updates of rounds not yet merged.
  [[nodiscard]] std::vector<BlobId> named_blobs();

  // The same blobs, each with every row that names it.
  [[nodiscard]] std::vector<NamedBlob> described_blobs();

  // Those that are not in a Snapshot: of jobs that have ended. Throws std::runtime_error when one
  // does not decode.
  [[nodiscard]] std::vector<TaskRow> ended_tasks();

  // What rows say that other rows deny (consistency.h), a sentence each.
  [[nodiscard]] std::vector<std::string> contradictions(Rules rules, std::size_t limit);

  // The first audit row whose hash does not follow from the row and its predecessor; nothing when
  // the chain is whole.
  [[nodiscard]] std::optional<std::int64_t> first_broken_audit_row();

 private:
  class Impl;
  explicit BrokerStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace entente::broker
