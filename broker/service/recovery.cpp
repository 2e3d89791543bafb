#include "broker/service/recovery.h"

#include <fmt/format.h>

#include "broker/core/damage.h"
#include "broker/store/consistency.h"
#include "common/runtime/log.h"
#include "common/wire/job_codec.h"

namespace entente::broker {
namespace {

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

}  // namespace

Expected<void> recover(BrokerStore& store, BlobStore& blobs, Snapshot& snapshot, UnixMillis now) {
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
  return {};
}

}  // namespace entente::broker
