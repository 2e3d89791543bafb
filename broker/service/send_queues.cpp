#include "broker/service/send_queues.h"

#include <utility>

#include "common/base/limits.h"

namespace entente::broker {

bool SendQueues::send(SessionId session, wire::Bytes message) {
  const auto found = queues_.find(session);
  if (found == queues_.end() && hand_on(session, message)) {
    return true;
  }
  const std::size_t waiting = found == queues_.end() ? 0 : found->second.bytes;
  if (!router_.has(session) || waiting + message.size() > limits::kPeerQueueBytesMax) {
    return false;
  }
  auto& queue = queues_[session];
  queue.bytes += message.size();
  queue.messages.push_back(std::move(message));
  return true;
}

void SendQueues::flush() {
  for (auto entry = queues_.begin(); entry != queues_.end();) {
    auto& [session, queue] = *entry;
    while (!queue.messages.empty() && hand_on(session, queue.messages.front())) {
      queue.bytes -= queue.messages.front().size();
      queue.messages.pop_front();
    }
    entry = queue.messages.empty() ? queues_.erase(entry) : std::next(entry);
  }
}

bool SendQueues::hand_on(SessionId session, const wire::Bytes& message) {
  return router_.send(session, {zmq::message_t(message.data(), message.size()), {}});
}

}  // namespace entente::broker
