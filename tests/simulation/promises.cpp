#include "tests/simulation/promises.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "broker/core/job_transitions.h"
#include "broker/core/kinds.h"
#include "common/domain/seeds.h"
#include "common/domain/strategy_kinds.h"
#include "tests/simulation/acceptance_promise.h"
#include "tests/simulation/counting_promise.h"
#include "tests/simulation/evaluation_promise.h"
#include "tests/simulation/fake_training.h"
#include "tests/simulation/world.h"

namespace entente::simulation {
namespace {

void expect_none(const std::optional<std::string>& fault) {
  if (fault) {
    broken("{}", *fault);
  }
}

std::string name_of(const TaskKey& key) {
  return fmt::format("{} round {} {} at {} (attempt {})", key.job.str(), key.round,
                     to_string(key.kind), key.site.str(), key.attempt);
}

template <class Map, class Key>
const typename Map::mapped_type* find(const Map& map, const Key& key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}

bool is_settled(TaskState state) {
  return state == TaskState::done || state == TaskState::failed || state == TaskState::lost;
}

bool may_follow(JobState from, JobState to) {
  return from == to || std::any_of(broker::kJobTransitions.begin(), broker::kJobTransitions.end(),
                                   [&](const broker::JobTransition& row) {
                                     return row.from == from && row.to == to;
                                   });
}

bool has_audit(std::span<const broker::Row> rows, std::string_view action) {
  return std::any_of(rows.begin(), rows.end(), [&](const broker::Row& row) {
    const auto* audit = std::get_if<broker::AuditRow>(&row);
    return audit != nullptr && audit->action == action;
  });
}

}  // namespace

struct Promises::RowCheck {
  Promises& self;
  Millis awake;
  const BrokerDisk& disk = self.disk_;

  void operator()(const broker::SiteRow&) const {}
  void operator()(const broker::AuditRow&) const {}
  void operator()(const broker::UsageRow&) const {}

  void operator()(const broker::FileRow& row) const {
    if (!disk.blobs.contains(row.blob) ||
        !self.validated_.contains({"coordinator/" + disk.jobs.at(row.job).coordinator, row.blob})) {
      broken("P6 a file of {} is recorded that is not stored, or was not validated", row.job.str());
    }
  }

  void operator()(const broker::PartRow& row) const {
    const auto* before = find(disk.parts, std::pair(row.job, row.site));
    if (before == nullptr && disk.sites.at(row.site).draining) {
      broken("P1 {} is asked to join {} while it drains", row.site.str(), row.job.str());
    }
    const auto& mandatory = disk.jobs.at(row.job).spec.sites.mandatory;
    if (before != nullptr && before->has_place && !row.has_place &&
        std::find(mandatory.begin(), mandatory.end(), row.site) != mandatory.end()) {
      broken("P5 {} cannot do without {}, and gives its place away", row.job.str(), row.site.str());
    }
  }

  void operator()(const broker::JobRow& row) const {
    const auto* before = find(disk.jobs, row.job);
    if (before != nullptr && !may_follow(before->state, row.state)) {
      broken("P5 {} went from {} to {}", row.job.str(), to_string(before->state),
             to_string(row.state));
    }
  }

  void operator()(const broker::RoundRow& row) const {
    const auto* before = find(disk.rounds, std::pair(row.job, row.round));
    if (before != nullptr && before->model && before->model != row.model) {
      broken("P3 {} round {} changed its published model", row.job.str(), row.round);
    }
    const bool is_reopened =
        self.incomplete_.erase({row.job, row.round}) > 0 && row.state == RoundState::training;
    if (before != nullptr && row.state < before->state && !is_reopened) {
      broken("P5 {} round {} went back from {} to {}", row.job.str(), row.round,
             to_string(before->state), to_string(row.state));
    }
    const bool is_closed = row.state == RoundState::merging || row.state == RoundState::done;
    const auto& spec = disk.jobs.at(row.job).spec;
    const auto quorum = answers_needed(disk, row, before);
    if (row.round > 0 && is_closed) {
      const auto answers = disk.done(row.job, row.round, task_of(spec, row.round));
      const auto done = answers.size();
      if (sites_of(answers) < quorum || row.updates != done) {
        broken("P4 {} round {} closes with updates of {} sites recorded, {} claimed, quorum {}",
               row.job.str(), row.round, sites_of(answers), row.updates, quorum);
      }
      check_sample(row, done);
      if (spec.kind == JobKind::cyclic && done != 1) {
        broken("P3 {} round {} is trained at {} sites, and each round of it at one", row.job.str(),
               row.round, done);
      }
    }
    expect_none(fault_of_evaluation(disk, row));
    expect_none(fault_of_counting(disk, row));
    expect_none(self.gentle_ ? fault_of_closing(disk, row) : std::nullopt);
    if (row.model_removed && (before == nullptr || !before->model_removed)) {
      check_removal(row);
    }
  }

