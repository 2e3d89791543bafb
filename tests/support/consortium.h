// A consortium as its members run it: a CA with real kits, a broker and agents as processes of
// their own, everything in one temporary folder and on the loopback address, or on the two ends of
// a bad line (line.h).
//
// Programs are those beside the test's own. Every wait is bounded and throws; processes that still
// run at the end are killed with SIGKILL, also when the test has failed or was killed itself. After
// a failure the end of each log is printed. Start processes from the test's main thread only
// (child_process.h says why).
//
// The broker takes any free port at its first start and that port ever after.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "certs/authority.h"
#include "certs/kit_folder.h"
#include "common/crypto/kit.h"
#include "common/runtime/child_process.h"
#include "tests/support/command.h"
#include "tests/support/job_file.h"
#include "tests/support/line.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

namespace entente::integration {

constexpr std::uint32_t kExamples = 240;      // of "stripes" at each site
constexpr std::uint32_t kTestExamples = 120;  // of "stripes-test" at each site

// What a site's agent.toml says beside kit and folders.
struct SiteSetup {
  std::string broker;  // "host:port" instead of the kit's
  std::string policy =
      "coordinators = [\"alice\"]\ndatasets = [\"stripes\", \"stripes-test\"]\nkinds = "
      "[\"train\"]\n";
  std::string about;            // the [site] table
  std::string keys;             // further keys above all tables
  std::string more_datasets;    // further [[datasets]] tables
  std::uint64_t data_seed = 0;  // 0: by the site's name
  int slots = 1;
  // quick-trainer where many rounds count and no learning; held-trainer can be held back.
  std::string trainer = "held-trainer";
  bool far = false;  // at the far end of the consortium's line
};

class Consortium {
 public:
  // Makes the members "main" (broker) and "alice" (coordinator), and starts the broker. With a
  // line, everybody is at its near end, except sites that are `far`. The line outlives the
  // consortium.
  explicit Consortium(const Line* line = nullptr) : Consortium(line, 0) {}
  // CA and kits were made `age_days` ago; the kits are good until pki::kLeafDays from now plus
  // that.
  explicit Consortium(int age_days) : Consortium(nullptr, age_days) {}
  ~Consortium();
  Consortium(const Consortium&) = delete;
  Consortium& operator=(const Consortium&) = delete;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }
  [[nodiscard]] static std::filesystem::path program(const std::string& name);
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::filesystem::path site_folder(const std::string& site) const;
  // What a process has logged so far, over all of its starts.
  [[nodiscard]] std::string log(const std::string& process) const;

  // --- members ---

  [[nodiscard]] pki::Authority& authority() { return authority_; }
  // The folder of a new kit, signed by the consortium's CA unless another one is given.
  std::filesystem::path issue(Role role, const std::string& name);
  std::filesystem::path issue(pki::Authority& authority, Role role, const std::string& name,
                              Validity validity, const std::string& folder);
  [[nodiscard]] std::filesystem::path kit(const std::string& name) const;

  // --- processes, by name: "broker", or a site's ---

  // Makes kit, data and agent.toml of a site and starts its agent.
  void add_site(const std::string& site, const SiteSetup& setup = {});
  // Writes its agent.toml anew; the agent reads it at its start, or when it gets a SIGHUP.
  void describe_site(const std::string& site, const SiteSetup& setup);
  // Makes them without starting anything.
  void make_site(const std::string& site, const SiteSetup& setup = {});
  void start_broker();
  void start_agent(const std::string& site);
  void start(const std::string& process);
  // SIGKILL, and waits for the end.
  void kill(const std::string& process);
  // SIGTERM, and waits for the end.
  ExitStatus stop(const std::string& process);
  // Further environment variables of a process, from its next start on.
  void set_environment(const std::string& process, std::map<std::string, std::string> variables) {
    variables_[process] = std::move(variables);
  }
  // Further lines of broker.toml, from the broker's next start on.
  void configure_broker(std::string toml) { broker_settings_ = std::move(toml); }
  // Starts the broker without waiting until it listens.
  void launch_broker();
  [[nodiscard]] ChildProcess& process(const std::string& name) { return processes_.at(name); }
  [[nodiscard]] pid_t pid(const std::string& process) const { return processes_.at(process).pid(); }

  // --- holding a site's trainer (held_trainer_main.cpp) ---

  void hold(const std::string& site, const std::string& task) const;
  void release(const std::string& site, const std::string& task) const;
  // Waits until a trainer holds the task back; returns its process id. `but` is not waited for: a
  // trainer of before.
  [[nodiscard]] pid_t wait_until_held(const std::string& site, const std::string& task,
                                      pid_t but = 0) const;

  // --- the coordinator's command line ---

  // Runs `entente ARGUMENTS` as alice.
  Outcome entente(const std::vector<std::string>& arguments);
  Outcome entente_as(const std::string& kit, const std::vector<std::string>& arguments);
  // The same with --json; throws unless it exits with 0.
  nlohmann::json ask(std::vector<std::string> arguments);
  [[nodiscard]] Command begin(const std::vector<std::string>& arguments);
  // Runs `entente-agent ARGUMENTS` as the site's people.
  Outcome at_site(const std::string& site, std::vector<std::string> arguments);
  // Runs another program of the build.
  Outcome run(const std::string& program, const std::vector<std::string>& arguments);

  void wait_for_sites(std::size_t count);
  std::filesystem::path write_job(const JobFile& job);
  // Returns the job's id.
  std::string submit(const JobFile& job);
  // Waits for the job's end; returns `entente job show --json`.
  nlohmann::json wait_for_end(const std::string& job, std::chrono::milliseconds limit = kPatience);
  // `submit`, then `wait_for_end`; throws unless it has completed. Returns the job's id.
  std::string complete(const JobFile& job);
  // SHA-256 of a job's newest model.
  std::string model_hash(const std::string& job);
  // Every event of a job, as `entente job watch --json` prints them; the job must have ended.
  std::vector<nlohmann::json> events(const std::string& job);

 private:
  void launch(const std::string& name, const std::string& program,
              const std::filesystem::path& config);
  [[nodiscard]] std::map<std::string, std::string> environment(const std::string& kit) const;
  [[nodiscard]] std::filesystem::path error_file();
  void print_logs() const;
  [[nodiscard]] std::string host() const;
  // For as long as the result lives, processes start at that end of the line, if there is one.
  [[nodiscard]] NetworkSpace::Inside enter(bool far) const;

  [[nodiscard]] Validity kit_validity() const;

  Consortium(const Line* line, int age_days);

  const Line* line_;
  int age_days_;
  TempFolder folder_;
  pki::Authority authority_;
  std::string endpoint_;
  std::string broker_settings_;
  std::map<std::string, std::map<std::string, std::string>> variables_;  // by process
  std::map<std::string, ChildProcess> processes_;
  std::set<std::string> far_;  // sites
  int commands_ = 0;
};

}  // namespace entente::integration
