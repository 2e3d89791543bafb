#include "tests/unit/agent_service/scripted_broker.h"

#include <algorithm>

namespace entente::agent {

ScriptedBroker::ScriptedBroker(const Kit& kit, const std::filesystem::path& folder)
    : blobs_(folder), brought_(folder / "brought") {
  broker::DataPlaneHandlers data_handlers;
  data_handlers.on_arrived = [this](broker::BlobArrived arrived) {
    EXPECT_TRUE(arrived.check) << arrived.check.error().message;
    const std::lock_guard lock(mutex_);
    arrived_.push_back(arrived.blob);
    changed_.notify_all();
  };
  data_handlers.on_moved = [](const broker::BlobMoved&) {};
  data_handlers.close_session = [](SessionId) { ADD_FAILURE() << "a site broke the protocol"; };
  data_handlers.on_failure = [](const std::string& what) { ADD_FAILURE() << what; };
  data_plane_ = std::make_unique<broker::DataPlane>(
      blobs_, brought_, msg::Welcome{1, 0, "hub", "0.1", {}}, std::move(data_handlers));
  net::TlsFrontHandlers handlers;
  handlers.on_up = [this](net::SessionUp up) {
    if (up.plane == Plane::data) {
      data_plane_->session_up(std::move(up));
    } else {
      (void)ups_.push(std::move(up));
    }
  };
  handlers.on_down = [this](const net::SessionDown& down) {
    if (down.plane == Plane::data) {
      data_plane_->session_down(down.session);
    }
  };
  handlers.on_refused = [](const net::HandshakeRefused& refused) {
    ADD_FAILURE() << refused.reason.message;
  };
  front_ = std::make_unique<net::TlsFront>("127.0.0.1", 0, TlsContext::server(kit).value(),
                                           kit.identity.consortium, std::move(handlers));
}

ScriptedBroker::~ScriptedBroker() {
  ups_.close();
  front_.reset();
}

void ScriptedBroker::send(msg::Control message) {
  const wire::Bytes bytes = wire::encode(message);
  EXPECT_TRUE(port_.send(session_, {zmq::message_t(bytes.data(), bytes.size()), std::nullopt}));
}

std::optional<msg::Control> ScriptedBroker::next(std::chrono::steady_clock::time_point deadline) {
  if (auto received = port_.receive()) {
    const zmq::message_t& envelope = received->frames.envelope;
    auto message = wire::decode_control({envelope.data<std::byte>(), envelope.size()});
    if (!message) {
      ADD_FAILURE() << message.error().message;
      return std::nullopt;
    }
    if (std::holds_alternative<msg::Hello>(*message)) {
      session_ = received->session;
      send(msg::Welcome{1, session_, "hub", "0.1", {}});
    }
    return std::move(*message);
  }
  for (const net::SessionUp& up : ups_.drain()) {
    port_.attach(up);
  }
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  std::array<zmq::pollitem_t, 2> items{
      {{port_.socket().handle(), 0, ZMQ_POLLIN, 0}, {nullptr, ups_.fd(), ZMQ_POLLIN, 0}}};
  zmq::poll(items.data(), items.size(), std::max(left, std::chrono::milliseconds(0)));
  return std::nullopt;
}

bool ScriptedBroker::await_blob(const BlobId& blob) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] {
    return std::find(arrived_.begin(), arrived_.end(), blob) != arrived_.end();
  });
}

}  // namespace entente::agent
