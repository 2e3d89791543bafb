#include "site-agent/service/serve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>

#include "common/base/version.h"
#include "common/blob/file.h"
#include "common/crypto/kit.h"
#include "common/crypto/random.h"
#include "common/runtime/log.h"
#include "common/runtime/system_clock.h"
#include "site-agent/service/agent_loop.h"
#include "site-agent/service/control_socket.h"
#include "site-agent/service/describe_site.h"
#include "site-agent/service/startup.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kInboxMessagesMax = 4096;
constexpr Millis kThreadsEndMax{700};

// The data folder is the agent's alone.
void make_folders(const fs::path& data_dir) {
  make_folder(data_dir);
  fs::permissions(data_dir, fs::perms::owner_all);
  fs::create_directories(data_dir / "logs");
}

void log_start(const Kit& kit, const AgentConfig& config, const SiteAdvert& advert) {
  std::vector<std::string> datasets;
  for (const DatasetAdvert& dataset : advert.datasets) {
    datasets.push_back(fmt::format("{} ({} examples)", dataset.name, dataset.examples));
  }
  log::info("agent_started", fmt::format("this is {}", kit.identity.uri()),
            {{"version", kVersion},
             {"broker", config.broker.empty() ? kit.broker : config.broker},
             {"datasets", datasets.empty() ? "none" : fmt::format("{}", fmt::join(datasets, ", "))},
             {"slots", std::to_string(config.trainer.slots)},
             {"policy", summary(config.policy)}});
}

// Results and models that are still what their names say; the core takes the others as missing.
std::vector<BlobId> sound_blobs(BlobStore& blobs) {
  auto found = blobs.list();
  std::erase_if(found, [&blobs](const BlobId& blob) {
    const bool sound = blobs.vouch_for(blob);
    if (!sound) {
      log::warning("blob_damaged",
                   fmt::format("blob {} has changed on the disk; it is put aside and not used",
                               blob.short_hex()),
                   {{"kept", blobs.quarantine_path(blob).string()}});
    }
    return !sound;
  });
  return found;
}

Expected<void> run(AgentConfig config, const fs::path& config_file, const Kit& kit, Signals signals,
                   LeaveAtOnce leave_at_once) {
  auto advert = describe_site(config);
  if (!advert) {
    return tl::unexpected(advert.error());
  }
  auto journal = Journal::open(config.journal_file());
  if (!journal) {
    return tl::unexpected(journal.error());
  }
  auto [recovered, damaged] = journal->recover();
  for (const std::string& row : damaged) {
    log::warning("journal_damaged", fmt::format("the journal's disk has changed {}", row));
  }
  fs::remove_all(config.data_dir / "work");  // running tasks are forgotten; the broker asks again
  BlobStore blobs(config.data_dir / "blobs");
  recovered.blobs = sound_blobs(blobs);

  AgentSettings settings;
  settings.site = *SiteId::parse(kit.identity.name);
  settings.instance = journal->instance(random_u64());
  settings.advert = *std::move(advert);
  settings.policy = config.policy;
  settings.jitter_seed = random_u64();
  settings.shares_trainer_pool = config.trainer_pool.has_value();
  log_start(kit, config, settings.advert);

  msg::Hello hello;
  hello.version = kVersion;
  hello.instance = settings.instance;
  zmq::context_t zmq;
  const BrokerRoute route(zmq, config);
  Inbox inbox(kInboxMessagesMax);
  Transfers transfers(route, blobs, hello, inbox);
  WorkerPool dialer(1);
  WorkerPool disk(1);
  std::optional<TrainerPool> pool;
  if (config.trainer_pool) {
    pool.emplace(*config.trainer_pool);
  }
  AgentLoop loop(AgentCore(std::move(settings), std::move(recovered)), inbox,
                 {config, config_file, route, *journal, blobs, transfers, dialer, disk,
                  pool ? &*pool : nullptr});
  const ControlSocket people(config.data_dir, inbox);
  // Nobody drains it any more: a thread that waits for room, or for an answer, must end.
  const auto close_inbox = [&inbox] {
    inbox.close();
    (void)inbox.drain();
  };
  std::optional<std::string> failure;
  try {
    failure = loop.run(signals.stop, signals.reread);
  } catch (...) {
    close_inbox();
    throw;
  }
  close_inbox();
  log::info("agent_stopped", "trainers are stopped, promises and results are kept");
  const bool transfers_ended = transfers.stop(kThreadsEndMax);
  const bool disk_ended = disk.stop(kThreadsEndMax);
  if (!dialer.stop(Millis(0)) || !disk_ended || !transfers_ended) {
    leave_at_once(failure ? EXIT_FAILURE : EXIT_SUCCESS);  // a dial can take seconds more
  }
  if (failure) {
    return refuse("agent_failed", *failure, "see the log for what came before", Scope::site);
  }
  return {};
}

}  // namespace

Expected<void> serve(const AgentConfig& config, const std::filesystem::path& config_file,
                     Signals signals, LeaveAtOnce leave_at_once) {
  const auto kit = site_kit(config);
  if (!kit) {
    return tl::unexpected(kit.error());
  }
  if (const auto trainer = check_trainer(config.trainer.program); !trainer) {
    return trainer;
  }
  try {
    make_folders(config.data_dir);
    return run(config, config_file, *kit, signals, leave_at_once);
  } catch (const std::exception& error) {
    return refuse("agent_failed", error.what(),
                  fmt::format("check the disk and permissions of {}", config.data_dir.string()),
                  Scope::site);
  }
}

}  // namespace entente::agent
