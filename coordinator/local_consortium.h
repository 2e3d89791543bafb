// A whole consortium in one folder of this machine: its own CA and kits, one broker, some agents,
// all of them real processes that speak mutual TLS over loopback.
//
//   ca/                    the certificate authority
//   kits/<member>/         broker, coordinator, and one per site
//   broker/                broker.toml and data/
//   sites/<site>/          agent.toml and data/
//   trainers/              the pool of trainers that all sites share
//   logs/<member>.log
//   processes.json         what runs (process_table.h)
//
// A folder that exists is used again: the same members, keys, port and data.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "coordinator/process_table.h"

namespace entente::cli {

// Names for sites that nobody has named: "north", "east", "south", "west", then "site-05",
// "site-06", ...
[[nodiscard]] std::vector<std::string> local_site_names(std::size_t count);

struct LocalPlan {
  std::vector<std::string> sites;
  std::string site_config;   // the end of each agent.toml; {site}, {index}, {sites} are replaced
  std::size_t trainers = 0;  // that compute at once, over all sites; 0: one for each processor
  std::optional<std::size_t> warm{};  // that wait for more work; none: the pool's default
};

class LocalConsortium {
 public:
  explicit LocalConsortium(std::filesystem::path folder);

  // Makes what is missing and starts every process, all agents at the same time; returns when all
  // sites are connected. On a failure everything that was started is stopped again. Refuses with
  // "local_running" or "local_failed", quoting the log of the process at fault.
  [[nodiscard]] Expected<void> up(const LocalPlan& plan);
  // Stops every process; returns the names of those that had to be killed.
  std::vector<std::string> down();

  [[nodiscard]] std::vector<LocalProcess> processes() const;
  [[nodiscard]] std::filesystem::path coordinator_kit() const {
    return folder_ / "kits/coordinator";
  }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  // "127.0.0.1:port"; empty before the first start.
  [[nodiscard]] std::string endpoint() const;

 private:
  [[nodiscard]] Expected<void> make_members(const std::vector<std::string>& sites);
  [[nodiscard]] Expected<void> start(const LocalPlan& plan);
  [[nodiscard]] Expected<void> start_broker();
  [[nodiscard]] Expected<void> wait_for_sites(std::size_t count);
  void describe_site(const LocalPlan& plan, std::size_t index) const;
  void launch(const std::string& name, const std::filesystem::path& program,
              const std::filesystem::path& config);
  // Names the first process that has ended, with the end of its log; nothing while all run.
  [[nodiscard]] std::optional<Refusal> find_casualty() const;

  std::filesystem::path folder_;
  std::vector<LocalProcess> started_;
};

}  // namespace entente::cli
