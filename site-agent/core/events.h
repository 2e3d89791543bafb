// What happens to an agent, and what it does about it.
//
// The shell (site-agent/service) turns messages, timers, trainers and transfers into events, and
// carries out the effects that AgentCore answers with. Journal effects of a step are committed
// before any other effect of that step is carried out: commit, then speak.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/domain/messages.h"
#include "site-agent/policy/policy.h"

namespace entente::agent {

// One trainer process; never reused, so that a late word of a stopped trainer is recognised.
using TrainerId = std::uint64_t;

// A job that this site has agreed to take part in.
struct Promise {
  JobId job;
  std::string coordinator;
  JobSpec spec;
  Digest spec_digest;
  bool operator==(const Promise&) const = default;
};

// A finished result that stays at the site until the broker's last word on it. The order is kept to
// recognise the same work under a later attempt.
struct OutboxEntry {
  TaskOrder order;
  TaskResult result;
  bool operator==(const OutboxEntry&) const = default;
};

// What a site keeps of a job's rounds up to and with `round`: the next one starts from it. It is
// settled once the broker has accepted that round's update; one that is refused in the end has
// changed nothing, and the state that came of it is dropped with it.
struct SiteState {
  JobId job;
  Round round = 0;
  std::optional<BlobId> residual{};  // what topk has left out of the updates
  std::optional<BlobId> own{};       // as the trainer wrote it: tensors of domain/site_tensors.h
  bool settled = false;
  bool operator==(const SiteState&) const = default;
};

// What people at the site have said about a job. Binds exactly this spec.
struct Decision {
  JobId job;
  Digest spec_digest;
  bool approved = false;
  std::string who;     // the local user
  std::string reason;  // may be empty
  UnixMillis decided_unix_ms = 0;
  UnixMillis until_unix_ms = 0;  // an approval holds until then
  bool operator==(const Decision&) const = default;
};

// A round of training that has begun here; however often it is repeated, it counts once.
struct SpentRound {
  JobId job;
  Round round = 0;
  std::string coordinator;
  std::int64_t day = 0;  // day_of() its beginning
  bool operator==(const SpentRound&) const = default;
};

// All work of the site is stopped, by whom and why.
struct Pause {
  std::string who;
  std::string reason;  // may be empty
  UnixMillis since_unix_ms = 0;
  bool operator==(const Pause&) const = default;
};

// What a restarted agent still knows.
struct Recovered {
  std::vector<Promise> promises;
  std::vector<OutboxEntry> outbox;
  std::vector<BlobId> blobs;  // everything in the blob store
  std::vector<SiteState> states{};
  std::vector<Decision> decisions{};  // in their order
  std::vector<SpentRound> spent{};
  std::uint32_t spent_damaged = 0;  // rounds whose row cannot be read: they count against everybody
  std::optional<Pause> pause{};
};

// How far a result has got on its way out of the house.
enum class Departure : std::uint8_t {
  announced,  // examples, steps, metrics and the digest were sent
  uploading,  // the broker has granted the upload: from now on bytes leave
  accepted,   // the broker has it
  refused,    // the broker has it and will not use it
};

namespace event {

struct Started {};
struct Woke {};  // wake_at() has come

struct DialFailed {
  Refusal reason;
};
struct SessionOpened {};  // TLS stands; nobody has said Welcome yet
struct SessionEnded {
  Refusal reason;
};
struct Received {
  msg::Control message;
  bool digest_matches = true;  // of a JobOffer: spec_digest is the digest of its spec
};

// People at the site. `Decided` is about a job that waits for it.
struct Decided {
  Decision decision;
};
struct Paused {
  Pause pause;
};
struct Resumed {
  std::string who;
};
// agent.toml has been read again.
struct Reconfigured {
  SiteAdvert advert;
  Policy policy;
};

struct TrainerPrepared {
  TrainerId trainer = 0;
};
struct TrainerProgressed {
  TrainerId trainer = 0;
  TaskProgress progress;
};
struct TrainerFinished {
  TrainerId trainer = 0;
  std::uint64_t examples = 0;
  std::uint64_t steps = 0;
  Metrics metrics;
  Sums sums{};
};
// The trainer answered its command with an error and lives on.
struct TrainerRefused {
  TrainerId trainer = 0;
  TaskFailure failure;
};
// The trainer could not be started, died, or broke the contract and was killed.
struct TrainerGone {
  TrainerId trainer = 0;
  TaskFailure failure;
};

// The place in the machine's trainer pool that the core has asked for is this site's.
struct PlaceTaken {};
// The pool has no place for one more trainer without work.
struct WarmPlacesFull {
  TrainerId trainer = 0;
};

struct OutputStored {
  TaskKey key;
  BlobId blob;
  std::uint64_t bytes = 0;
  std::optional<BlobId> residual{};  // of an update in topk
  std::optional<BlobId> own{};       // of a job that has the site keep something
};
struct OutputLost {
  TaskKey key;
  TaskFailure failure;
};

struct DownloadMoved {
  BlobId blob;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};
struct DownloadEnded {
  BlobId blob;
  std::optional<Refusal> refusal;  // none: the blob is verified and stored
};
struct UploadMoved {
  TaskKey key;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};
struct UploadEnded {
  TaskKey key;
  std::optional<Refusal> refusal;  // none: the broker has the blob on disk
};

}  // namespace event

using Event = std::variant<event::Started, event::Woke, event::DialFailed, event::SessionOpened,
                           event::SessionEnded, event::Received, event::TrainerPrepared,
                           event::TrainerProgressed, event::TrainerFinished, event::TrainerRefused,
                           event::TrainerGone, event::OutputStored, event::OutputLost,
                           event::DownloadMoved, event::DownloadEnded, event::UploadMoved,
                           event::UploadEnded, event::Decided, event::Paused, event::Resumed,
                           event::Reconfigured, event::PlaceTaken, event::WarmPlacesFull>;

namespace effect {

// --- journal ---

struct SavePromise {
  Promise promise;
};
struct ForgetPromise {  // and every outbox row and site state of the job
  JobId job;
};
struct SaveResult {
  OutboxEntry entry;
};
struct DropResult {
  TaskKey key;
};
struct SaveSiteState {  // in the place of an earlier one of the same round
  SiteState state;
};
struct DropSiteState {
  JobId job;
  Round round = 0;
};
// Into the ledger of what has left the house.
struct RecordDeparture {
  OutboxEntry entry;
  Departure departure = Departure::announced;
};

// Decisions are never deleted: they are the institution's record.
struct SaveDecision {
  Decision decision;
};
struct SpendRound {
  SpentRound round;
};
struct SavePause {
  Pause pause;
};
struct ClearPause {};

// --- the broker ---

struct Dial {};
struct HangUp {};  // no SessionEnded follows
struct Send {
  msg::Control message;
};

// --- trainers ---

// Starts a trainer and has it prepare the job. An empty `evaluate_dataset`: not evaluated here.
struct StartTrainer {
  TrainerId trainer = 0;
  JobId job;
  JobSpec spec;
  std::string evaluate_dataset;
};
struct RunTask {
  TrainerId trainer = 0;
  TaskOrder order;
  std::uint64_t cell_min = 0;     // of statistics: rows behind every number that is told
  std::optional<BlobId> own{};    // of the site's state to start from
  bool keeps_own = false;         // the trainer writes the next one
  std::optional<JobId> own_of{};  // of a prediction: what that job has handed out is laid over
};
struct StopTrainer {
  TrainerId trainer = 0;
};
// The machine's trainer pool, where there is one. Asks for one place to compute in, until
// PlaceTaken; StartTrainer and RunTask use it up, and a trainer keeps it until it rests or ends.
struct SeekPlace {};
// Asks no longer, and gives back a place that nobody has used.
struct LeavePlace {};
// The trainer has no work: it gives its place back and takes one among the warm ones.
struct RestTrainer {
  TrainerId trainer = 0;
};
// Checks the file that a task wrote, encodes it as `update` says and moves it into the blob store.
struct StoreOutput {
  TaskKey key;
  TensorLayout layout;  // of the file, before it is encoded
  TensorLayout own{};   // of the file beside it that stays here; empty: there is none
  UpdateSpec update;
  std::uint64_t rounding_seed = 0;
  std::optional<BlobId> residual;  // of the rounds before; of topk
};
// Gives the site's people what their site has of its own in a job, in the place of what it had
// before; it outlives the job.
struct HandOut {
  JobId job;
  BlobId own;
};
struct RemoveWorkFolder {
  JobId job;
};

// --- blobs ---

struct Download {
  BlobId blob;
};
struct StopDownload {
  BlobId blob;
};
struct Upload {
  TaskKey key;
  BlobId blob;
};
struct StopUpload {
  TaskKey key;
};
struct RemoveBlob {
  BlobId blob;
};

// --- people ---

struct Note {
  bool warning = false;
  std::string event;
  std::string sentence;
  std::string job;  // empty when no one job is meant
};

}  // namespace effect

using Effect =
    std::variant<effect::SavePromise, effect::ForgetPromise, effect::SaveResult, effect::DropResult,
                 effect::SaveSiteState, effect::DropSiteState, effect::RecordDeparture,
                 effect::SaveDecision, effect::SpendRound, effect::SavePause, effect::ClearPause,
                 effect::Dial, effect::HangUp, effect::Send, effect::StartTrainer, effect::RunTask,
                 effect::StopTrainer, effect::SeekPlace, effect::LeavePlace, effect::RestTrainer,
                 effect::StoreOutput, effect::HandOut, effect::RemoveWorkFolder, effect::Download,
                 effect::StopDownload, effect::Upload, effect::StopUpload, effect::RemoveBlob,
                 effect::Note>;

using Effects = std::vector<Effect>;

}  // namespace entente::agent
