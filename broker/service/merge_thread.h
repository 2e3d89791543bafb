// The thread that merges: one merge at a time, from blobs to a blob.
#pragma once

#include <functional>
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
  // Refuses a damaged model, which ends the job. Throws for a damaged update: the broker must stop,
  // and its next start has the site train it again (recovery.h).
  [[nodiscard]] Expected<void> check_inputs(const StartMerge& merge);

  BlobStore& blobs_;
  MergeHandlers handlers_;
  Mailbox<StartMerge> inbox_;
  std::thread thread_;
};

}  // namespace entente::broker
