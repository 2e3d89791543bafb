#include "site-agent/service/data_sessions.h"

#include <chrono>
#include <utility>

#include "common/blob/transfer.h"

namespace entente::agent {
namespace {

// Rounds follow each other within this where keeping a session is worth anything.
constexpr std::chrono::seconds kIdleMax{20};

}  // namespace

Expected<DataSessions::Taken> DataSessions::take() {
  {
    const std::lock_guard lock(mutex_);
    while (!idle_.empty()) {
      Taken taken{std::move(idle_.back().session), std::move(idle_.back().pace), true};
      idle_.pop_back();
      if (!taken.session->ended()) {
        return taken;
      }
    }
  }
  return open();
}

Expected<DataSessions::Taken> DataSessions::open() const {
  auto session = route_.open(Plane::data);
  if (!session) {
    return tl::unexpected(std::move(session.error()));
  }
  if (const auto welcome = open_data_plane(**session, hello_); !welcome) {
    return tl::unexpected(welcome.error());
  }
  return Taken{std::move(*session), {}, false};
}

void DataSessions::give_back(Taken taken, Monotonic now) {
  const std::lock_guard lock(mutex_);
  idle_.push_back({std::move(taken.session), std::move(taken.pace), now});
}

std::optional<Monotonic> DataSessions::close_idle(Monotonic now) {
  const std::lock_guard lock(mutex_);
  std::erase_if(idle_, [now](const Idle& one) {
    return now - one.since >= kIdleMax || one.session->ended();
  });
  return idle_.empty() ? std::nullopt : std::optional(idle_.front().since + kIdleMax);
}

}  // namespace entente::agent
