#include "broker/service/merge_thread.h"

#include <fmt/format.h>

#include <exception>

#include "broker/merge/merge_task.h"

namespace entente::broker {
namespace {

// One per running job at most, so far above what a broker runs at once.
constexpr std::size_t kMergesWaitingMax = 65'536;

// A function of the job's content only: equal merges give equal files.
TensorMetadata metadata_of(const StartMerge& merge) {
  return {{"format", "pt"},
          {"entente.spec", merge.spec_digest.hex()},
          {"entente.round", std::to_string(merge.round)},
          {"entente.strategy", merge.strategy}};
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

MergeFinished MergeThread::carry_out(const StartMerge& start) {
  MergeRequest request;
  request.strategy = start.strategy;
  request.model = blobs_.path(start.model);
  for (const auto& update : start.updates) {
    request.updates.push_back({update.site, blobs_.path(update.update), update.weight});
  }
  request.layout = *start.layout;
  request.output = blobs_.scratch_path(fmt::format("{}-{}", start.job.str(), start.round));
  request.metadata = metadata_of(start);
  const auto merged = merge(request);
  if (!merged) {
    return {start.job, start.round, tl::unexpected(merged.error())};
  }
  return {start.job, start.round, MergedModel{blobs_.adopt(request.output), merged->bytes}};
}

}  // namespace entente::broker
