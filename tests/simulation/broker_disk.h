// What a broker that dies leaves behind: the rows of its committed transactions and the files of
// its blob store.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "broker/core/rows.h"

namespace entente::simulation {

struct BrokerDisk {
  std::map<SiteId, broker::SiteRow> sites;
  std::map<JobId, broker::JobRow> jobs;
  std::map<std::pair<JobId, SiteId>, broker::PartRow> parts;
  std::map<std::pair<JobId, Round>, broker::RoundRow> rounds;
  std::map<TaskKey, broker::TaskRow> tasks;
  std::map<std::pair<JobId, Round>, ModelView> models;
  std::map<JobId, std::vector<JobEvent>> events;
  std::vector<broker::AuditRow> audit;
  std::map<std::string, broker::UsageRow> usage;
  std::map<std::pair<JobId, BlobId>, broker::FileRow> files;
  std::set<BlobId> blobs;
  std::set<std::pair<std::string, BlobId>> brought;  // by whom
  std::set<BlobId> damaged;                          // among them, and nobody has noticed yet

  void write(const broker::Row& row);
  // What a broker that starts now would read.
  [[nodiscard]] broker::Snapshot snapshot() const;
  // False when the blob is not there, or no longer after this: a damaged one is put aside.
  [[nodiscard]] bool vouch_for(const BlobId& blob);
  // Removes the blobs that no row names, as a broker does at its start.
  void collect_orphans();

  // What the next merges start from: the newest state of each job that goes on.
  [[nodiscard]] std::set<BlobId> server_states() const;

  // The updates that open rounds have, and what running jobs go on from.
  [[nodiscard]] std::vector<BlobId> updates_at_hand() const;
  [[nodiscard]] std::vector<BlobId> models_at_hand() const;

  // The tasks of one kind that are done and count in one round, by site; those of one site in the
  // order of their keys.
  [[nodiscard]] std::vector<const broker::TaskRow*> done(const JobId& job, Round round,
                                                         TaskKind kind) const;
  // The updates that go into that version, by site; and whether that has happened to one.
  [[nodiscard]] std::vector<const broker::TaskRow*> merged_into(const JobId& job,
                                                                Round version) const;
  [[nodiscard]] bool is_merged(const broker::TaskRow& update) const;
  // Updates of the site that were accepted, of tasks that began in this one's round before it.
  [[nodiscard]] std::uint32_t taken_before(const TaskKey& key) const;
  // Null when it has none.
  [[nodiscard]] const ModelView* last_model(const JobId& job) const;
};

}  // namespace entente::simulation
