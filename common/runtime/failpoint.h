// Failpoints: named places at which a test lets a process die as by `kill -9`.
//
// A place is worth a name when something has just been promised, or is about to be: before and
// after a commit, a rename, a message. `kFailpoints` is the list of all of them;
// tests/integration/failpoint_walk_test.cpp kills each program at each one and expects the model of
// an undisturbed run. Pure cores have none: their steps are atomic to the shell around them.
//
//   ENTENTE_FAILPOINT("storage.commit.before");
//
// The macro is nothing unless the build sets ENTENTE_FAILPOINTS (presets dev, asan, tsan), so no
// program that people run can be made to die. In such a build the environment decides:
//
//   ENTENTE_FAILPOINT=name[:N[:MS]]  the N-th time (first when left out) that `name` is reached
//                                    the process ends at once; with MS, its thread stops there, the
//                                    others live on that many milliseconds, so that what was said
//                                    before is heard. A name that is none ends it at the first
//   ENTENTE_FAILPOINT_LIST=file      appends a line with the name each time that one is reached
//
// Any thread.
#pragma once

#include <array>
#include <string_view>

namespace entente {

// The beginning of a name says whose it is: "broker." and "agent." are one program's, the others
// are in code that both share.
struct Failpoint {
  std::string_view name;
  std::string_view sentence;  // what is and what isn't done when the process dies there
};

inline constexpr auto kFailpoints = std::to_array<Failpoint>({
    {"storage.commit.before", "the rows of a transaction are written, it is not committed"},
    {"storage.commit.after", "a transaction is committed, nobody knows it yet"},

    {"blob.chunk.written", "a chunk is in the partial file, the sender has no credit for the next"},
    {"blob.sync.before", "every byte of a blob is here and has its digest, none need be on disk"},
    {"blob.rename.before", "a blob's bytes are on disk, under a temporary name"},
    {"blob.rename.after", "a blob has its name, its folder is not synced"},
    {"blob.published", "a blob is finished, no row names it"},

    {"broker.rows.before", "events are decided, their rows are not written"},
    {"broker.rows.after", "rows are committed, their messages are still with the store thread"},
    {"broker.actions.before", "the loop has the messages of committed rows and has sent none"},
    {"broker.actions.after", "the messages of a batch are in their queues"},
    {"broker.submit.accepted", "a job is committed, its coordinator has no answer"},
    {"broker.offer.sent", "a job was just offered to a site"},
    {"broker.task.sent", "a task was just offered to a site"},
    {"broker.grant.sent", "a site was just allowed to upload its update"},
    {"broker.update.checked", "an update is stored and checked, its site and the loop don't know"},
    {"broker.update.stored", "the site knows that its update is stored, no row says so"},
    {"broker.verdict.before", "an update is accepted in its row, its site doesn't know"},
    {"broker.verdict.sent", "a site was just told that its update is accepted"},
    {"broker.merge.before", "all updates of a round are in, the merge has not begun"},
    {"broker.merge.written", "the merged model is a file without a name"},
    {"broker.merge.adopted", "the merged model is a blob that no row names"},
    {"broker.model.published", "a model version is committed, nobody has heard of it"},
    {"broker.blob.dropped", "a blob that no row names any more was just removed"},

    {"agent.offer.received", "a job's offer is read, the site has not decided"},
    {"agent.promise.before", "the promise to take part is committed, the broker doesn't know"},
    {"agent.promise.sent", "the broker was just told that the site takes part"},
    {"agent.train.started", "a trainer has just got its order to train"},
    {"agent.residual.stored", "what an update leaves out is a blob, the update is none yet"},
    {"agent.own.handed_out", "what a site has of its own has just got its name for people"},
    {"agent.own.stored", "what stays at the site is a blob, no row names it or its update"},
    {"agent.output.stored", "a finished update is a blob that no outbox row names"},
    {"agent.announce.before", "a finished update is in the outbox, the broker doesn't know"},
    {"agent.announce.sent", "a finished update was just announced"},
    {"agent.upload.chunk", "a chunk of an update is on its way to the broker"},
    {"agent.upload.after", "the broker has the update, its verdict has not come"},
    {"agent.download.after", "a model is here, its task has not begun"},
    {"agent.verdict.received", "the broker's verdict is read, the outbox still has the update"},
    {"agent.blob.removed", "a blob that nothing at the site needs any more was just removed"},
});

constexpr bool is_failpoint(std::string_view name) {
  for (const auto& point : kFailpoints) {
    if (point.name == name) {
      return true;
    }
  }
  return false;
}

// Counts, lists and, when it is this one's turn, ends the process. Called by the macro only.
void reach_failpoint(std::string_view name);

}  // namespace entente

#ifdef ENTENTE_FAILPOINTS
#define ENTENTE_FAILPOINT(name)                                                            \
  do {                                                                                     \
    static_assert(::entente::is_failpoint(name), "list it in common/runtime/failpoint.h"); \
    ::entente::reach_failpoint(name);                                                      \
  } while (false)
#else
#define ENTENTE_FAILPOINT(name) static_cast<void>(0)
#endif
