// What the core wants done. Rows are committed first, in one transaction; only then are the actions
// carried out, in order ("commit, then speak").
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "broker/core/rows.h"
#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/domain/messages.h"
#include "common/domain/tensor_layout.h"
#include "common/domain/update_spec.h"

namespace entente::broker {

struct Send {
  SessionId session = 0;
  msg::Control message;
};

// Closes after what was sent before has gone out.
struct CloseSession {
  SessionId session = 0;
  std::string reason;  // for the log
};

// Lets a peer put a blob on the data plane; with its checks (data_plane/data_plane.h).
struct GrantPut {
  std::string peer;
  BlobId blob;
  std::uint64_t bytes = 0;
  std::shared_ptr<const TensorLayout> layout;
  double l2_norm_max = 0;
  UpdateSpec update{};
  bool is_brought = false;  // the peer must show that it has the bytes (data_plane/file_inbox.h)
};

struct GrantGet {
  std::string peer;
  BlobId blob;
};

struct Revoke {
  std::string peer;
  BlobId blob;
};

struct MergeInput {
  SiteId site;
  BlobId update;
  double weight = 0;
  double factor = 1;  // what is left of it, because it comes late
  double loss = 0;    // of the global model there before training, where the strategy asks for it
  std::uint64_t steps = 0;
};

struct StartMerge {
  JobId job;
  Round round = 0;
  StrategySpec strategy;
  // Of the sites' training.
  double local_lr = 0;
  double local_momentum = 0;
  double prox_mu = 0;
  std::uint32_t places = 1;  // sites among which a round's are
  Digest spec_digest;
  BlobId model;
  bool from_zeros = false;  // what is merged is no change of the model, but stands by itself
  std::optional<BlobId> server_state;          // after the round before, if it has left any
  std::vector<MergeInput> updates;             // by site id; of one site in the order of its tasks
  UpdateSpec update;                           // how they are written down
  std::shared_ptr<const TensorLayout> layout;  // of the model
  std::shared_ptr<const TensorLayout> update_layout;  // of what the sites send of it
};

// No row names this blob any more.
struct DropBlob {
  BlobId blob;
};

// Reads the store and sends what it finds, as a JobUpdate or a Reply with this request's id.
struct SendEvents {
  SessionId session = 0;
  std::uint64_t request = 0;
  JobSummary summary;
  std::uint64_t after_seq = 0;
  std::uint64_t up_to_seq = 0;  // later ones reach the watcher as they happen
};
// As a Reply with a page of them.
struct SendEventPage {
  SessionId session = 0;
  std::uint64_t request = 0;
  JobId job;
  std::uint64_t after_seq = 0;
};
struct SendModels {
  SessionId session = 0;
  std::uint64_t request = 0;
  std::optional<JobId> job;      // none: every job's
  std::optional<Round> version;  // set: exactly this one, as a single ModelView
  std::string coordinator;       // not empty: only models of this coordinator's jobs
};

// `query` says which entries.
struct SendAudit {
  SessionId session = 0;
  std::uint64_t request = 0;
  std::variant<msg::ShowAudit, msg::ReadAudit> query;
};

using Action = std::variant<Send, CloseSession, GrantPut, GrantGet, Revoke, StartMerge, DropBlob,
                            SendEvents, SendEventPage, SendModels, SendAudit>;

// What the store answers itself, once the rows before it are durable.
[[nodiscard]] inline bool is_query(const Action& action) {
  return std::holds_alternative<SendEvents>(action) ||
         std::holds_alternative<SendEventPage>(action) ||
         std::holds_alternative<SendModels>(action) || std::holds_alternative<SendAudit>(action);
}

struct Effects {
  std::vector<Row> rows;
  std::vector<Action> actions;
};

}  // namespace entente::broker
