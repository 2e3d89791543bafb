#include "tests/simulation/acceptance_promise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>

#include "broker/core/kinds.h"

namespace entente::simulation {
namespace {

const broker::RoundRow& newest_round(const BrokerDisk& disk, const JobId& job) {
  return std::prev(disk.rounds.upper_bound({job, std::numeric_limits<Round>::max()}))->second;
}

std::string name_of(const broker::TaskRow& row) {
  return fmt::format("{} round {} at {} (attempt {})", row.key.job.str(), row.key.round,
                     row.key.site.str(), row.key.attempt);
}

bool is_buffered(const BrokerDisk& disk, const TaskKey& key) {
  return key.kind == TaskKind::train && disk.jobs.at(key.job).spec.async;
}

std::optional<std::string> fault_of_entry(const BrokerDisk& disk, const broker::TaskRow& row) {
  const auto& async = *disk.jobs.at(row.key.job).spec.async;
  std::uint64_t last = 0;
  for (const auto& [key, task] : disk.tasks) {
    last = key.job == row.key.job ? std::max(last, task.accepted_seq) : last;
  }
  if (row.accepted_seq != last + 1) {
    return fmt::format("P3 {} is acceptance {} after {}", name_of(row), row.accepted_seq, last);
  }
  const auto& newest = newest_round(disk, row.key.job);
  const bool collects = newest.state == RoundState::training;
  if (row.merged_in != newest.round + 1 && !(collects && row.merged_in == newest.round)) {
    return fmt::format("P3 {} goes into round {}, and round {} is the newest", name_of(row),
                       row.merged_in, newest.round);
  }
  const auto taken = disk.done(row.key.job, newest.round, row.key.kind);
  const bool is_among =
      std::ranges::any_of(taken, [&](const auto* task) { return task->key.site == row.key.site; });
  const auto quorum = std::max<std::size_t>(disk.jobs.at(row.key.job).spec.sites.quorum, 1);
  const bool has_room = taken.size() < async.buffer || (sites_of(taken) < quorum && !is_among);
  if (collects && has_room != (row.merged_in == newest.round)) {
    return fmt::format("P3 {} goes into round {}, and round {} has {} of {} updates", name_of(row),
                       row.merged_in, newest.round, taken.size(), async.buffer);
  }
  if (row.merged_in < row.key.round || row.merged_in - row.key.round > async.staleness_max) {
    return fmt::format("P3 {} goes into round {}, and may be {} versions late", name_of(row),
                       row.merged_in, async.staleness_max);
  }
  return std::nullopt;
}

std::optional<std::string> fault_of_count(const BrokerDisk& disk, const broker::TaskRow& row) {
  const auto& key = row.key;
  for (const auto* other : disk.done(key.job, key.round, key.kind)) {
    if (other->key.site == key.site && other->key != key) {
      return fmt::format("P2 {} counts twice in round {}", key.site.str(), key.round);
    }
  }
  const auto round = disk.rounds.find({key.job, key.round});
  const bool is_of_round =
      key.kind != TaskKind::evaluate ||
      broker::rules_of(disk.jobs.at(key.job).spec).task(key.round) == TaskKind::evaluate;
  const auto wanted = is_of_round ? RoundState::training : RoundState::done;
  if (round == disk.rounds.end() || round->second.state != wanted) {
    return fmt::format("P2 {} is accepted in a round that is not open for it", name_of(row));
  }
  return std::nullopt;
}

}  // namespace

std::size_t sites_of(const std::vector<const broker::TaskRow*>& tasks) {
  std::set<SiteId> sites;
  for (const auto* task : tasks) {
    sites.insert(task->key.site);
  }
  return sites.size();
}

std::optional<std::string> fault_of_acceptance(const BrokerDisk& disk, const broker::TaskRow& row) {
  return is_buffered(disk, row.key) ? fault_of_entry(disk, row) : fault_of_count(disk, row);
}

WeightedUpdate as_merged(const JobSpec& spec, Round version, const broker::TaskRow& task,
                         const BlobId& update) {
  WeightedUpdate taken{task.key.site, update, static_cast<double>(task.result.examples)};
  taken.started_from = task.key.round - 1;
  if (spec.async) {  // Nguyen et al. (2022): 1 / (1 + staleness)^exponent
    taken.factor = std::pow(1.0 + version - task.key.round, -spec.async->staleness_exponent);
  }
  return taken;
}

std::optional<std::string> fault_of_order(const BrokerDisk& disk, const broker::TaskRow& row) {
  if (!is_buffered(disk, row.key)) {
    return std::nullopt;
  }
  for (const auto& [key, task] : disk.tasks) {
    if (key.job == row.key.job && key.kind == row.key.kind && key.site == row.key.site &&
        task.state == TaskState::pending) {
      return fmt::format("P2 {} is made while its site has one", name_of(row));
    }
  }
  if (const auto& newest = newest_round(disk, row.key.job); row.key.round != newest.round) {
    return fmt::format("P2 {} is made while round {} is the newest", name_of(row), newest.round);
  }
  return std::nullopt;
}

std::optional<std::string> fault_of_crowding(const BrokerDisk& disk, const broker::TaskRow& row) {
  const auto& async = disk.jobs.at(row.key.job).spec.async;
  if (!is_buffered(disk, row.key) || async->concurrency == 0) {
    return std::nullopt;
  }
  const auto others = std::ranges::count_if(disk.tasks, [&](const auto& entry) {
    const auto& [key, task] = entry;
    return key.job == row.key.job && key.kind == row.key.kind && task.state == TaskState::pending;
  });
  return others < async->concurrency
             ? std::nullopt
             : std::optional(fmt::format("P2 {} is made while {} others train, and {} may at once",
                                         name_of(row), others, async->concurrency));
}

std::optional<std::string> fault_of_closing(const BrokerDisk& disk, const broker::RoundRow& row) {
  const auto& async = disk.jobs.at(row.job).spec.async;
  const bool is_closed = row.state == RoundState::merging || row.state == RoundState::done;
  if (!async || row.round == 0 || !is_closed || row.updates >= async->buffer) {
    return std::nullopt;
  }
  return fmt::format("P4 {} round {} closes with {} of {} updates, and all may still come",
                     row.job.str(), row.round, row.updates, async->buffer);
}

}  // namespace entente::simulation
