// The promises P1 to P7, held against every committed row and every action of both cores. A broken
// one throws Violation.
//
//  P1 What was acknowledged is remembered.   P2 One contribution per job, round and site.
//  P3 A model is the exact function of its recorded updates.   P4 No round below its quorum.
//  P5 Every job comes to an end.   P6 Nothing unvalidated is merged.   P7 The records are complete.
#pragma once

#include <map>
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
  explicit Promises(const BrokerDisk& disk) : disk_(disk) {}

  // Before each row of a transaction is written, in order; then after the transaction.
  void before_row(const broker::Row& row);
  void after_commit(std::span<const broker::Row> rows) const;
  // When the broker's shell carries an action out.
  void on_action(const broker::Action& action) const;
  // The data plane has checked a blob of a site and found it good.
  void on_validated(const std::string& peer, const BlobId& blob);

  // When an agent's journal takes the effects of a step; `event` is what led to them.
  void on_journal(const SiteId& site, const agent::Event& event, const agent::Effects& effects);
  void on_run(const SiteId& site, const TaskOrder& order) const;
  void on_disk_lost(const SiteId& site);

  // The coordinator's view.
  void on_acknowledged(const JobId& job);
  void on_update(const JobId& job, std::uint64_t seq_before, const msg::JobUpdate& update) const;

  void at_broker_start() const;
  void at_end(const Plan& plan) const;

 private:
  struct RowCheck;
  struct ActionCheck;
  using Work = std::tuple<JobId, Round, TaskKind>;
  static Work work_of(const TaskKey& key) { return {key.job, key.round, key.kind}; }

  void check_model(const ModelView& model) const;

  const BrokerDisk& disk_;
  std::set<std::pair<std::string, BlobId>> validated_;
  std::set<JobId> acknowledged_;
  std::map<SiteId, std::set<Work>> finished_;
};

}  // namespace entente::simulation
