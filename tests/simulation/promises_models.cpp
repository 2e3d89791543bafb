// What P3 says of a model that was published: where it comes from, of which updates, and what
// became of them.
#include <fmt/format.h>

#include <algorithm>

#include "broker/core/kinds.h"
#include "common/domain/seeds.h"
#include "tests/simulation/acceptance_promise.h"
#include "tests/simulation/fake_training.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/world.h"

namespace entente::simulation {
namespace {

std::string name_of(const ModelView& model) {
  return fmt::format("{}@{}", model.job.str(), model.version);
}

bool names_these(const std::vector<Contribution>& receipt,
                 const std::vector<WeightedUpdate>& updates) {
  return std::equal(updates.begin(), updates.end(), receipt.begin(), receipt.end(),
                    [](const WeightedUpdate& update, const Contribution& part) {
                      return update.site == part.site && update.update == part.update &&
                             update.weight == static_cast<double>(part.examples) &&
                             (update.started_from == 0 || update.started_from == part.started_from);
                    });
}

}  // namespace

bool Promises::is_at_hand(const BlobId& blob) const {
  return disk_.blobs.contains(blob) || quarantined_.contains(blob);
}

bool Promises::has_damaged_update(const JobId& job, const SiteId& site,
                                  const BlobId& update) const {
  return std::any_of(damaged_.begin(), damaged_.end(), [&](const TaskKey& key) {
    return key.job == job && key.site == site && disk_.tasks.at(key).result.blob == update;
  });
}

// The site's last accepted update before that version: what it keeps follows from it.
std::optional<BlobId> Promises::update_before(const JobId& job, Round version,
                                              const SiteId& site) const {
  while (version-- > 1) {
    const auto model = disk_.models.find({job, version});
    if (model == disk_.models.end()) {
      continue;
    }
    const auto& before = model->second.contributions;
    const auto found = std::ranges::find(before, site, &Contribution::site);
    if (found != before.end()) {
      return found->update;
    }
  }
  return std::nullopt;
}

void Promises::check_origin(const ModelView& model) const {
  const auto& job = disk_.jobs.at(model.job);
  if (!job.spec.init) {
    const auto seed = job_seed(job.spec, job.spec_digest);
    if (model.blob != initial_model(task_seed(seed, 0, ""))) {
      broken("P3 {} is not the initial model of its spec", name_of(model));
    }
    return;
  }
  const auto& file = job.spec.init->file;
  const auto* origin = file ? nullptr : disk_.last_model(job.spec.init->job);
  if (file ? model.blob != *file : origin == nullptr || origin->blob != model.blob) {
    broken("P3 {} is not the model that its job starts from", name_of(model));
  }
}

// Who lost its disk, or went on from an update that the broker lost, has kept something else.
bool Promises::may_have_kept_another(const JobId& job, const SiteId& site) const {
  return uncounted_.contains({job, site}) || disks_lost_.contains(site);
}

BlobId Promises::expected_update(const ModelView& model, const broker::TaskRow& task) const {
  const auto& spec = disk_.jobs.at(model.job).spec;
  const auto& site = task.key.site;
  const auto& from = disk_.models.at({model.job, task.key.round - 1});
  const auto update_after = [&](const std::optional<BlobId>& sent) {
    return sent_update(spec, task.key.round, site, from.blob, from.server_state, sent,
                       disk_.taken_before(task.key));
  };
  const auto expected = update_after(update_before(model.job, model.version, site));
  const bool may_differ =
      uncounted_.contains({model.job, site}) ||
      (disks_lost_.contains(site) && task.result.blob == update_after(std::nullopt));
  return keeps_state(spec) && may_differ ? task.result.blob.value_or(expected) : expected;
}

BlobId Promises::expected_outputs(const ModelView& model, const broker::TaskRow& task) const {
  const auto& predict = *disk_.jobs.at(model.job).spec.predict;
  const auto& site = task.key.site;
  const auto& shared = disk_.models.at({model.job, 0}).blob;
  if (!predict.own) {
    return predicted_outputs(shared, predict.inputs, std::nullopt, site);
  }
  if (may_have_kept_another(*predict.own, site)) {
    return task.result.blob.value_or(BlobId{});
  }
  const auto rounds = disk_.jobs.at(*predict.own).spec.rounds;
  const auto sent = update_before(*predict.own, rounds + 1, site);
  return predicted_outputs(shared, predict.inputs,
                           sent ? std::optional(own_after(*sent)) : std::nullopt, site);
}

void Promises::check_merge(const ModelView& model) const {
  const auto& job = disk_.jobs.at(model.job);
  const auto base = broker::rules_of(job.spec).base(model.version);
  const auto parent = disk_.models.find({model.job, base});
  if (parent == disk_.models.end() || model.parent != parent->second.blob) {
    broken("P3 {} does not follow the model before it", name_of(model));
  }
  const bool predicts = job.spec.kind == JobKind::predict;
  std::vector<WeightedUpdate> updates;
  for (const auto* task : disk_.merged_into(model.job, model.version)) {
    const auto expected = predicts ? expected_outputs(model, *task) : expected_update(model, *task);
    if (task->result.blob != expected || task->result.examples != examples_at(task->key.site)) {
      broken("P3 {} holds an update of {} that was computed from something else", name_of(model),
             task->key.site.str());
    }
    updates.push_back(as_merged(job.spec, model.version, *task, expected));
  }
  if (!names_these(model.contributions, updates)) {
    broken("P3 the receipt of {} names other updates than were accepted", name_of(model));
  }
  if (model.server_state != next_server_state(job.spec.strategy, job.spec_digest, model.blob)) {
    broken("P3 the receipt of {} names another state of the server's optimiser", name_of(model));
  }
  const auto& from = parent->second;
  if (model.blob !=
      (predicts ? merged_outputs(updates) : merged_model(from.blob, updates, from.server_state))) {
    broken("P3 {} is not the merge of its recorded updates", name_of(model));
  }
}

void Promises::check_model(const ModelView& model) const {
  if (!is_at_hand(model.blob)) {
    broken("P1 {} is published and its blob is not stored", name_of(model));
  }
  if (model.version == 0) {
    check_origin(model);
  } else {
    check_merge(model);
  }
}

}  // namespace entente::simulation
