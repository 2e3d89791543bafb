// The commands with which the site's people steer the running agent: pending, approve, deny, pause,
// resume, status. Each is one question to it (control_socket.h), and its answer as text or as JSON.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/refusal.h"
#include "common/base/time.h"

namespace entente::agent {

// An approval holds this long unless told otherwise.
constexpr Millis kApprovalDefault = std::chrono::hours{7 * 24};

struct PeopleCommand {
  std::string verb;   // "pending", "approve", "deny", "pause", "resume" or "status"
  std::string job{};  // of approve and deny; of pending: this one, whole
  std::string reason{};
  Millis hold = kApprovalDefault;  // of an approval
};

// Refuses like ask_agent.
[[nodiscard]] Expected<std::string> run_people_command(const std::filesystem::path& data_dir,
                                                       const PeopleCommand& command, bool json);

}  // namespace entente::agent