  // Whatever is the best model, the newest one stays.
  void check_removal(const broker::RoundRow& row) const {
    const auto newer = disk.models.upper_bound({row.job, row.round});
    if (disk.jobs.at(row.job).spec.keep == Keep::all || newer == disk.models.end() ||
        newer->first.first != row.job) {
      broken("P1 {}@{} is not kept, and is the newest or of a job that keeps all", row.job.str(),
             row.round);
    }
  }

  static TaskKind task_of(const JobSpec& spec, Round round) {
    return broker::rules_of(spec).task(round);
  }

  // A job may go on with fewer places after a rest; what was accepted before stays accepted.
  void check_sample(const broker::RoundRow& row, std::size_t done) const {
    const auto& sample = disk.jobs.at(row.job).spec.sites.sample;
    const auto* places = find(self.most_places_, row.job);
    if (sample && places != nullptr &&
        done > updates_wanted(*sample, static_cast<std::size_t>(*places))) {
      broken("P3 {} round {} takes {} updates, its sample of at most {} places is smaller",
             row.job.str(), row.round, done, *places);
    }
  }

  void check_rest(const TaskKey& key) const {
    const auto& sample = disk.jobs.at(key.job).spec.sites.sample;
    const auto last = disk.parts.at({key.job, key.site}).last_round;
    if (key.kind == TaskKind::train && sample && last != 0 && last < key.round &&
        key.round - last <= sample->separation) {
      broken("P3 {} is asked although its update of round {} was taken", name_of(key), last);
    }
  }

  void operator()(const broker::TaskRow& row) const {
    const auto& key = row.key;
    const auto* before = find(disk.tasks, key);
    if (before == nullptr && disk.sites.at(key.site).draining) {
      broken("P1 {} is a new task of a site that drains", name_of(key));
    }
    if (before == nullptr) {
      check_rest(key);
      expect_none(fault_of_order(disk, row));
      expect_none(self.gentle_ ? fault_of_crowding(disk, row) : std::nullopt);
    } else if (before->steps != row.steps) {
      broken("P1 {} is asked for other steps than before", name_of(key));
    }
    if (before != nullptr && is_settled(before->state) && before->state != row.state) {
      if (before->state != TaskState::done || self.damaged_.erase(key) == 0) {
        broken("P2 {} was settled as {} and becomes {}", name_of(key), to_string(before->state),
               to_string(row.state));
      }
      self.incomplete_.emplace(key.job, before->merged_in == 0 ? key.round : before->merged_in);
      self.uncounted_.emplace(key.job, key.site);
      self.finished_[key.site].erase(self.work_of(key));
    }
    check_blame(row);
    if (row.state != TaskState::done || (before != nullptr && before->state == TaskState::done)) {
      return;
    }
    expect_none(fault_of_acceptance(disk, row));
    if (row.result.blob &&
        !self.validated_.contains({"site/" + key.site.str(), *row.result.blob})) {
      broken("P6 {} is accepted without its blob having been validated", name_of(key));
    }
  }

  // Whom the job knew to be silent gets no window of its own.
  void check_blame(const broker::TaskRow& row) const {
    const auto& key = row.key;
    const auto window = disk.jobs.at(key.job).spec.stall_window;
    if (row.state == TaskState::lost && row.reason.starts_with("no progress for") &&
        awake < window && !disk.parts.at({key.job, key.site}).silent) {
      broken("P5 {} is lost for want of progress, and the broker itself stood still {} ms before",
             name_of(key), awake.count());
    }
  }

  void operator()(const broker::ModelRow& row) const {
    if (disk.models.contains({row.model.job, row.model.version})) {
      broken("P3 {}@{} is published twice", row.model.job.str(), row.model.version);
    }
  }

