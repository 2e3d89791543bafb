#include "broker/service/broker_loop.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/runtime/failpoint.h"
#include "common/runtime/log.h"
#include "common/runtime/system_clock.h"
#include "common/wire/control_codec.h"
#include "common/wire/job_codec.h"

namespace entente::broker {
namespace {

// Messages taken from the socket in one turn, so that one talkative peer does not delay the rest.
constexpr int kMessagesPerTurn = 256;

// Without anything to do the loop still looks around this often.
constexpr Millis kWaitMax{60'000};

// While messages wait for a peer that reads slowly.
constexpr Millis kFlushEvery{20};

std::span<const std::byte> bytes_of(const zmq::message_t& message) {
  return {static_cast<const std::byte*>(message.data()), message.size()};
}

Event event_of(SessionId session, const net::Frames& frames) {
  if (frames.payload) {
    return MessageRejected{session,
                           {"message_invalid", "a control message has one frame", "", Scope::site}};
  }
  auto message = wire::decode_control(bytes_of(frames.envelope));
  if (!message) {
    return MessageRejected{session, std::move(message.error())};
  }
  Digest digest{};
  if (const auto* request = std::get_if<msg::Request>(&*message)) {
    if (const auto* submit = std::get_if<msg::SubmitJob>(&request->body)) {
      digest = wire::spec_digest(submit->spec);
    }
  }
  return MessageReceived{session, *std::move(message), digest};
}

bool is_acceptance(const msg::Control& message) {
  const auto* verdict = std::get_if<msg::ResultVerdict>(&message);
  return verdict != nullptr && !verdict->refusal;
}

// The messages that make or keep a promise, for the failpoint walk.
void reach_before(const msg::Control& message) {
  if (is_acceptance(message)) {
    ENTENTE_FAILPOINT("broker.verdict.before");
  }
  const auto* reply = std::get_if<msg::Reply>(&message);
  if (reply != nullptr && std::holds_alternative<JobSummary>(reply->body)) {
    ENTENTE_FAILPOINT("broker.submit.accepted");
  }
}

void reach_after(const msg::Control& message) {
  if (is_acceptance(message)) {
    ENTENTE_FAILPOINT("broker.verdict.sent");
  } else if (std::holds_alternative<msg::JobOffer>(message)) {
    ENTENTE_FAILPOINT("broker.offer.sent");
  } else if (std::holds_alternative<msg::TaskOffer>(message)) {
    ENTENTE_FAILPOINT("broker.task.sent");
  } else if (std::holds_alternative<msg::ResultGrant>(message)) {
    ENTENTE_FAILPOINT("broker.grant.sent");
  }
}

}  // namespace

BrokerLoop::BrokerLoop(BrokerCore core, LoopInbox& inbox, LoopParts parts)
    : core_(std::move(core)), inbox_(inbox), parts_(parts), queues_(parts.router) {}

std::optional<std::string> BrokerLoop::run(StopSignal& stop) {
  hand_over(core_.resume(system_now()));
  while (!failure_) {
    wait(stop);
    if (stop.take() != 0) {
      log::info("stopping", "asked to stop; jobs go on when the broker is back");
      stop.let_the_next_end_the_process();
      drain();
      break;
    }
    take_inbox();
    take_messages();
    take_time();
  }
  return failure_;
}

// What peers and threads say from here on is left to the next start, which asks for it again.
void BrokerLoop::drain() {
  parts_.front.stop_accepting();
  const auto until = system_now().monotonic + kDrainMax;
  const auto sessions = parts_.router.sessions();
  std::set<SessionId> open(sessions.begin(), sessions.end());
  const auto unsaid = [this] { return uncommitted_ > 0 || queues_.waiting(); };
  while (unsaid() && !failure_ && system_now().monotonic < until) {
    take_last_words(until, open);
  }
  for (const auto session : sessions) {
    parts_.router.detach(session);
  }
  while (!open.empty() && !failure_ && system_now().monotonic < until) {
    take_last_words(until, open);
  }
}

void BrokerLoop::take_last_words(Monotonic until, std::set<SessionId>& open) {
  // The ROUTER, too: a peer is let go of only when somebody looks at the socket.
  std::array items{zmq::pollitem_t{nullptr, inbox_.fd(), ZMQ_POLLIN, 0},
                   zmq::pollitem_t{parts_.router.socket().handle(), 0, ZMQ_POLLIN, 0}};
  const auto left = std::chrono::ceil<Millis>(flush(until) - system_now().monotonic);
  zmq::poll(items.data(), items.size(), std::max(Millis(0), left));
  while (parts_.router.receive()) {
  }
  for (auto& message : inbox_.drain()) {
    if (auto* committed = std::get_if<Committed>(&message)) {
      handle(std::move(*committed));
    } else if (const auto* down = std::get_if<net::SessionDown>(&message)) {
      open.erase(down->session);
    } else if (const auto* failed = std::get_if<ThreadFailed>(&message)) {
      handle(*failed);
    }
  }
}

void BrokerLoop::wait(StopSignal& stop) {
  const auto now = system_now().monotonic;
  const bool may_take_messages = uncommitted_ < StoreThread::kBatchesMax / 2;
  auto due = now + kWaitMax;
  if (const auto wakeup = core_.next_wakeup()) {
    due = std::min(due, *wakeup);
  }
  if (may_take_messages && parts_.router.holds_message()) {
    due = now;
  }
  const auto timeout = std::max(Millis(0), flush(due) - now);
  std::array items{zmq::pollitem_t{nullptr, inbox_.fd(), ZMQ_POLLIN, 0},
                   zmq::pollitem_t{nullptr, stop.fd(), ZMQ_POLLIN, 0},
                   zmq::pollitem_t{parts_.router.socket().handle(), 0, ZMQ_POLLIN, 0}};
  zmq::poll(items.data(), may_take_messages ? items.size() : items.size() - 1, timeout);
}

Monotonic BrokerLoop::flush(Monotonic due) {
  queues_.flush();
  return queues_.waiting() ? std::min(due, system_now().monotonic + kFlushEvery) : due;
}

void BrokerLoop::take_inbox() {
  for (auto& message : inbox_.drain()) {
    std::visit([this](auto& one) { handle(std::move(one)); }, message);
  }
}

void BrokerLoop::take_messages() {
  for (int taken = 0; taken < kMessagesPerTurn && uncommitted_ < StoreThread::kBatchesMax / 2;
       ++taken) {
    auto received = parts_.router.receive();
    if (!received) {
      return;
    }
    decide(event_of(received->session, received->frames));
  }
}

void BrokerLoop::take_time() {
  const auto wakeup = core_.next_wakeup();
  if (wakeup && *wakeup <= system_now().monotonic) {
    decide(Tick{});
  }
}

void BrokerLoop::decide(const Event& event) { hand_over(core_.step(event, system_now())); }

void BrokerLoop::hand_over(Effects effects) {
  if (effects.rows.empty() && effects.actions.empty()) {
    return;
  }
  const bool needs_store = !effects.rows.empty() ||
                           std::any_of(effects.actions.begin(), effects.actions.end(), is_query);
  if (!needs_store && uncommitted_ == 0) {
    for (auto& action : effects.actions) {
      std::visit([this](auto& one) { carry_out(one); }, action);
    }
    return;
  }
  ++uncommitted_;
  parts_.store.push(std::move(effects));
}

void BrokerLoop::handle(net::SessionUp up) {
  parts_.router.attach(up);
  decide(SessionOpened{up.session, up.identity});
  log::info("session_up", up.identity.path() + " has connected",
            {{"session", std::to_string(up.session)}, {"remote", up.remote}});
}

void BrokerLoop::handle(const net::SessionDown& down) {
  queues_.forget(down.session);
  parts_.router.detach(down.session);
  decide(SessionClosed{down.session});
  log::info("session_down", down.reason.empty() ? "closed by the peer" : down.reason,
            {{"session", std::to_string(down.session)}});
}

void BrokerLoop::handle(const net::HandshakeRefused& refused) {
  log::warning("handshake_refused", refused.reason.message,
               {{"remote", refused.remote}, {"code", refused.reason.code}});
}

void BrokerLoop::handle(Committed committed) {
  ENTENTE_CHECK(uncommitted_ > 0);
  --uncommitted_;
  ENTENTE_FAILPOINT("broker.actions.before");
  for (auto& action : committed.actions) {
    std::visit([this](auto& one) { carry_out(one); }, action);
  }
  ENTENTE_FAILPOINT("broker.actions.after");
}

void BrokerLoop::carry_out(Send& send) {
  reach_before(send.message);
  if (!queues_.send(send.session, wire::encode(send.message))) {
    close(send.session, "does not take its messages");
  }
  reach_after(send.message);
}

void BrokerLoop::carry_out(const GrantPut& grant) {
  parts_.data_plane.grant(PutGrant{grant.peer, grant.blob, grant.bytes, grant.layout,
                                   grant.l2_norm_max, grant.update, grant.is_brought});
}

void BrokerLoop::carry_out(const DropBlob& drop) {
  parts_.blobs.remove(drop.blob);
  ENTENTE_FAILPOINT("broker.blob.dropped");
}

// The store has turned these into Send.
void BrokerLoop::carry_out(const SendEvents&) { ENTENTE_CHECK(false); }
void BrokerLoop::carry_out(const SendEventPage&) { ENTENTE_CHECK(false); }
void BrokerLoop::carry_out(const SendModels&) { ENTENTE_CHECK(false); }
void BrokerLoop::carry_out(const SendAudit&) { ENTENTE_CHECK(false); }

// What was sent before still leaves; then the front sees the end of the stream and ends the
// session.
void BrokerLoop::close(SessionId session, const std::string& reason) {
  if (parts_.router.has(session)) {
    log::warning("session_closed", reason, {{"session", std::to_string(session)}});
    queues_.forget(session);
    parts_.router.detach(session);
  }
}

}  // namespace entente::broker
