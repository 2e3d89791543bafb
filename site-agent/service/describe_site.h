// What the site tells the consortium about itself: its datasets, as far as they can be read, what
// its machine gives, its labels, and which clauses its policy has.
//
// Reads the labels of all datasets. May be called from any thread.
#pragma once

#include "common/base/refusal.h"
#include "common/domain/site.h"
#include "site-agent/service/agent_config.h"

namespace entente::agent {

// A dataset that cannot be read is logged with the reason and left out. Refuses with
// "config_invalid" what no broker would take: more words than fit into a message.
[[nodiscard]] Expected<SiteAdvert> describe_site(const AgentConfig& config);

}  // namespace entente::agent
