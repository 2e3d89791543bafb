// `entente-agent doctor`: looks at everything that a site needs, before the agent runs or while it
// does, and says of each thing what to do about it.
//
// Nothing is changed and no job is touched. The broker is greeted on the data plane, where a
// greeting takes nobody's place: a running agent of this site keeps its session.
#pragma once

#include <filesystem>

#include "site-agent/service/agent_config.h"
#include "site-agent/service/findings.h"

namespace entente::agent {

// In the order in which a person would mend things. Starts a trainer, opens a session and reads all
// datasets: takes seconds, and half a minute where the broker does not answer. The process ignores
// SIGPIPE from then on: a trainer or broker that leaves is an error code of a write.
[[nodiscard]] Findings examine(const AgentConfig& config, const std::filesystem::path& config_file);

}  // namespace entente::agent
