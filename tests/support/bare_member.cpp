#include "tests/support/bare_member.h"

#include <utility>

#include "common/wire/control_codec.h"

namespace entente::integration {

BareMember::BareMember(zmq::context_t& zmq, const Kit& kit, std::uint64_t instance) {
  auto context = TlsContext::client(kit, Plane::control);
  if (!context) {
    throw std::runtime_error(context.error().message);
  }
  auto session = net::ClientSession::open(
      zmq, {kit.broker, "", *std::move(context), kit.identity.consortium, Plane::control});
  if (!session) {
    throw std::runtime_error(session.error().message);
  }
  session_ = *std::move(session);
  msg::Hello hello;
  hello.version = "0.1.0";
  hello.instance = instance;
  send(hello);
  (void)await<msg::Welcome>();
}

void BareMember::send(const msg::Control& message) {
  const auto bytes = wire::encode(message);
  if (!session_->send({zmq::message_t(bytes.data(), bytes.size()), {}})) {
    throw std::runtime_error("the broker takes no more");
  }
}

msg::ReplyBody BareMember::ask(msg::RequestBody request) {
  send(msg::Request{++last_request_, std::move(request)});
  for (;;) {
    auto reply = await<msg::Reply>();
    if (reply.id == last_request_) {
      return std::move(reply.body);
    }
  }
}

msg::Control BareMember::next() {
  const auto frames = session_->receive(kPatience);
  if (!frames) {
    const auto end = session_->ended();
    throw std::runtime_error(end ? end->message : "the broker says nothing");
  }
  auto message =
      wire::decode_control({frames->envelope.data<std::byte>(), frames->envelope.size()});
  if (!message) {
    throw std::runtime_error(message.error().message);
  }
  if (const auto* refused = std::get_if<msg::Refused>(&*message)) {
    throw std::runtime_error(refused->reason.message);
  }
  return *std::move(message);
}

}  // namespace entente::integration
