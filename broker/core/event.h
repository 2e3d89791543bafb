// What can happen to the broker. The shell turns the world into these, one at a time.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/domain/identity.h"
#include "common/domain/messages.h"

namespace entente::broker {

// A control session is up; the peer has said nothing yet.
struct SessionOpened {
  SessionId session = 0;
  Identity identity;
};

struct SessionClosed {
  SessionId session = 0;
};

struct MessageReceived {
  SessionId session = 0;
  msg::Control message;
  Digest spec_digest{};  // of a SubmitJob's spec, filled in by the shell
};

// An envelope that did not decode (wire::decode_control's refusal).
struct MessageRejected {
  SessionId session = 0;
  Refusal reason;
};

// The blob a site was allowed to put is stored and checked, or was refused.
struct UpdateArrived {
  std::string peer;  // Identity::path()
  BlobId blob;
  Expected<double> l2_norm;
};

// Bytes of a transfer have moved.
struct TransferMoved {
  std::string peer;
  BlobId blob;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

struct MergedModel {
  BlobId blob;
  std::uint64_t bytes = 0;
  std::optional<BlobId> server_state{};  // of a strategy that has one
  std::uint64_t server_state_bytes = 0;
};

struct MergeFinished {
  JobId job;
  Round round = 0;
  Expected<MergedModel> model;
  std::vector<BlobId> damaged{};  // updates that were, and are no longer stored: no model then
};

// Time has passed: sent when BrokerCore::next_wakeup() is reached.
struct Tick {};

using Event = std::variant<SessionOpened, SessionClosed, MessageReceived, MessageRejected,
                           UpdateArrived, TransferMoved, MergeFinished, Tick>;

}  // namespace entente::broker
