#include "broker/service/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "broker/core/damage.h"
#include "broker/store/consistency.h"
#include "common/base/limits.h"
#include "common/domain/brought_files.h"
#include "common/domain/identity.h"
#include "common/runtime/log.h"
#include "common/tensors/update_file.h"
#include "common/wire/job_codec.h"

namespace entente::broker {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Refusal> damaged(const std::string& finding) {
  return refuse("database_corrupt", "the broker's database is damaged: " + finding,
                "see all of it with: entente-broker check DIR; then restore the last backup",
                Scope::broker);
}

Expected<void> check_rows(BrokerStore& store, const Snapshot& snapshot) {
  for (const auto& job : snapshot.jobs) {
    if (wire::spec_digest(job.spec) != job.spec_digest) {
      return damaged(
          fmt::format("the spec of job \"{}\" is not the one that was submitted", job.job.str()));
    }
  }
  if (const auto row = store.first_broken_audit_row()) {
    return damaged(
        fmt::format("row {} of its audit log does not follow from the one before", *row));
  }
  if (const auto found = store.contradictions(Rules::audited, 1); !found.empty()) {
    return damaged(found.front());
  }
  return {};
}

bool is_recorded(const Snapshot& snapshot, const JobId& job, const BlobId& blob) {
  return std::any_of(snapshot.files.begin(), snapshot.files.end(),
                     [&](const FileRow& row) { return row.job == job && row.blob == blob; });
}

// The file, if one who has brought it may be the job's coordinator, and it is what the job needs.
// One that is not stays as it is: when it is put again, its job fails for it.
std::optional<fs::path> find_brought(FileInbox& inbox, const JobRow& job, const BroughtFile& file) {
  for (const Role role : {Role::coordinator, Role::operator_}) {
    BlobStore* const store = inbox.find(Identity{{}, role, job.coordinator}.path());
    if (store != nullptr && store->size(file.blob) == file.bytes && store->vouch_for(file.blob) &&
        check_update(store->path(file.blob), file_layout(file.use, job.spec), UpdateSpec(),
                     limits::kUpdateNormMax)) {
      return store->path(file.blob);
    }
  }
  return std::nullopt;
}

void record_files(BrokerStore& store, BlobStore& blobs, FileInbox& inbox, Snapshot& snapshot,
                  UnixMillis now) {
  for (const auto& job : snapshot.jobs) {
    if (is_terminal(job.state)) {
      continue;
    }
    for (const auto& file : brought_files(job.spec)) {
      if (is_recorded(snapshot, job.job, file.blob)) {
        continue;
      }
      const auto path = find_brought(inbox, job, file);
      if (!path) {
        continue;
      }
      blobs.link(file.blob, *path);
      snapshot.files.push_back({job.job, file.blob, file.bytes});
      store.write(std::vector<Row>{
          snapshot.files.back(),
          AuditRow{now, "broker", "file.accept", "job/" + job.job.str(), file.blob.hex()}});
      log::info("file_recorded", "a coordinator's file was stored and is recorded now",
                {{"job", job.job.str()}, {"blob", file.blob.hex()}});
    }
  }
}

}  // namespace

Expected<void> recover(BrokerStore& store, BlobStore& blobs, FileInbox& inbox, Snapshot& snapshot,
                       UnixMillis now) {
  if (auto sound = check_rows(store, snapshot); !sound) {
    return sound;
  }
  const auto taken_back = take_back_damaged(
      snapshot, [&blobs](const BlobId& blob) { return blobs.vouch_for(blob); }, now);
  for (const auto& [event, sentence, job, blob] : taken_back.damages) {
    log::warning(event, sentence, {{"job", job.str()}, {"blob", blob.hex()}});
  }
  if (!taken_back.rows.empty()) {
    store.write(taken_back.rows);
  }
  record_files(store, blobs, inbox, snapshot, now);
  return {};
}

}  // namespace entente::broker
