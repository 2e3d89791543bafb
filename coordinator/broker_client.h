// A coordinator's conversation with the broker: one control session for requests, another on the
// data plane for models.
//
// A request is answered or refused within a bound; a watch outlives broken connections and resumes
// after the last event it has seen. Not thread-safe.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/refusal.h"
#include "common/blob/transfer.h"
#include "common/crypto/kit.h"
#include "common/domain/messages.h"
#include "common/net/client_session.h"
#include "coordinator/output.h"

namespace entente::cli {

class BrokerClient {
 public:
  // Loads the kit, dials and greets. Refuses with the kit's, the dialler's or the broker's refusal,
  // and with "kit_missing" when no kit was named.
  [[nodiscard]] static Expected<BrokerClient> connect(const Options& options);

  BrokerClient(BrokerClient&&) = default;
  BrokerClient& operator=(BrokerClient&&) = delete;  // would end the context before its session

  // Sends a request and waits for its answer of type T. Refuses with the broker's refusal, or with
  // "broker_unreachable" when no answer comes.
  template <class T>
  [[nodiscard]] Expected<T> ask(msg::RequestBody request) {
    auto reply = exchange(std::move(request));
    if (!reply) {
      return tl::unexpected(reply.error());
    }
    if (auto* body = std::get_if<T>(&*reply)) {
      return std::move(*body);
    }
    return unexpected_answer();
  }

  // Submits under a token of its own unless one is given: when the connection breaks before the
  // answer, it asks again without making a second job.
  [[nodiscard]] Expected<JobSummary> submit(const JobSpec& spec, std::string token);

  // Follows a job until it has ended: each event after `after_seq` once, in order, and live
  // progress in between. Returns the job's last summary.
  using OnUpdate = std::function<void(const msg::JobUpdate& update)>;
  using OnInterrupted = std::function<void(const Refusal& reason)>;
  [[nodiscard]] Expected<JobSummary> watch(const JobId& job, std::uint64_t after_seq,
                                           const OnUpdate& on_update,
                                           const OnInterrupted& on_interrupted);

  // Gets a model's blob that ShowModel has granted, resuming an earlier try, and writes it to
  // `output`.
  [[nodiscard]] Expected<void> download(const ModelView& model,
                                        const std::filesystem::path& output);

  // Sends a blob of `store` that the broker awaits of this coordinator, from where an earlier try
  // broke off. Refuses with the broker's refusal, or with "transfer_cut".
  [[nodiscard]] Expected<void> upload(const BlobStore& store, const BlobId& blob,
                                      const TransferProgress& progress);

 private:
  BrokerClient(std::unique_ptr<zmq::context_t> zmq, Kit kit,
               std::unique_ptr<net::ClientSession> session);
  [[nodiscard]] static Expected<std::unique_ptr<net::ClientSession>> dial(zmq::context_t& zmq,
                                                                          const Kit& kit);
  [[nodiscard]] Expected<std::unique_ptr<net::ClientSession>> open_data_session();
  [[nodiscard]] Expected<msg::ReplyBody> exchange(msg::RequestBody request);
  [[nodiscard]] Expected<std::optional<JobSummary>> follow(const JobId& job, std::uint64_t& seen,
                                                           const OnUpdate& on_update);
  [[nodiscard]] static tl::unexpected<Refusal> unexpected_answer();

  std::unique_ptr<zmq::context_t> zmq_;  // of all sessions
  Kit kit_;
  std::unique_ptr<net::ClientSession> session_;
  std::uint64_t last_request_ = 0;
};

}  // namespace entente::cli
