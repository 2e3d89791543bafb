#include "broker/service/merge_thread.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "broker/merge/merge_task.h"
#include "common/domain/strategy_kinds.h"
#include "common/runtime/failpoint.h"
#include "common/runtime/log.h"

namespace entente::broker {
namespace {

// One per running job at most, so far above what a broker runs at once.
constexpr std::size_t kMergesWaitingMax = 65'536;

// A function of the job's content only: equal merges give equal files.
TensorMetadata metadata_of(const StartMerge& merge) {
  TensorMetadata metadata{{"format", "pt"},
                          {"entente.spec", merge.spec_digest.hex()},
                          {"entente.round", std::to_string(merge.round)},
                          {"entente.strategy", merge.strategy.kind}};
  if (has_control(merge.strategy)) {
    metadata["entente.places"] = std::to_string(merge.places);
  }
  return metadata;
}

}  // namespace

MergeThread::MergeThread(BlobStore& blobs, MergeHandlers handlers)
    : blobs_(blobs),
      handlers_(std::move(handlers)),
      inbox_(kMergesWaitingMax),
      thread_([this] { run(); }) {}

MergeThread::~MergeThread() {
  inbox_.close();
  thread_.join();
}

void MergeThread::run() {
  try {
    for (auto merges = inbox_.wait_and_drain(); !merges.empty(); merges = inbox_.wait_and_drain()) {
      for (const auto& merge : merges) {
        handlers_.on_finished(carry_out(merge));
      }
    }
  } catch (const std::exception& error) {
    handlers_.on_failure(error.what());
  }
}

// Files are read long after they were checked: a bit may have flipped on the disk meanwhile.
std::optional<MergeFinished> MergeThread::find_damage(const StartMerge& start) {
  if (!start.from_zeros && !blobs_.vouch_for(start.model)) {
    return MergeFinished{
        start.job, start.round,
        refuse("blob_damaged",
               fmt::format("the model to start from ({}) is damaged or gone on the broker's disk",
                           start.model.short_hex()),
               "check the broker's disk with: entente-broker check", Scope::job)};
  }
  if (start.server_state && !blobs_.vouch_for(*start.server_state)) {
    return MergeFinished{
        start.job, start.round,
        refuse("blob_damaged",
               fmt::format("the state of the server's optimiser ({}) is damaged or gone on the "
                           "broker's disk",
                           start.server_state->short_hex()),
               "check the broker's disk with: entente-broker check", Scope::job)};
  }
  std::vector<BlobId> damaged;
  for (const auto& update : start.updates) {
    if (!blobs_.vouch_for(update.update)) {
      log::warning("update_damaged",
                   fmt::format("the update of {} for round {} is damaged or gone on the disk; the "
                               "site is asked again",
                               update.site.str(), start.round),
                   {{"job", start.job.str()}, {"blob", update.update.hex()}});
      damaged.push_back(update.update);
    }
  }
  if (damaged.empty()) {
    return std::nullopt;
  }
  return MergeFinished{start.job, start.round,
                       refuse("update_damaged", "updates are damaged on the broker's disk"),
                       std::move(damaged)};
}

MergeFinished MergeThread::carry_out(const StartMerge& start) {
  if (auto damage = find_damage(start)) {
    return *std::move(damage);
  }
  MergeRequest request;
  request.strategy = start.strategy;
  request.local_lr = start.local_lr;
  request.local_momentum = start.local_momentum;
  request.prox_mu = start.prox_mu;
  request.places = start.places;
  request.threads = std::max(1U, std::thread::hardware_concurrency());
  if (!start.from_zeros) {
    request.model = blobs_.path(start.model);
  }
  if (start.server_state) {
    request.state = blobs_.path(*start.server_state);
  }
  for (const auto& update : start.updates) {
    request.updates.push_back({update.site, blobs_.path(update.update), update.weight,
                               update.factor, update.loss, update.steps});
  }
  request.layout = *start.layout;
  request.update_layout = *start.update_layout;
  request.update = start.update;
  const auto name = fmt::format("{}-{}", start.job.str(), start.round);
  request.output = blobs_.scratch_path(name);
  request.state_output = blobs_.scratch_path(name + "-state");
  request.metadata = metadata_of(start);
  ENTENTE_FAILPOINT("broker.merge.before");
  const auto merged = merge(request);
  if (!merged) {
    return {start.job, start.round, tl::unexpected(merged.error())};
  }
  ENTENTE_FAILPOINT("broker.merge.written");
  MergedModel model;
  if (merged->state_bytes) {
    model.server_state = blobs_.adopt(request.state_output);
    model.server_state_bytes = *merged->state_bytes;
  }
  model.blob = blobs_.adopt(request.output);
  model.bytes = merged->bytes;
  ENTENTE_FAILPOINT("broker.merge.adopted");
  return {start.job, start.round, model};
}

}  // namespace entente::broker
