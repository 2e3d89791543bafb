// What an agent that dies leaves behind: its journal and the files of its blob store.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "site-agent/core/events.h"

namespace entente::simulation {

struct SiteDisk {
  std::map<JobId, agent::Promise> promises;
  std::map<TaskKey, agent::OutboxEntry> outbox;
  std::map<std::pair<JobId, Round>, agent::SiteState> states;
  std::set<BlobId> blobs;
  std::map<JobId, BlobId> handed_out;  // what jobs have left for the site's own people

  // Writes the journal effects among those of one step, as one transaction.
  void commit(const agent::Effects& effects) {
    for (const auto& effect : effects) {
      if (const auto* promise = std::get_if<agent::effect::SavePromise>(&effect)) {
        promises[promise->promise.job] = promise->promise;
      } else if (const auto* forget = std::get_if<agent::effect::ForgetPromise>(&effect)) {
        promises.erase(forget->job);
        std::erase_if(outbox, [&](const auto& entry) { return entry.first.job == forget->job; });
        std::erase_if(states, [&](const auto& entry) { return entry.first.first == forget->job; });
      } else if (const auto* save = std::get_if<agent::effect::SaveResult>(&effect)) {
        outbox[save->entry.order.key] = save->entry;
      } else if (const auto* drop = std::get_if<agent::effect::DropResult>(&effect)) {
        outbox.erase(drop->key);
      } else if (const auto* left = std::get_if<agent::effect::SaveSiteState>(&effect)) {
        states[{left->state.job, left->state.round}] = left->state;
      } else if (const auto* sent = std::get_if<agent::effect::DropSiteState>(&effect)) {
        states.erase({sent->job, sent->round});
      }
    }
  }

  [[nodiscard]] agent::Recovered recover() const {
    agent::Recovered recovered;
    for (const auto& [job, promise] : promises) {
      recovered.promises.push_back(promise);
    }
    for (const auto& [key, entry] : outbox) {
      recovered.outbox.push_back(entry);
    }
    for (const auto& [key, state] : states) {
      recovered.states.push_back(state);
    }
    recovered.blobs.assign(blobs.begin(), blobs.end());
    return recovered;
  }
};

}  // namespace entente::simulation
