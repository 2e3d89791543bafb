#include "coordinator/broker_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "common/base/limits.h"
#include "common/base/version.h"
#include "common/blob/blob_store.h"
#include "common/blob/transfer.h"
#include "common/crypto/random.h"
#include "common/crypto/tls_context.h"
#include "common/runtime/system_clock.h"
#include "common/wire/control_codec.h"

namespace entente::cli {
namespace {

// The broker answers in milliseconds; a loaded one on a slow link gets this long.
constexpr Millis kAnswerMax{30'000};

// A watcher that lost its broker tries again this often, for as long as the user lets it.
constexpr std::chrono::seconds kRedialEvery{2};

// A quiet job sends nothing for long; the session itself tells when the broker is gone.
constexpr Millis kWatchPoll{1'000};

msg::Hello hello() {
  msg::Hello hello;
  hello.version = kVersion;
  hello.instance = random_u64();
  return hello;
}

bool send(net::ClientSession& session, const msg::Control& message) {
  const auto bytes = wire::encode(message);
  return session.send({zmq::message_t(bytes.data(), bytes.size()), {}});
}

Refusal gone(const net::ClientSession& session) {
  auto reason = session.ended();
  return reason ? *std::move(reason)
                : Refusal{"broker_unreachable", "the broker does not answer",
                          "see whether it is running and reachable", Scope::broker};
}

// The next control message; a refusal when the session ends or nothing comes in time.
Expected<msg::Control> receive(net::ClientSession& session, Millis timeout) {
  const auto frames = session.receive(timeout);
  if (!frames) {
    return tl::unexpected(gone(session));
  }
  return wire::decode_control({frames->envelope.data<std::byte>(), frames->envelope.size()});
}

Expected<void> greet(net::ClientSession& session) {
  if (!send(session, hello())) {
    return tl::unexpected(gone(session));
  }
  auto answer = receive(session, limits::kHandshakeMax);
  if (!answer) {
    return tl::unexpected(answer.error());
  }
  if (const auto* refused = std::get_if<msg::Refused>(&*answer)) {
    return tl::unexpected(refused->reason);
  }
  if (!std::holds_alternative<msg::Welcome>(*answer)) {
    return refuse("protocol_violated", "the broker did not answer with a greeting", "",
                  Scope::broker);
  }
  return {};
}

// A long history comes in several updates, each with the job's state of now: the last one is that
// with the event of the job's end, or the one that has nothing to add.
bool tells_the_end(const msg::JobUpdate& update) {
  const auto ends = [](const JobEvent& event) {
    return event.kind == JobEventKind::completed || event.kind == JobEventKind::failed ||
           event.kind == JobEventKind::aborted;
  };
  return is_terminal(update.summary.state) &&
         (update.events.empty() || std::any_of(update.events.begin(), update.events.end(), ends));
}

}  // namespace

BrokerClient::BrokerClient(std::unique_ptr<zmq::context_t> zmq, Kit kit,
                           std::unique_ptr<net::ClientSession> session)
    : zmq_(std::move(zmq)), kit_(std::move(kit)), session_(std::move(session)) {}

Expected<std::unique_ptr<net::ClientSession>> BrokerClient::dial(zmq::context_t& zmq,
                                                                 const Kit& kit) {
  auto tls = TlsContext::client(kit, Plane::control);
  if (!tls) {
    return tl::unexpected(tls.error());
  }
  auto session = net::ClientSession::open(
      zmq, {kit.broker, kit.proxy, *std::move(tls), kit.identity.consortium, Plane::control});
  if (!session) {
    return session;
  }
  if (auto greeted = greet(**session); !greeted) {
    return tl::unexpected(greeted.error());
  }
  return session;
}

Expected<BrokerClient> BrokerClient::connect(const Options& options) {
  if (options.kit.empty()) {
    return refuse("kit_missing", "no kit was named: who are you?",
                  "pass --kit DIR or set ENTENTE_KIT; your consortium's operator issues kits",
                  Scope::broker);
  }
  auto kit = load_kit(options.kit, system_now().unix_ms);
  if (!kit) {
    return tl::unexpected(kit.error());
  }
  // As a site it would be taken for another installation of that site's agent.
  if (kit->identity.role == Role::site) {
    return refuse("not_authorised",
                  fmt::format("{} may not use this command; {} is its kit", kit->identity.path(),
                              options.kit.string()),
                  "name a coordinator's, an operator's or an auditor's kit with --kit DIR or "
                  "ENTENTE_KIT",
                  Scope::broker);
  }
  auto zmq = std::make_unique<zmq::context_t>();
  auto session = dial(*zmq, *kit);
  if (!session) {
    return tl::unexpected(session.error());
  }
  return BrokerClient(std::move(zmq), *std::move(kit), *std::move(session));
}

Expected<msg::ReplyBody> BrokerClient::exchange(msg::RequestBody request) {
  const auto id = ++last_request_;
  if (!send(*session_, msg::Request{id, std::move(request)})) {
    return tl::unexpected(gone(*session_));
  }
  while (true) {
    auto message = receive(*session_, kAnswerMax);
    if (!message) {
      return tl::unexpected(message.error());
    }
    if (auto* reply = std::get_if<msg::Reply>(&*message); reply != nullptr && reply->id == id) {
      if (const auto* refusal = std::get_if<Refusal>(&reply->body)) {
        return tl::unexpected(*refusal);
      }
      return std::move(reply->body);
    }
    if (const auto* refused = std::get_if<msg::Refused>(&*message)) {
      return tl::unexpected(refused->reason);
    }
  }
}

tl::unexpected<Refusal> BrokerClient::unexpected_answer() {
  return refuse("protocol_violated", "the broker's answer does not fit the request",
                "bring broker and command line to the same version", Scope::broker);
}

Expected<std::optional<JobSummary>> BrokerClient::follow(const JobId& job, std::uint64_t& seen,
                                                         const OnUpdate& on_update) {
  auto begun = ask<msg::Done>(msg::WatchJob{job, seen});
  if (!begun) {
    return tl::unexpected(begun.error());
  }
  while (true) {
    const auto frames = session_->receive(kWatchPoll);
    if (!frames) {
      if (session_->ended()) {
        return std::nullopt;
      }
      continue;
    }
    auto message =
        wire::decode_control({frames->envelope.data<std::byte>(), frames->envelope.size()});
    auto* update = message ? std::get_if<msg::JobUpdate>(&*message) : nullptr;
    if (update == nullptr) {
      continue;
    }
    // The backlog and the live stream may overlap.
    std::erase_if(update->events, [&seen](const JobEvent& event) { return event.seq <= seen; });
    if (!update->events.empty()) {
      seen = update->events.back().seq;
    }
    on_update(*update);
    if (tells_the_end(*update)) {
      return update->summary;
    }
  }
}

Expected<JobSummary> BrokerClient::submit(const JobSpec& spec, std::string token) {
  if (token.empty()) {
    token = random_hex(16);
  }
  auto job = ask<JobSummary>(msg::SubmitJob{spec, token});
  if (job || exit_code_for(job.error()) != ExitCode::unreachable) {
    return job;
  }
  auto session = dial(*zmq_, kit_);
  if (!session) {
    return job;
  }
  session_ = *std::move(session);
  return ask<JobSummary>(msg::SubmitJob{spec, std::move(token)});
}

Expected<JobSummary> BrokerClient::watch(const JobId& job, std::uint64_t after_seq,
                                         const OnUpdate& on_update,
                                         const OnInterrupted& on_interrupted) {
  auto seen = after_seq;
  while (true) {
    auto ended = follow(job, seen, on_update);
    if (!ended && exit_code_for(ended.error()) != ExitCode::unreachable && !session_->ended()) {
      return tl::unexpected(ended.error());
    }
    if (ended && *ended) {
      return **ended;
    }
    on_interrupted(gone(*session_));
    auto session = dial(*zmq_, kit_);
    while (!session) {
      if (exit_code_for(session.error()) == ExitCode::not_authorised) {
        return tl::unexpected(session.error());
      }
      std::this_thread::sleep_for(kRedialEvery);
      session = dial(*zmq_, kit_);
    }
    session_ = *std::move(session);
  }
}

Expected<std::unique_ptr<net::ClientSession>> BrokerClient::open_data_session() {
  auto tls = TlsContext::client(kit_, Plane::data);
  if (!tls) {
    return tl::unexpected(tls.error());
  }
  auto session = net::ClientSession::open(
      *zmq_, {kit_.broker, kit_.proxy, *std::move(tls), kit_.identity.consortium, Plane::data});
  if (!session) {
    return session;
  }
  if (auto greeted = open_data_plane(**session, hello()); !greeted) {
    return tl::unexpected(greeted.error());
  }
  return session;
}

Expected<void> BrokerClient::upload(const BlobStore& store, const BlobId& blob,
                                    const TransferProgress& progress) {
  auto session = open_data_session();
  if (!session) {
    return tl::unexpected(session.error());
  }
  Pace pace;
  const StopFlag stop{false};
  return put_blob(**session, pace, store, blob, progress, stop);
}

Expected<void> BrokerClient::download(const ModelView& model, const std::filesystem::path& output) {
  auto session = open_data_session();
  if (!session) {
    return tl::unexpected(session.error());
  }
  // Beside the output, so that the finished file can be renamed into place.
  const auto folder = std::filesystem::path(output.string() + ".download");
  BlobStore store(folder);
  const StopFlag stop{false};
  auto got = get_blob(
      **session, store, model.blob, [](std::uint64_t, std::uint64_t) {}, stop);
  if (!got) {
    return got;
  }
  std::filesystem::rename(store.path(model.blob), output);
  std::filesystem::remove_all(folder);
  return {};
}

}  // namespace entente::cli
