// The broker's tables in memory, written with the rules of store/schema.h: what a crash leaves
// behind. A row that the real database would refuse fails the test.
#pragma once

#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "broker/core/rows.h"

namespace entente::broker {

class MemoryStore {
 public:
  void write(std::span<const Row> rows);
  // What a broker that starts now would read.
  [[nodiscard]] Snapshot snapshot() const;

  // Looking up what is committed; null when there is no such row.
  [[nodiscard]] const JobRow* job(const JobId& id) const;
  [[nodiscard]] const PartRow* part(const JobId& job, const SiteId& site) const;
  [[nodiscard]] const RoundRow* round(const JobId& job, Round round) const;
  [[nodiscard]] const TaskRow* task(const TaskKey& key) const;
  [[nodiscard]] bool is_model(const BlobId& blob) const;
  [[nodiscard]] bool is_file(const BlobId& blob) const;          // that a coordinator has brought
  [[nodiscard]] bool is_server_state(const BlobId& blob) const;  // of some round
  [[nodiscard]] const std::vector<JobEvent>& events(const JobId& job) const;
  [[nodiscard]] const std::vector<ModelView>& models() const { return models_; }
  [[nodiscard]] const std::map<TaskKey, TaskRow>& tasks() const { return tasks_; }
  [[nodiscard]] bool audited(const std::string& action, const std::string& actor) const;

 private:
  void save(const SiteRow& row);
  void save(const JobRow& row);
  void save(const PartRow& row);
  void save(const RoundRow& row);
  void save(TaskRow row);
  void save(const ModelRow& row);
  void save(const EventRow& row);
  void save(const AuditRow& row);
  void save(const UsageRow& row);
  void save(const FileRow& row);

  std::map<SiteId, SiteRow> sites_;
  std::map<JobId, JobRow> jobs_;
  std::map<std::pair<JobId, SiteId>, PartRow> parts_;
  std::map<std::pair<JobId, Round>, RoundRow> rounds_;
  std::map<TaskKey, TaskRow> tasks_;
  std::vector<ModelView> models_;
  std::map<JobId, std::vector<JobEvent>> events_;
  std::vector<AuditRow> audit_;
  std::map<std::string, UsageRow> usage_;
  std::map<std::pair<JobId, BlobId>, FileRow> files_;
};

}  // namespace entente::broker
