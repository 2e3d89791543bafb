#include "tests/unit/broker_core/memory_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <variant>

namespace entente::broker {
namespace {

template <class Map, class Key>
const typename Map::mapped_type* find(const Map& map, const Key& key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}

template <class Map>
auto values(const Map& map) {
  std::vector<typename Map::mapped_type> rows;
  for (const auto& [key, row] : map) {
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

void MemoryStore::write(std::span<const Row> rows) {
  for (const auto& row : rows) {
    std::visit([this](const auto& one) { save(one); }, row);
  }
}

Snapshot MemoryStore::snapshot() const {
  Snapshot snapshot{values(sites_), values(jobs_), values(parts_), values(rounds_), {},
                    values(usage_), values(files_)};
  for (const auto& [key, row] : tasks_) {
    if (!is_terminal(jobs_.at(key.job).state)) {
      snapshot.tasks.push_back(row);
    }
  }
  return snapshot;
}

const JobRow* MemoryStore::job(const JobId& id) const { return find(jobs_, id); }
const PartRow* MemoryStore::part(const JobId& job, const SiteId& site) const {
  return find(parts_, std::pair(job, site));
}
const RoundRow* MemoryStore::round(const JobId& job, Round round) const {
  return find(rounds_, std::pair(job, round));
}
const TaskRow* MemoryStore::task(const TaskKey& key) const { return find(tasks_, key); }

bool MemoryStore::is_model(const BlobId& blob) const {
  return std::any_of(models_.begin(), models_.end(), [this, &blob](const ModelView& model) {
    return model.blob == blob && !rounds_.at({model.job, model.version}).model_removed;
  });
}

bool MemoryStore::is_file(const BlobId& blob) const {
  return std::any_of(files_.begin(), files_.end(), [&](const auto& entry) {
    return entry.first.second == blob && !is_terminal(jobs_.at(entry.first.first).state);
  });
}

bool MemoryStore::is_server_state(const BlobId& blob) const {
  return std::any_of(rounds_.begin(), rounds_.end(),
                     [&blob](const auto& entry) { return entry.second.server_state == blob; });
}

const std::vector<JobEvent>& MemoryStore::events(const JobId& job) const {
  static const std::vector<JobEvent> kNone;
  const auto* events = find(events_, job);
  return events == nullptr ? kNone : *events;
}

bool MemoryStore::audited(const std::string& action, const std::string& actor) const {
  return std::any_of(audit_.begin(), audit_.end(), [&](const AuditRow& row) {
    return row.action == action && row.actor == actor;
  });
}

void MemoryStore::save(const SiteRow& row) { sites_[row.site] = row; }

void MemoryStore::save(const JobRow& row) {
  const auto* before = job(row.job);
  EXPECT_TRUE(before == nullptr || !is_terminal(before->state) || before->state == row.state)
      << row.job.str() << " left a terminal state";
  jobs_[row.job] = row;
}

void MemoryStore::save(const PartRow& row) {
  EXPECT_TRUE(jobs_.contains(row.job) && sites_.contains(row.site)) << "a part of nothing";
  parts_[{row.job, row.site}] = row;
}

void MemoryStore::save(const RoundRow& row) {
  EXPECT_TRUE(jobs_.contains(row.job)) << "a round of no job";
  const auto kind = jobs_.at(row.job).spec.kind;
  const bool is_last = kind == JobKind::cross_evaluate && row.round > 1 && row.model_of.empty();
  const bool makes_model = (trains(kind) && !is_last) || row.round == 0;
  EXPECT_TRUE(row.state != RoundState::done || row.model || !makes_model)
      << "a round done without a model";
  rounds_[{row.job, row.round}] = row;
}

void MemoryStore::save(TaskRow row) {
  EXPECT_TRUE(jobs_.contains(row.key.job) && sites_.contains(row.key.site)) << "a task of nothing";
  if (row.state == TaskState::running || row.state == TaskState::uploading) {
    row.state = TaskState::pending;  // states of the live process only
  }
  if (row.state == TaskState::done && row.accepted_seq == 0) {
    for (const auto& [key, other] : tasks_) {
      EXPECT_FALSE(other.state == TaskState::done && key != row.key && key.job == row.key.job &&
                   key.round == row.key.round && key.kind == row.key.kind &&
                   key.site == row.key.site)
          << key.site.str() << " counts twice in round " << key.round;
    }
  }
  tasks_[row.key] = std::move(row);
}

void MemoryStore::save(const ModelRow& row) {
  EXPECT_TRUE(rounds_.contains({row.model.job, row.model.version})) << "a model of no round";
  for (const auto& model : models_) {
    EXPECT_FALSE(model.job == row.model.job && model.version == row.model.version)
        << model.job.str() << "@" << model.version << " is published twice";
  }
  models_.push_back(row.model);
}

void MemoryStore::save(const EventRow& row) {
  EXPECT_TRUE(jobs_.contains(row.job)) << "an event of no job";
  auto& events = events_[row.job];
  EXPECT_EQ(row.event.seq, events.size() + 1) << "events are numbered without gaps";
  events.push_back(row.event);
}

void MemoryStore::save(const AuditRow& row) { audit_.push_back(row); }

void MemoryStore::save(const UsageRow& row) { usage_[row.coordinator] = row; }

void MemoryStore::save(const FileRow& row) {
  EXPECT_TRUE(jobs_.contains(row.job)) << "a file of no job";
  files_[{row.job, row.blob}] = row;
}

}  // namespace entente::broker
