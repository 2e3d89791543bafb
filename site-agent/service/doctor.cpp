#include "site-agent/service/doctor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <system_error>
#include <zmq.hpp>

#include "common/base/version.h"
#include "common/blob/transfer.h"
#include "common/crypto/random.h"
#include "common/domain/layers.h"
#include "common/runtime/scratch_folder.h"
#include "common/runtime/system_clock.h"
#include "site-agent/data/dataset.h"
#include "site-agent/service/broker_route.h"
#include "site-agent/service/startup.h"
#include "site-agent/service/trainer_process.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::hours kRenewWithin{14 * 24};
// A model of a few hundred megabytes, its update, and room to notice.
constexpr std::uint64_t kSpaceTight = std::uint64_t{5} << 30;
constexpr std::uint64_t kSpaceNeeded = std::uint64_t{100} << 20;
// A trainer with LibTorch is up within seconds on a busy machine.
constexpr Millis kTrainerStartMax = std::chrono::seconds{60};

// Whether others than the owner may do what the bits say.
bool others_may(const struct stat& status, mode_t bits) { return (status.st_mode & bits) != 0; }

Finding check_config_file(const AgentConfig& config, const fs::path& file) {
  const auto name = file.filename().string();
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    return fail(name, fmt::format("{}: {}", file.string(), std::strerror(errno)),
                "see that the agent's user can reach it");
  }
  if (others_may(status, S_IWGRP | S_IWOTH)) {
    return fail(name, "others than its owner may change it, and with it this site's policy",
                fmt::format("chmod go-w {}", file.string()));
  }
  const bool has_password =
      std::any_of(config.datasets.begin(), config.datasets.end(), [](const DatasetConfig& dataset) {
        const auto* postgres = std::get_if<PostgresQuery>(&dataset.source);
        return postgres != nullptr && postgres->connection.find("password") != std::string::npos;
      });
  if (has_password && others_may(status, S_IRGRP | S_IROTH)) {
    return warn(name, "has a password, and others than its owner may read it",
                fmt::format("chmod go-r {}, or keep the password in ~/.pgpass", file.string()));
  }
  return ok(name, "is read, and only its owner may change it");
}

Finding check_kit(const Expected<Kit>& kit) {
  if (!kit) {
    return fail("kit", kit.error());
  }
  const Millis left{kit->valid_until_unix_ms - system_now().unix_ms};
  const auto message =
      fmt::format("{} of {}, key private, certificate until {}", kit->identity.path(),
                  kit->identity.consortium.str(), format_utc(kit->valid_until_unix_ms));
  return left < kRenewWithin
             ? warn("kit", message,
                    "renew it in time: entente pki request, and the operator's sign")
             : ok("kit", message);
}

Finding check_clock() {
  timex clock{};
  const auto now = format_utc(system_now().unix_ms);
  if (::adjtimex(&clock) == -1 || (clock.status & STA_UNSYNC) != 0) {
    return warn("clock",
                fmt::format("{}, but the system does not say that it is kept in time", now),
                "certificates, hours and days hang on it: see that a time service runs "
                "(timedatectl, chronyc tracking)");
  }
  return ok("clock", fmt::format("{}, kept in time", now));
}

Finding check_data_dir(const fs::path& data_dir) {
  struct stat status {};
  if (::stat(data_dir.c_str(), &status) != 0) {
    return errno == ENOENT
               ? ok("data_dir", fmt::format("{} will be made", data_dir.string()))
               : fail("data_dir", fmt::format("{}: {}", data_dir.string(), std::strerror(errno)),
                      "check the path in agent.toml");
  }
  if (!S_ISDIR(status.st_mode)) {
    return fail("data_dir", fmt::format("{} is no folder", data_dir.string()),
                "name another one in agent.toml");
  }
  if (status.st_uid != ::geteuid() && ::geteuid() != 0) {
    return fail("data_dir", fmt::format("{} belongs to another user", data_dir.string()),
                "run the agent, and this, as the user whom it belongs to");
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return warn("data_dir", fmt::format("{} is open to other users", data_dir.string()),
                fmt::format("chmod go= {}; the agent does so when it starts", data_dir.string()));
  }
  return ok("data_dir", fmt::format("{} is this user's alone", data_dir.string()));
}

// Of the folder, or where it would be made.
Finding check_space(fs::path folder) {
  struct statvfs space {};
  while (::statvfs(folder.c_str(), &space) != 0) {
    if (errno != ENOENT || !folder.has_relative_path()) {
      return fail("disk", fmt::format("{}: {}", folder.string(), std::strerror(errno)),
                  "check the path of data_dir in agent.toml");
    }
    folder = folder.parent_path();
  }
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  const auto message = fmt::format("{:.1f} GB free", static_cast<double>(free) / 1e9);
  const std::string hint = "models and updates lie there while a job runs: make room";
  return free < kSpaceNeeded  ? fail("disk", message, hint)
         : free < kSpaceTight ? warn("disk", message, hint)
                              : ok("disk", message);
}

