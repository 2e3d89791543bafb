// Every message of the protocol, as values. schemas/ documents them for other implementers;
// common/wire turns them into bytes and back.
//
// Control plane, session:      Hello -> Welcome | Refused
// Control plane, site:         Advert, JobReply, JobWaits, TaskReport, ResultAnnounce, TaskFailed
//                                                                                     (to broker)
//                              JobOffer, JobPaused, JobClosed, TaskOffer, ResultGrant,
//                              ResultVerdict                                            (to site)
// Control plane, coordinator:  Request -> Reply; JobUpdate follows a WatchJob request
// Data plane:                  Hello -> Welcome | Refused, then the Blob* messages
//
// A broker or agent that comes back repeats what is open: the broker its offers, the agent its
// announcements. Every message is therefore idempotent by its key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/domain/audit.h"
#include "common/domain/explanation.h"
#include "common/domain/job_spec.h"
#include "common/domain/job_view.h"
#include "common/domain/site.h"
#include "common/domain/task.h"

namespace entente::msg {

// The versions of the protocol that this build speaks.
constexpr std::uint32_t kProtocolMin = 1;
constexpr std::uint32_t kProtocolMax = 1;

// --- session ---

// First message of every session, on both planes.
struct Hello {
  std::uint32_t protocol_min = kProtocolMin;
  std::uint32_t protocol_max = kProtocolMax;
  std::string version;         // of the software, for people
  std::uint64_t instance = 0;  // random per installation: tells a reconnect from an impostor
  std::vector<std::string> capabilities;
  bool operator==(const Hello&) const = default;
};

// The session is open. Only now is the peer "connected".
struct Welcome {
  std::uint32_t protocol = kProtocolMax;
  SessionId session = 0;
  std::string broker;   // name in its certificate
  std::string version;  // of its software
  std::vector<std::string> capabilities;
  bool operator==(const Welcome&) const = default;
};

// The sender will not serve this session and closes it.
struct Refused {
  Refusal reason;
  bool operator==(const Refused&) const = default;
};

// --- broker and site ---

struct Advert {
  SiteAdvert advert;
  bool operator==(const Advert&) const = default;
};

// Asks a site to take part in a job. The site evaluates its policy and has a trainer check the
// data.
struct JobOffer {
  JobId job;
  std::string coordinator;  // name of who submitted it
  JobSpec spec;
  Digest spec_digest;
  bool operator==(const JobOffer&) const = default;
};

struct JobReply {
  JobId job;
  Digest spec_digest;
  std::optional<Refusal> decline;  // none: accepted
  bool operator==(const JobReply&) const = default;
};

// The site can't work on the job for now; its answer, or its work, comes later.
struct JobWaits {
  JobId job;
  Digest spec_digest;
  std::string reason;  // one sentence; empty: it waits no longer
  bool operator==(const JobWaits&) const = default;
};

// The job has ended or no longer wants this site: stop its trainer, forget its tasks.
struct JobClosed {
  JobId job;
  std::string reason;
  bool operator==(const JobClosed&) const = default;
};

// The job holds no slot of the site for now: stop its trainer and its tasks. What was promised, and
// what is finished, stays; the job goes on with its next TaskOffer.
struct JobPaused {
  JobId job;
  std::string reason;
  bool operator==(const JobPaused&) const = default;
};

struct TaskOffer {
  TaskOrder order;
  bool operator==(const TaskOffer&) const = default;
};

// The task is alive: it has moved bytes or taken steps since the last report.
struct TaskReport {
  TaskKey key;
  TaskProgress progress;
  bool operator==(const TaskReport&) const = default;
};

// The task has finished; its blob, if it has one, waits at the site.
struct ResultAnnounce {
  TaskKey key;
  TaskResult result;
  bool operator==(const ResultAnnounce&) const = default;
};

// The blob of this result may now be put on the data plane.
struct ResultGrant {
  TaskKey key;
  BlobId blob;
  bool operator==(const ResultGrant&) const = default;
};

// The broker's last word on a result, sent after it is durable. The site may forget the result.
struct ResultVerdict {
  TaskKey key;
  std::optional<Refusal> refusal;  // none: accepted
  bool operator==(const ResultVerdict&) const = default;
};

struct TaskFailed {
  TaskKey key;
  TaskFailure failure;
  bool operator==(const TaskFailed&) const = default;
};

// --- coordinator ---

struct SubmitJob {
  JobSpec spec;
  // Chosen by the sender; not empty: the same words again are the same job, not another one.
  std::string token;
  bool operator==(const SubmitJob&) const = default;
};
struct ListJobs {
  std::optional<JobState> state{};  // none: in any
  bool mine = false;                // only those that the sender has submitted
  bool operator==(const ListJobs&) const = default;
};
struct ShowJob {
  JobId job;
  bool operator==(const ShowJob&) const = default;
};
// Sends JobUpdate messages with the request's id from event `after_seq` + 1 until the job has
// ended.
struct WatchJob {
  JobId job;
  std::uint64_t after_seq = 0;
  bool operator==(const WatchJob&) const = default;
};
// The job's events after `after_seq` so far, as many as one message holds.
struct ListEvents {
  JobId job;
  std::uint64_t after_seq = 0;
  bool operator==(const ListEvents&) const = default;
};
struct AbortJob {
  JobId job;
  std::string reason;
  bool operator==(const AbortJob&) const = default;
};
// Gives the job's slots back until ResumeJob; what it has so far stays. Repeating it with another
// reason, not an empty one, replaces the reason.
struct PauseJob {
  JobId job;
  std::string reason;
  bool operator==(const PauseJob&) const = default;
};
struct ResumeJob {
  JobId job;
  bool operator==(const ResumeJob&) const = default;
};
struct ExplainJob {
  JobId job;
  bool operator==(const ExplainJob&) const = default;
};
// What would happen to such a job; nothing is stored.
struct ExplainSpec {
  JobSpec spec;
  bool operator==(const ExplainSpec&) const = default;
};
struct ListSites {
  bool operator==(const ListSites&) const = default;
};
// Of operators only. The site finishes the tasks that it has and gets no new ones until ResumeSite.
struct DrainSite {
  SiteId site;
  std::string reason;
  bool operator==(const DrainSite&) const = default;
};
struct ResumeSite {
  SiteId site;
  bool operator==(const ResumeSite&) const = default;
};
struct ListModels {
  std::optional<JobId> job{};  // none: of all jobs
  bool operator==(const ListModels&) const = default;
};
// The reply's grant lets this coordinator get the model's blob on the data plane.
struct ShowModel {
  JobId job;
  std::optional<Round> version;  // none: the newest
  bool operator==(const ShowModel&) const = default;
};

// The newest entries of the audit log, of one job where it is named. Auditors and operators read
// all of it, coordinators what concerns their own jobs.
struct ShowAudit {
  std::optional<JobId> job;
  std::uint32_t limit = 0;
  bool operator==(const ShowAudit&) const = default;
};
// The entries after `after_seq`, as many as one message holds: whoever follows the whole log asks
// until there are no more.
struct ReadAudit {
  std::uint64_t after_seq = 0;
  bool operator==(const ReadAudit&) const = default;
};

using RequestBody = std::variant<SubmitJob, ListJobs, ShowJob, WatchJob, AbortJob, ListSites,
                                 ListModels, ShowModel, DrainSite, ResumeSite, ShowAudit, ReadAudit,
                                 ListEvents, ExplainJob, ExplainSpec, PauseJob, ResumeJob>;

struct Request {
  std::uint64_t id = 0;  // chosen by the sender, returned in the reply
  RequestBody body;
  bool operator==(const Request&) const = default;
};

struct Done {
  bool operator==(const Done&) const = default;
};

using ReplyBody = std::variant<Done,        // AbortJob, WatchJob, DrainSite, ResumeSite
                               Refusal,     // to any request
                               JobSummary,  // SubmitJob, PauseJob, ResumeJob
                               std::vector<JobSummary>,  // ListJobs
                               JobView,                  // ShowJob
                               std::vector<SiteView>,    // ListSites
                               std::vector<ModelView>,   // ListModels
                               ModelView,                // ShowModel
                               Explanation,              // ExplainJob, ExplainSpec
                               std::vector<AuditEntry>,  // ShowAudit, ReadAudit
                               std::vector<JobEvent>>;   // ListEvents

struct Reply {
  std::uint64_t id = 0;
  ReplyBody body;
  bool operator==(const Reply&) const = default;
};

struct JobUpdate {
  std::uint64_t id = 0;  // of the WatchJob request
  JobSummary summary;
  std::vector<JobEvent> events;    // each once, in order
  std::vector<JobSiteView> sites;  // as they are now
  bool operator==(const JobUpdate&) const = default;
};

using Control = std::variant<Hello, Welcome, Refused, Advert, JobOffer, JobReply, JobClosed,
                             TaskOffer, TaskReport, ResultAnnounce, ResultGrant, ResultVerdict,
                             TaskFailed, Request, Reply, JobUpdate, JobWaits, JobPaused>;

// --- data plane ---

// Asks to store a blob of exactly `bytes` bytes. Needs a grant.
struct BlobPut {
  BlobId blob;
  std::uint64_t bytes = 0;
  bool operator==(const BlobPut&) const = default;
};

// Answer to BlobPut: send from `offset` on (equal to the size when everything is there already),
// with at most `credit` chunks under way.
struct BlobReady {
  BlobId blob;
  std::uint64_t offset = 0;
  std::uint32_t credit = 0;
  bool operator==(const BlobReady&) const = default;
};

// The payload frame carries the bytes from `offset` on.
struct BlobChunk {
  BlobId blob;
  std::uint64_t offset = 0;
  bool operator==(const BlobChunk&) const = default;
};

// The receiver has taken `chunks` more chunks; as many more may be sent.
struct BlobCredit {
  BlobId blob;
  std::uint32_t chunks = 0;
  bool operator==(const BlobCredit&) const = default;
};

// The whole blob is verified and on disk.
struct BlobStored {
  BlobId blob;
  bool operator==(const BlobStored&) const = default;
};

// Asks for the blob from `offset` on, in chunks, with at most `credit` under way. Needs a grant.
struct BlobGet {
  BlobId blob;
  std::uint64_t offset = 0;
  std::uint32_t credit = 0;
  bool operator==(const BlobGet&) const = default;
};

// Precedes the chunks that answer a BlobGet.
struct BlobSize {
  BlobId blob;
  std::uint64_t bytes = 0;
  bool operator==(const BlobSize&) const = default;
};

struct BlobRefused {
  BlobId blob;
  Refusal reason;
  bool operator==(const BlobRefused&) const = default;
};

using Data = std::variant<Hello, Welcome, Refused, BlobPut, BlobReady, BlobChunk, BlobCredit,
                          BlobStored, BlobGet, BlobSize, BlobRefused>;

}  // namespace entente::msg
