// The thread that merges: one merge at a time, from blobs to a blob.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "broker/core/effect.h"
#include "broker/core/event.h"
#include "common/blob/blob_store.h"
#include "common/runtime/mailbox.h"

namespace entente::broker {

struct MergeHandlers {
  std::function<void(MergeFinished)> on_finished;
  std::function<void(std::string what)> on_failure;  // the disk failed: the broker must stop
};

class MergeThread {
 public:
  MergeThread(BlobStore& blobs, MergeHandlers handlers);
  ~MergeThread();  // finishes the merge under way, forgets the others: they start again

  void push(StartMerge merge) { inbox_.push(std::move(merge)); }

 private:
  void run();
  [[nodiscard]] MergeFinished carry_out(const StartMerge& merge);
  // What the core is told instead of a model when an input is damaged: a model that is ends the
  // job, an update is asked for again. Nothing when all inputs are sound.
  [[nodiscard]] std::optional<MergeFinished> find_damage(const StartMerge& merge);

  BlobStore& blobs_;
  MergeHandlers handlers_;
  Mailbox<StartMerge> inbox_;
  std::thread thread_;
};

}  // namespace entente::broker
