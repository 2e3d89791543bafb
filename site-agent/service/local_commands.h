// Commands for the people of a site. They read what lies at the site and print it; nothing is sent
// anywhere.
#pragma once

#include <string>

#include "common/base/refusal.h"
#include "site-agent/service/agent_config.h"

namespace entente::agent {

struct DatasetsShown {
  std::string text;
  bool all_readable = true;
};

// The site's datasets with their class tables, as text or as JSON. A dataset that cannot be read is
// shown with the reason. Reads all data.
[[nodiscard]] DatasetsShown show_datasets(const AgentConfig& config, bool json);

// The ledger of what has left the house, as text or as JSON. Refuses like read_ledger.
[[nodiscard]] Expected<std::string> show_sent(const AgentConfig& config, bool json);

}  // namespace entente::agent