  void operator()(const broker::EventRow& row) const {
    const auto* events = find(disk.events, row.job);
    const auto last = events == nullptr ? 0 : events->size();
    if (row.event.seq != last + 1) {
      broken("P7 event {} of {} follows event {}", row.event.seq, row.job.str(), last);
    }
  }
};

void Promises::before_row(const broker::Row& row, Millis awake) {
  std::visit(RowCheck{*this, awake}, row);
}

void Promises::after_commit(std::span<const broker::Row> rows) {
  // A job may give way and go on with other places in one transaction.
  for (const auto& row : rows) {
    const auto* job = std::get_if<broker::JobRow>(&row);
    if (job != nullptr && job->state != JobState::running) {
      places_.erase(job->job);
    }
  }
  for (const auto& row : rows) {
    if (const auto* model = std::get_if<broker::ModelRow>(&row)) {
      check_model(model->model);
      if (!has_audit(rows, "model.publish")) {
        broken("P7 {}@{} is published without an audit row", model->model.job.str(),
               model->model.version);
      }
    } else if (const auto* task = std::get_if<broker::TaskRow>(&row)) {
      // Once: when its evaluation is counted, the sums go from its row.
      if (task->state != TaskState::done) {
        accepted_.erase(task->key);
      } else if (accepted_.insert(task->key).second && !has_audit(rows, "update.accept")) {
        broken("P7 {} is accepted without an audit row", name_of(task->key));
      }
    } else if (const auto* file = std::get_if<broker::FileRow>(&row)) {
      if (!has_audit(rows, "file.accept")) {
        broken("P7 a file of {} is accepted without an audit row", file->job.str());
      }
    } else if (const auto* part = std::get_if<broker::PartRow>(&row)) {
      check_places(part->job);
      check_slots(part->site);
    } else if (const auto* job = std::get_if<broker::JobRow>(&row)) {
      check_released(job->job);
    }
  }
}

void Promises::check_released(const JobId& job) const {
  const auto state = disk_.jobs.at(job).state;
  const bool holds_slots = std::any_of(
      disk_.parts.begin(), disk_.parts.end(),
      [&](const auto& entry) { return entry.first.first == job && entry.second.claimed; });
  if (holds_slots && state != JobState::running && state != JobState::matching) {
    broken("P5 {} is {} and holds slots", job.str(), to_string(state));
  }
}

void Promises::check_places(const JobId& job) {
  if (disk_.jobs.at(job).state != JobState::running) {
    return;
  }
  const auto has_place = [&](const auto& entry) {
    return entry.first.first == job && entry.second.has_place;
  };
  const auto now = std::count_if(disk_.parts.begin(), disk_.parts.end(), has_place);
  const auto max = disk_.jobs.at(job).spec.sites.max;
  if (now == 0 && !places_.contains(job)) {
    return;
  }
  const auto at_first = places_.emplace(job, now).first->second;
  most_places_[job] = std::max(most_places_[job], now);
  if (now != at_first || (max > 0 && now > max)) {
    broken("P5 {} started with {} places of {} at most, and has {}", job.str(), at_first, max, now);
  }
}

void Promises::check_slots(const SiteId& site) const {
  const auto held = std::count_if(disk_.parts.begin(), disk_.parts.end(), [&](const auto& entry) {
    return entry.first.second == site && entry.second.claimed;
  });
  const auto slots = disk_.sites.at(site).advert.slots;
  if (held > static_cast<std::ptrdiff_t>(slots)) {
    broken("P5 {} has {} slots, and {} jobs hold them", site.str(), slots, held);
  }
}

struct Promises::ActionCheck {
  const Promises& self;
  const BrokerDisk& disk = self.disk_;

  template <class Other>
  void operator()(const Other&) const {}

  void operator()(const broker::Send& send) const {
    if (const auto* verdict = std::get_if<msg::ResultVerdict>(&send.message)) {
      const auto* task = find(disk.tasks, verdict->key);
      if (!verdict->refusal && (task == nullptr || task->state != TaskState::done)) {
        broken("P1 {} is acknowledged before its row is committed", name_of(verdict->key));
      }
    } else if (const auto* offer = std::get_if<msg::TaskOffer>(&send.message)) {
      const auto& order = offer->order;
      if (!disk.tasks.contains(order.key)) {
        broken("P1 {} is offered before its row is committed", name_of(order.key));
      }
      if (const auto* task = find(disk.tasks, order.key); task->steps != order.steps) {
        broken("P1 {} is offered with other steps than its row has", name_of(order.key));
      }
      for (const auto& blob : {order.model, order.control, order.inputs}) {
        if (blob && !self.is_at_hand(*blob)) {
          broken("P1 {} is offered and what it reads is not stored", name_of(order.key));
        }
      }
    } else if (const auto* reply = std::get_if<msg::Reply>(&send.message)) {
      const auto* summary = std::get_if<JobSummary>(&reply->body);
      if (summary != nullptr && !disk.jobs.contains(summary->id)) {
        broken("P1 {} is acknowledged before its row is committed", summary->id.str());
      }
    }
  }

