// `entente-agent serve`: a site's agent from its configuration to its end.
#pragma once

#include "common/base/refusal.h"
#include "common/runtime/hangup_signal.h"
#include "common/runtime/stop_signal.h"
#include "site-agent/service/agent_config.h"

namespace entente::agent {

// Ends the process without running destructors (std::_Exit): for threads that still wait for the
// network when everything that counts is committed. Returning from it waits for them instead.
using LeaveAtOnce = void (*)(int exit_code);

// Made before anything else: every thread inherits them.
struct Signals {
  StopSignal& stop;
  HangupSignal& reread;  // has `config_file` read again
};

// Runs until `stop` fires. Refuses what makes
// a start impossible ("kit_...", "database_busy", "trainer_missing", ...) and what ended a running
// agent ("agent_failed"). Trainers are dead when it returns; a stop takes at most about two
// seconds.
[[nodiscard]] Expected<void> serve(const AgentConfig& config,
                                   const std::filesystem::path& config_file, Signals signals,
                                   LeaveAtOnce leave_at_once);

}  // namespace entente::agent
