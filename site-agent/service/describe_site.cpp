#include "site-agent/service/describe_site.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "common/base/limits.h"
#include "common/base/version.h"
#include "common/runtime/log.h"
#include "common/wire/control_codec.h"
#include "site-agent/data/dataset.h"

namespace entente::agent {
namespace {

std::uint64_t system_number(int name) {
  return static_cast<std::uint64_t>(std::max(0L, ::sysconf(name)));
}

// Where agent.toml does not say, all that the machine has; GPUs only when trainers use one.
Resources resources_of(const AgentConfig& config) {
  Resources resources = config.site.resources;
  if (resources.cores == 0) {
    resources.cores = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(system_number(_SC_NPROCESSORS_ONLN), limits::kCoresMax));
  }
  if (resources.memory_bytes == 0) {
    resources.memory_bytes = std::min(system_number(_SC_PHYS_PAGES) * system_number(_SC_PAGESIZE),
                                      limits::kMemoryBytesMax);
  }
  if (resources.gpus == 0 && config.trainer.device.starts_with("cuda:")) {
    resources.gpus = 1;
  }
  return resources;
}

}  // namespace

Expected<SiteAdvert> describe_site(const AgentConfig& config) {
  SiteAdvert advert;
  advert.slots = config.trainer.slots;
  advert.threads_per_slot = config.trainer.threads_per_slot;
  advert.version = kVersion;
  advert.resources = resources_of(config);
  advert.jurisdiction = config.site.jurisdiction;
  advert.labels = config.site.labels;
  advert.policy = clauses(config.policy);
  for (const DatasetConfig& dataset : config.datasets) {
    auto described = describe_dataset(dataset);
    if (described) {
      advert.datasets.push_back(std::move(*described));
    } else {
      log::warning("dataset_left_out", described.error().message,
                   {{"dataset", dataset.name}, {"hint", described.error().hint}});
    }
  }
  // The broker's own rules, so that no session ends because of a word in agent.toml.
  const wire::Bytes message = wire::encode(msg::Control(msg::Advert{advert}));
  const auto read = wire::decode_control(std::as_bytes(std::span(message)));
  if (!read) {
    return refuse("config_invalid",
                  fmt::format("agent.toml describes what cannot be told: {}", read.error().message),
                  "shorten or correct labels, tags and class_names", Scope::site);
  }
  return advert;
}

}  // namespace entente::agent