  void operator()(const broker::StartMerge& merge) const {
    const auto* round = find(disk.rounds, std::pair(merge.job, merge.round));
    if (round == nullptr || round->state != RoundState::merging) {
      broken("P1 {} round {} is merged before that is committed", merge.job.str(), merge.round);
    }
    if (merge.server_state && !self.is_at_hand(*merge.server_state)) {
      broken("P1 {} round {}: the state of the server's optimiser is not stored", merge.job.str(),
             merge.round);
    }
    for (const auto& input : merge.updates) {
      if (self.has_damaged_update(merge.job, input.site, input.update)) {
        continue;  // lost in another job's merge of the same bytes; its own will notice
      }
      if (!self.validated_.contains({"site/" + input.site.str(), input.update})) {
        broken("P6 an update of {} that was not validated goes into the merge", input.site.str());
      }
      if (!disk.blobs.contains(input.update)) {
        broken("P1 {} round {}: the accepted update of {} is not stored", merge.job.str(),
               merge.round, input.site.str());
      }
    }
  }

  void operator()(const broker::DropBlob& drop) const {
    for (const auto& [key, model] : disk.models) {
      if (model.blob == drop.blob && !disk.rounds.at(key).model_removed) {
        broken("P1 the blob of {}@{} is dropped", model.job.str(), model.version);
      }
    }
    for (const auto& [key, file] : disk.files) {
      if (file.blob == drop.blob && !is_terminal(disk.jobs.at(file.job).state)) {
        broken("P1 the file that {} was brought is dropped", file.job.str());
      }
    }
    for (const auto& [key, task] : disk.tasks) {
      if (task.state == TaskState::done && task.result.blob == drop.blob && !disk.is_merged(task) &&
          !is_terminal(disk.jobs.at(key.job).state)) {
        broken("P1 the accepted result of {} is dropped", name_of(key));
      }
    }
    if (disk.server_states().contains(drop.blob)) {
      broken("P1 a state that the next merge starts from is dropped");
    }
  }
};

void Promises::on_action(const broker::Action& action) const {
  std::visit(ActionCheck{*this}, action);
}

void Promises::on_validated(const std::string& peer, const BlobId& blob) {
  validated_.emplace(peer, blob);
}

void Promises::on_quarantined(const BlobId& blob) {
  quarantined_.insert(blob);
  for (const auto& [key, task] : disk_.tasks) {
    if (task.state == TaskState::done && task.result.blob == blob && !disk_.is_merged(task)) {
      damaged_.insert(key);
      validated_.erase({"site/" + key.site.str(), blob});
    }
  }
}

void Promises::on_journal(const SiteId& site, const agent::Event& event,
                          const agent::Effects& effects) {
  const auto* received = std::get_if<agent::event::Received>(&event);
  const auto* verdict =
      received == nullptr ? nullptr : std::get_if<msg::ResultVerdict>(&received->message);
  for (const auto& effect : effects) {
    if (const auto* save = std::get_if<agent::effect::SaveResult>(&effect)) {
      finished_[site].insert(work_of(save->entry.order.key));
    }
    const auto* drop = std::get_if<agent::effect::DropResult>(&effect);
    if (drop != nullptr && verdict != nullptr && verdict->key == drop->key) {
      // What comes too late for its attempt is gone with that word, and the work may be asked for
      // again under the next one. After any other refusal the site is not asked in this round, and
      // what has been accepted stays so, whatever was said.
      const auto* task = find(disk_.tasks, drop->key);
      if (verdict->refusal && verdict->refusal->code == "stale" && task != nullptr &&
          task->state == TaskState::lost) {
        finished_[site].erase(work_of(drop->key));
      }
      continue;
    }
    if (drop == nullptr) {
      continue;
    }
    const bool is_handed_on =
        std::any_of(effects.begin(), effects.end(), [&](const agent::Effect& other) {
          const auto* save = std::get_if<agent::effect::SaveResult>(&other);
          return save != nullptr && work_of(save->entry.order.key) == work_of(drop->key);
        });
    if (!is_handed_on) {
      broken("P1 the result of {} leaves the outbox without the broker's word on it",
             name_of(drop->key));
    }
  }
}

void Promises::on_run(const SiteId& site, const TaskOrder& order) const {
  const auto* finished = find(finished_, site);
  if (finished != nullptr && finished->contains(work_of(order.key))) {
    broken("P2 {} runs again after it was finished", name_of(order.key));
  }
}

void Promises::on_disk_lost(const SiteId& site) {
  finished_.erase(site);
  disks_lost_.insert(site);
}

void Promises::on_acknowledged(const JobId& job) {
  acknowledged_.insert(job);
  at_broker_start();
}

void Promises::on_update(const JobId& job, std::uint64_t seq_before,
                         const msg::JobUpdate& update) const {
  const auto& committed = disk_.events.at(job);
  for (const auto& event : update.events) {
    if (event.seq != seq_before + 1) {
      broken("P7 the watcher of {} hears event {} after event {}", job.str(), event.seq,
             seq_before);
    }
    if (event.seq > committed.size() || committed[event.seq - 1] != event) {
      broken("P1 the watcher of {} hears event {}, which is not recorded", job.str(), event.seq);
    }
    seq_before = event.seq;
  }
}

void Promises::on_drained(const SiteId& site, bool draining) const {
  const auto* row = find(disk_.sites, site);
  if (row == nullptr || row->draining != draining) {
    broken("P1 the word that {} {} is acknowledged and not recorded", site.str(),
           draining ? "drains" : "is resumed");
  }
}

void Promises::at_broker_start() const {
  for (const auto& job : acknowledged_) {
    if (!disk_.jobs.contains(job)) {
      broken("P1 {} was acknowledged and is forgotten", job.str());
    }
  }
  for (const auto& [key, model] : disk_.models) {
    if (!disk_.rounds.at(key).model_removed && !is_at_hand(model.blob)) {
      broken("P1 the blob of {}@{} is gone", model.job.str(), model.version);
    }
  }
}

void Promises::at_end(const Plan& plan) const {
  at_broker_start();
  for (const auto& [id, job] : disk_.jobs) {
    if (!is_terminal(job.state)) {
      broken("P5 {} has not ended: {} {}", id.str(), to_string(job.state), job.reason);
    }
    const auto is_audited = [&](std::initializer_list<std::string_view> actions) {
      return std::any_of(disk_.audit.begin(), disk_.audit.end(), [&](const broker::AuditRow& row) {
        return row.object == "job/" + id.str() &&
               std::find(actions.begin(), actions.end(), row.action) != actions.end();
      });
    };
    if (!is_audited({"job.submit"}) || !is_audited({"job.complete", "job.fail", "job.abort"})) {
      broken("P7 the beginning or the end of {} is not in the audit log", id.str());
    }
    const auto* final_model = find(disk_.models, std::pair(id, job.spec.rounds));
    const bool is_stopped = job.spec.stop && !job.reason.empty();
    const bool merges = trains(job.spec.kind) || job.spec.kind == JobKind::predict;
    if (merges && job.state == JobState::completed && final_model == nullptr && !is_stopped) {
      broken("P3 {} is completed without its last model", id.str());
    }
    if (!plan.gentle || job.state == JobState::aborted) {
      continue;
    }
    if (job.state != JobState::completed) {
      broken("P5 nothing lasting went wrong, and {} {}: {}", id.str(), to_string(job.state),
             job.reason);
    }
    if (job.spec.kind == JobKind::cross_evaluate) {
      const auto is_lost = [&](const SiteId& site) { return uncounted_.contains({id, site}); };
      expect_none(fault_of_matrix(disk_, id, willing_sites(plan), is_lost));
    } else if (job.spec.kind == JobKind::predict) {
      if (const auto sites = final_model->contributions.size();
          sites != willing_sites(plan).size()) {
        broken("P3 nothing lasting went wrong, and {} has predictions of {} sites", id.str(),
               sites);
      }
    } else if (trains(job.spec.kind) && !job.spec.async &&  // whose order hangs on the moment
               final_model->blob != undisturbed_model(job.spec, willing_sites(plan))) {
      broken("P3 nothing lasting went wrong, and the final model of {} is another one", id.str());
    }
    const bool is_evaluated =
        job.spec.evaluate && std::ranges::any_of(plan.sites, [](const SitePlan& site) {
          return site.evaluates && !site.declines;
        });
    if (is_evaluated && !disk_.rounds.at({id, job.spec.rounds}).evaluated) {
      broken("P3 nothing lasting went wrong, and {} was never evaluated at its end", id.str());
    }
  }
}

}  // namespace entente::simulation