// Why a trainer does not answer the shortest of all commands; nothing when it does.
std::optional<std::string> why_silent(TrainerProcess& trainer) {
  trainer.command(contract::Stop{});
  const auto deadline = std::chrono::steady_clock::now() + kTrainerStartMax;
  while (true) {
    const auto left =
        std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
    pollfd item{trainer.stdout_fd(), POLLIN, 0};
    if (left <= Millis{0} || ::poll(&item, 1, static_cast<int>(left.count())) == 0) {
      return fmt::format("no answer within {} s", kTrainerStartMax.count() / 1000);
    }
    trainer.write();
    auto heard = trainer.read();
    if (!heard.replies.empty()) {
      const auto* error = std::get_if<contract::Error>(&heard.replies.front());
      return error == nullptr ? std::nullopt : std::optional(error->message);
    }
    if (heard.gone) {
      return heard.gone->reason.message;
    }
  }
}

Finding check_trainer_starts(const std::string& check, const fs::path& program,
                             std::uint32_t threads) {
  const auto hint = "look closer with: entente-agent trainer-test; docs/trainer-contract.md";
  if (const auto there = check_trainer(program); !there) {
    return fail(check, there.error());
  }
  try {
    const ScratchFolder scratch("entente-doctor");
    TrainerProcess trainer({program, scratch.path(), scratch.path() / "trainer.log", threads});
    if (const auto why = why_silent(trainer)) {
      return fail(check, fmt::format("{}: {}", program.string(), *why), hint);
    }
  } catch (const std::exception& error) {
    return fail(check, error.what(), hint);
  }
  return ok(check, fmt::format("{} starts and answers", program.string()));
}

void check_trainers(const TrainerConfig& config, Findings& findings) {
  findings.push_back(check_trainer_starts("trainer", config.program, config.threads_per_slot));
  for (const auto& [name, program] : config.named) {
    findings.push_back(
        check_trainer_starts(fmt::format("trainer {}", name), program, config.threads_per_slot));
  }
}

Finding check_trainer_pool(const TrainerPoolConfig& pool) {
  const auto folder = pool.folder.string();
  if (::access(pool.folder.c_str(), R_OK | W_OK | X_OK) != 0 && errno != ENOENT) {
    return fail("trainer_pool", fmt::format("{}: {}", folder, std::strerror(errno)),
                "all agents of the pool must run as the user whom its folder belongs to");
  }
  return ok("trainer_pool", fmt::format("{} trainers compute at once, {} stay warm; shared in {}",
                                        pool.running, pool.warm, folder));
}

void check_datasets(const AgentConfig& config, Findings& findings) {
  for (const DatasetConfig& dataset : config.datasets) {
    const auto check = fmt::format("dataset {}", dataset.name);
    const auto advert = describe_dataset(dataset);
    if (!advert) {
      findings.push_back(fail(check, advert.error()));
    } else if (advert->examples == 0) {
      findings.push_back(warn(check, "has no examples", "check its files, query and partition"));
    } else {
      findings.push_back(ok(check, fmt::format("{} examples of shape {}", advert->examples,
                                               to_string(advert->example_shape))));
    }
  }
  if (config.datasets.empty()) {
    findings.push_back(warn("datasets", "agent.toml names none, so no job can run here",
                            "describe the data in [[datasets]]; docs/datasets.md"));
  }
}

Finding check_policy(const Policy& policy) {
  const std::pair<const char*, const std::vector<std::string>&> lists[] = {
      {"coordinators", policy.coordinators},
      {"datasets", policy.datasets},
      {"kinds", policy.kinds}};
  for (const auto& [name, list] : lists) {
    if (list.empty()) {
      return warn("policy", fmt::format("{} is empty, so every job is refused", name),
                  "list in [policy] what is allowed here; docs/agent-config.md");
    }
  }
  return ok("policy", fmt::format("allows {} coordinators and {} datasets by name or \"*\"",
                                  policy.coordinators.size(), policy.datasets.size()));
}

Finding check_broker(const AgentConfig& config, const Kit& kit) {
  const auto& proxy = config.proxy.empty() ? kit.proxy : config.proxy;
  const auto way = fmt::format("{}{}", config.broker.empty() ? kit.broker : config.broker,
                               proxy.empty() ? "" : fmt::format(" through the proxy {}", proxy));
  zmq::context_t zmq;
  const auto session = BrokerRoute(zmq, config).open(Plane::data);
  if (!session) {
    return fail("broker", session.error());
  }
  msg::Hello hello;
  hello.version = kVersion;
  hello.instance = random_u64();
  const auto welcome = open_data_plane(**session, hello);
  return welcome ? ok("broker", fmt::format("{} answers as {}, version {}", way, welcome->broker,
                                            welcome->version))
                 : fail("broker", welcome.error());
}

}  // namespace

Findings examine(const AgentConfig& config, const fs::path& config_file) {
  std::signal(SIGPIPE, SIG_IGN);
  Findings findings{check_config_file(config, config_file)};
  const auto kit = site_kit(config);
  findings.push_back(check_kit(kit));
  findings.push_back(check_clock());
  findings.push_back(check_data_dir(config.data_dir));
  findings.push_back(check_space(config.data_dir));
  check_trainers(config.trainer, findings);
  if (config.trainer_pool) {
    findings.push_back(check_trainer_pool(*config.trainer_pool));
  }
  check_datasets(config, findings);
  findings.push_back(check_policy(config.policy));
  if (kit) {
    findings.push_back(check_broker(config, *kit));
  }
  return findings;
}

}  // namespace entente::agent
