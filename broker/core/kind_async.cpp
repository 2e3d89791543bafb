// Jobs that train asynchronously: a version of the model is made of so many updates, whichever come
// first, and nobody waits for anybody. buffering.h has the rules of their rounds.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "broker/core/cohort.h"
#include "broker/core/kinds.h"

namespace entente::broker {
namespace {

bool draws(const Job&) { return false; }

Turnout turnout(const Job& job) {
  const auto& async = *job.spec().async;
  const auto all = places(job);
  const std::size_t quorum = std::max<std::uint32_t>(job.spec().sites.quorum, 1);
  return {async.concurrency == 0 ? all : std::min<std::size_t>(all, async.concurrency),
          async.buffer, quorum};
}

// Whose last update was taken longest ago goes first; it has waited longest.
std::vector<SiteId> sites_in_turn(const State& state, const Job& job, Round) {
  auto sites = sites_at_work(state, job, Among::holding_places);
  std::map<SiteId, std::uint64_t> last;  // acceptance, of those that still matter
  for (const auto& [key, task] : job.tasks) {
    if (key.kind == TaskKind::train && task.row.state == TaskState::done) {
      last[key.site] = std::max(last[key.site], task.row.accepted_seq);
    }
  }
  std::sort(sites.begin(), sites.end(), [&](const SiteId& a, const SiteId& b) {
    return std::tuple(job.parts.at(a).row.last_round, last[a], a) <
           std::tuple(job.parts.at(b).row.last_round, last[b], b);
  });
  return sites;
}

std::string describe(const Job& job, const std::vector<SiteId>&) {
  const auto buffer = job.spec().async->buffer;
  return buffer == 1 ? std::string("takes the first update that comes")
                     : fmt::format("takes the first {} updates that come", buffer);
}

}  // namespace

const KindRules kAsyncKind = [] {
  KindRules rules{always<TaskKind::train>, true,     draws,        turnout,
                  sites_in_turn,           describe, merge_updates};
  rules.is_buffered = true;
  return rules;
}();

}  // namespace entente::broker
