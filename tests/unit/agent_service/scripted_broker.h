// The broker's side of the wire under a test's control: a TLS front, a control ROUTER and the real
// data plane. The test thread owns the ROUTER: it says what the broker says and awaits the site's
// words, each within a bound.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>
#include <zmq.hpp>

#include "broker/data_plane/data_plane.h"
#include "common/blob/blob_store.h"
#include "common/net/router_port.h"
#include "common/net/tls_front.h"
#include "common/runtime/mailbox.h"
#include "common/wire/control_codec.h"

namespace entente::agent {

class ScriptedBroker {
 public:
  ScriptedBroker(const Kit& kit, const std::filesystem::path& folder);
  ~ScriptedBroker();

  [[nodiscard]] std::string address() const {
    return "127.0.0.1:" + std::to_string(front_->port());
  }
  [[nodiscard]] BlobStore& blobs() { return blobs_; }
  [[nodiscard]] broker::DataPlane& data_plane() { return *data_plane_; }

  void send(msg::Control message);
  void cut() { front_->close(session_); }

  // The next message of kind M; greets new sessions, passes over everything else.
  template <class M>
  [[nodiscard]] std::optional<M> await() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      if (auto message = next(deadline)) {
        if (M* it = std::get_if<M>(&*message)) {
          return std::move(*it);
        }
      }
    }
    ADD_FAILURE() << "the site did not say what was awaited";
    return std::nullopt;
  }

  // True when a blob has arrived and passed its checks.
  [[nodiscard]] bool await_blob(const BlobId& blob);

 private:
  static constexpr std::chrono::seconds kPatience{30};
  [[nodiscard]] std::optional<msg::Control> next(std::chrono::steady_clock::time_point deadline);

  BlobStore blobs_;
  broker::FileInbox brought_;
  zmq::context_t context_;
  net::RouterPort port_{context_};
  Mailbox<net::SessionUp> ups_{64};
  SessionId session_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<BlobId> arrived_;

  std::unique_ptr<broker::DataPlane> data_plane_;
  std::unique_ptr<net::TlsFront> front_;
};

}  // namespace entente::agent
