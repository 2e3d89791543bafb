#include "tests/simulation/broker_disk.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <variant>

#include "broker/core/kinds.h"

namespace entente::simulation {
namespace {

template <class Map>
auto values(const Map& map) {
  std::vector<typename Map::mapped_type> rows;
  for (const auto& [key, row] : map) {
    rows.push_back(row);
  }
  return rows;
}

struct Writer {
  BrokerDisk& disk;

  void operator()(const broker::SiteRow& row) const { disk.sites[row.site] = row; }
  void operator()(const broker::JobRow& row) const { disk.jobs[row.job] = row; }
  void operator()(const broker::PartRow& row) const { disk.parts[{row.job, row.site}] = row; }
  void operator()(const broker::RoundRow& row) const { disk.rounds[{row.job, row.round}] = row; }
  void operator()(broker::TaskRow row) const {
    if (row.state == TaskState::running || row.state == TaskState::uploading) {
      row.state = TaskState::pending;  // states of the live process only
    }
    const auto key = row.key;
    disk.tasks[key] = std::move(row);
  }
  void operator()(const broker::ModelRow& row) const {
    disk.models[{row.model.job, row.model.version}] = row.model;
  }
  void operator()(const broker::EventRow& row) const { disk.events[row.job].push_back(row.event); }
  void operator()(const broker::AuditRow& row) const { disk.audit.push_back(row); }
  void operator()(const broker::UsageRow& row) const { disk.usage[row.coordinator] = row; }
  void operator()(const broker::FileRow& row) const { disk.files[{row.job, row.blob}] = row; }
};

}  // namespace

void BrokerDisk::write(const broker::Row& row) { std::visit(Writer{*this}, row); }

broker::Snapshot BrokerDisk::snapshot() const {
  broker::Snapshot snapshot{values(sites), values(jobs), values(parts), values(rounds), {},
                            values(usage), values(files)};
  for (const auto& [key, row] : tasks) {
    if (!is_terminal(jobs.at(key.job).state)) {
      snapshot.tasks.push_back(row);
    }
  }
  return snapshot;
}

bool BrokerDisk::vouch_for(const BlobId& blob) {
  if (damaged.erase(blob) > 0) {
    blobs.erase(blob);
  }
  return blobs.contains(blob);
}

void BrokerDisk::collect_orphans() {
  std::set<BlobId> named = server_states();
  for (const auto& [key, model] : models) {
    if (!rounds.at(key).model_removed) {
      named.insert(model.blob);
    }
  }
  for (const auto& [key, task] : tasks) {
    if (task.result.blob && !is_merged(task) && !is_terminal(jobs.at(key.job).state)) {
      named.insert(*task.result.blob);
    }
  }
  for (const auto& [key, file] : files) {
    if (!is_terminal(jobs.at(file.job).state)) {
      named.insert(file.blob);
    }
  }
  std::erase_if(blobs, [&](const BlobId& blob) { return !named.contains(blob); });
  std::erase_if(damaged, [&](const BlobId& blob) { return !named.contains(blob); });
}

std::set<BlobId> BrokerDisk::server_states() const {
  std::map<JobId, BlobId> newest;
  for (const auto& [key, round] : rounds) {
    if (round.server_state && !is_terminal(jobs.at(key.first).state)) {
      newest.insert_or_assign(key.first, *round.server_state);
    }
  }
  std::set<BlobId> states;
  for (const auto& [job, state] : newest) {
    states.insert(state);
  }
  return states;
}

std::vector<BlobId> BrokerDisk::updates_at_hand() const {
  std::vector<BlobId> updates;
  for (const auto& [key, task] : tasks) {
    if (broker::is_merged(key.kind) && task.state == TaskState::done &&
        blobs.contains(*task.result.blob) && !is_merged(task) &&
        !is_terminal(jobs.at(key.job).state)) {
      updates.push_back(*task.result.blob);
    }
  }
  return updates;
}

std::vector<BlobId> BrokerDisk::models_at_hand() const {
  const auto states = server_states();
  std::vector<BlobId> found(states.begin(), states.end());
  for (const auto& [key, model] : models) {
    const auto& job = jobs.at(key.first);
    if (!is_terminal(job.state) && !models.contains({key.first, key.second + 1}) &&
        key.second < job.spec.rounds) {
      found.push_back(model.blob);
    }
  }
  return found;
}

std::vector<const broker::TaskRow*> BrokerDisk::done(const JobId& job, Round round,
                                                     TaskKind kind) const {
  std::vector<const broker::TaskRow*> found;
  const bool is_buffered = kind == TaskKind::train && jobs.at(job).spec.async;
  for (auto it = tasks.lower_bound(TaskKey{job, is_buffered ? 0 : round, kind, {}, 0});
       it != tasks.end() && it->first.job == job && it->first.round <= round; ++it) {
    if (it->first.kind == kind && it->second.state == TaskState::done &&
        (is_buffered ? broker::round_of(it->second) : it->first.round) == round) {
      found.push_back(&it->second);
    }
  }
  std::ranges::stable_sort(found, {}, [](const broker::TaskRow* row) { return row->key.site; });
  return found;
}

std::vector<const broker::TaskRow*> BrokerDisk::merged_into(const JobId& job, Round version) const {
  std::vector<const broker::TaskRow*> found;
  for (const auto& [key, task] : tasks) {
    if (key.job == job && broker::is_merged(key.kind) && task.state == TaskState::done &&
        broker::round_of(task) == version) {
      found.push_back(&task);
    }
  }
  std::ranges::stable_sort(found, {}, [](const broker::TaskRow* row) { return row->key.site; });
  return found;
}

bool BrokerDisk::is_merged(const broker::TaskRow& update) const {
  const auto round = rounds.find({update.key.job, broker::round_of(update)});
  return round != rounds.end() && round->second.state == RoundState::done;
}

std::uint32_t BrokerDisk::taken_before(const TaskKey& key) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(tasks, [&](const auto& entry) {
    const auto& other = entry.first;
    return other.job == key.job && other.round == key.round && other.kind == key.kind &&
           other.site == key.site && other.attempt < key.attempt && entry.second.accepted_seq != 0;
  }));
}

const ModelView* BrokerDisk::last_model(const JobId& job) const {
  const auto after = models.upper_bound({job, std::numeric_limits<Round>::max()});
  return after == models.begin() || std::prev(after)->first.first != job
             ? nullptr
             : &std::prev(after)->second;
}

}  // namespace entente::simulation
