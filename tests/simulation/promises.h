// The promises P1 to P7, held against every committed row and every action of both cores. A broken
// one throws Violation.
//
//  P1 What was acknowledged is remembered.   P2 One contribution per job, round and site; where
//     rounds are buffered, per task.
//  P3 A model is the exact function of its recorded updates.   P4 No round below its quorum.
//  P5 Every job comes to an end.   P6 Nothing unvalidated is merged.   P7 The records are complete.
//
// And what P5 needs: nobody is blamed for time in which the broker itself stood still, a job keeps
// its places while it runs, a site that drains gets nothing new, jobs hold no more slots than a
// site has, and one that is paused or waits holds none.
//
// What was done stays done, with one exception: an update that was damaged on the broker's disk is
// lost, its round is open again, and its site may train for it once more.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "broker/core/effect.h"
#include "common/domain/messages.h"
#include "site-agent/core/events.h"
#include "tests/simulation/broker_disk.h"
#include "tests/simulation/plan.h"

namespace entente::simulation {

class Promises {
 public:
  // `gentle`: nothing lasting goes wrong (plan.h), and more is promised.
  Promises(const BrokerDisk& disk, bool gentle) : disk_(disk), gentle_(gentle) {}

  // Before each row of a transaction is written, in order; then after the transaction. The broker
  // had been `awake` for so long when it decided.
  void before_row(const broker::Row& row, Millis awake);
  void after_commit(std::span<const broker::Row> rows);
  // When the broker's shell carries an action out.
  void on_action(const broker::Action& action) const;
  // The data plane has checked a blob of a site and found it good.
  void on_validated(const std::string& peer, const BlobId& blob);
  // The broker has found a blob damaged and put it aside.
  void on_quarantined(const BlobId& blob);

  // When an agent's journal takes the effects of a step; `event` is what led to them.
  void on_journal(const SiteId& site, const agent::Event& event, const agent::Effects& effects);
  void on_run(const SiteId& site, const TaskOrder& order) const;
  void on_disk_lost(const SiteId& site);

  // The coordinator's view.
  void on_acknowledged(const JobId& job);
  void on_update(const JobId& job, std::uint64_t seq_before, const msg::JobUpdate& update) const;
  // The operator's.
  void on_drained(const SiteId& site, bool draining) const;

  void at_broker_start() const;
  void at_end(const Plan& plan) const;

 private:
  struct RowCheck;
  struct ActionCheck;
  using Work = std::tuple<JobId, Round, TaskKind, std::uint32_t>;
  // Where a site may train more than once in a round, each time is work of its own.
  [[nodiscard]] Work work_of(const TaskKey& key) const {
    return {key.job, key.round, key.kind, disk_.taken_before(key)};
  }

  void check_model(const ModelView& model) const;
  void check_origin(const ModelView& model) const;
  void check_merge(const ModelView& model) const;
  [[nodiscard]] BlobId expected_update(const ModelView& model, const broker::TaskRow& task) const;
  [[nodiscard]] BlobId expected_outputs(const ModelView& model, const broker::TaskRow& task) const;
  void check_places(const JobId& job);
  void check_slots(const SiteId& site) const;
  void check_released(const JobId& job) const;
  [[nodiscard]] bool is_at_hand(const BlobId& blob) const;
  [[nodiscard]] bool has_damaged_update(const JobId& job, const SiteId& site,
                                        const BlobId& update) const;
  [[nodiscard]] std::optional<BlobId> update_before(const JobId& job, Round version,
                                                    const SiteId& site) const;
  [[nodiscard]] bool may_have_kept_another(const JobId& job, const SiteId& site) const;

  const BrokerDisk& disk_;
  const bool gentle_;
  std::set<std::pair<std::string, BlobId>> validated_;
  std::set<JobId> acknowledged_;
  std::map<SiteId, std::set<Work>> finished_;
  std::map<JobId, std::ptrdiff_t> places_;
  std::map<JobId, std::ptrdiff_t> most_places_;  // over all that it has gone on with after a rest
  std::set<BlobId> quarantined_;
  std::set<TaskKey> damaged_;                     // accepted updates that are to be lost
  std::set<std::pair<JobId, Round>> incomplete_;  // rounds that have lost one since they closed
  std::set<SiteId> disks_lost_;
  std::set<TaskKey> accepted_;                    // results whose audit row has been seen
  std::set<std::pair<JobId, SiteId>> uncounted_;  // sites with an accepted update that was lost
};

}  // namespace entente::simulation
