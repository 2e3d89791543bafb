#include "tests/support/consortium.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "common/runtime/system_clock.h"
#include "tests/support/idx_data.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::chrono::seconds kStopMax{20};
constexpr std::size_t kLogTailBytes = 6000;

template <class T>
T value_of(Expected<T> expected) {
  if (!expected) {
    throw std::runtime_error(expected.error().message);
  }
  return *std::move(expected);
}

UnixMillis days_from_now(int days) { return system_now().unix_ms + days * pki::kDayMs; }

std::string one_line(std::string text) { return text.substr(0, text.find('\n')); }

std::string words(const std::vector<std::string>& arguments) {
  return fmt::format("entente {}", fmt::join(arguments, " "));
}

}  // namespace

Consortium::Consortium(const Line* line, int age_days)
    : line_(line),
      age_days_(age_days),
      authority_(value_of(pki::Authority::create(
          folder_.path() / "ca", ConsortiumId::literal("demo"), days_from_now(-age_days)))) {
  const pki::Member broker{Role::broker, "main", {{"localhost"}, {host()}}};
  value_of(pki::issue_kit(authority_, broker, {}, kit_validity(), kit("main")));
  fs::create_directories(folder() / "logs");
  start_broker();
  issue(Role::coordinator, "alice");
}

std::string Consortium::host() const { return line_ == nullptr ? "127.0.0.1" : Line::kNearAddress; }

NetworkSpace::Inside Consortium::enter(bool far) const {
  return NetworkSpace::Inside(line_ == nullptr ? nullptr : far ? &line_->far() : &line_->near());
}

Validity Consortium::kit_validity() const {
  return pki::valid_for(days_from_now(-age_days_), pki::kLeafDays + 2 * age_days_);
}

Consortium::~Consortium() {
  if (testing::Test::HasFailure() || std::uncaught_exceptions() > 0) {
    print_logs();
  }
}

fs::path Consortium::program(const std::string& name) {
  return fs::read_symlink("/proc/self/exe").parent_path() / name;
}

std::uint16_t Consortium::port() const {
  return static_cast<std::uint16_t>(std::stoi(endpoint_.substr(endpoint_.rfind(':') + 1)));
}

fs::path Consortium::site_folder(const std::string& site) const {
  return folder() / "sites" / site;
}

std::string Consortium::log(const std::string& process) const {
  return read_text(folder() / "logs" / (process + ".log"));
}

fs::path Consortium::kit(const std::string& name) const { return folder() / "kits" / name; }

fs::path Consortium::issue(Role role, const std::string& name) {
  return issue(authority_, role, name, kit_validity(), name);
}

fs::path Consortium::issue(pki::Authority& authority, Role role, const std::string& name,
                           Validity validity, const std::string& folder) {
  const auto to = kit(folder);
  value_of(pki::issue_kit(authority, {role, name, {}}, {endpoint_, {}, {}}, validity, to));
  return to;
}

void Consortium::make_site(const std::string& site, const SiteSetup& setup) {
  issue(Role::site, site);
  if (setup.far) {
    far_.insert(site);
  }
  const auto folder = site_folder(site);
  const auto seed = setup.data_seed != 0 ? setup.data_seed : std::uint64_t(site[0]);
  write_stripes(folder / "train.images", folder / "train.labels", kExamples, seed);
  write_stripes(folder / "test.images", folder / "test.labels", kTestExamples, 1);
  fs::create_directories(folder / "hold");
  describe_site(site, setup);
}

void Consortium::describe_site(const std::string& site, const SiteSetup& setup) {
  write_text(site_folder(site) / "agent.toml",
             fmt::format(
                 R"(kit = "../../kits/{}"
data_dir = "data"
{}
{}
[site]
{}
[trainer]
program = "{}"
slots = {}

[[datasets]]
name = "stripes"
images = "train.images"
labels = "train.labels"

[[datasets]]
name = "stripes-test"
images = "test.images"
labels = "test.labels"

{}
[policy]
{})",
                 site, setup.broker.empty() ? "" : fmt::format("broker = \"{}\"", setup.broker),
                 setup.keys, setup.about, program(setup.trainer).string(), setup.slots, setup.more_datasets,
                 setup.policy));
}

void Consortium::add_site(const std::string& site, const SiteSetup& setup) {
  make_site(site, setup);
  start_agent(site);
}

void Consortium::launch(const std::string& name, const std::string& program_name,
                        const fs::path& config) {
  ChildOptions options;
  options.program = program(program_name);
  options.arguments = {"serve", "--config", config.string()};
  options.environment = environment("");
  options.environment.insert(variables_[name].begin(), variables_[name].end());
  options.log_file = folder() / "logs" / (name + ".log");
  processes_.erase(name);
  const auto inside = enter(far_.contains(name));
  processes_.emplace(name, ChildProcess(options));
}

void Consortium::launch_broker() {
  const auto data = folder() / "broker/data";
  write_text(folder() / "broker/broker.toml",
             fmt::format("kit = \"../kits/main\"\ndata_dir = \"data\"\nlisten = \"{}\"\n{}",
                         endpoint_.empty() ? host() + ":0" : endpoint_, broker_settings_));
  fs::remove(data / "endpoint");
  launch("broker", "entente-broker", folder() / "broker/broker.toml");
}

void Consortium::start_broker() {
  const auto data = folder() / "broker/data";
  launch_broker();
  wait_until("the broker listens", [&] {
    if (const auto status = process("broker").poll()) {
      throw std::runtime_error("the broker " + status->to_string());
    }
    return fs::exists(data / "endpoint");
  });
  endpoint_ = one_line(read_text(data / "endpoint"));
}

void Consortium::start_agent(const std::string& site) {
  launch(site, "entente-agent", site_folder(site) / "agent.toml");
}

void Consortium::start(const std::string& name) {
  name == "broker" ? start_broker() : start_agent(name);
}

void Consortium::kill(const std::string& name) {
  process(name).send_signal(SIGKILL);
  if (!process(name).wait_for(kStopMax)) {
    throw std::runtime_error(name + " cannot be killed");
  }
}

ExitStatus Consortium::stop(const std::string& name) {
  process(name).send_signal(SIGTERM);
  const auto status = process(name).wait_for(kStopMax);
  if (!status) {
    throw std::runtime_error(name + " does not stop");
  }
  return *status;
}

void Consortium::hold(const std::string& site, const std::string& task) const {
  write_text(site_folder(site) / "hold" / task, "");
}

void Consortium::release(const std::string& site, const std::string& task) const {
  fs::remove(site_folder(site) / "hold" / task);
}

pid_t Consortium::wait_until_held(const std::string& site, const std::string& task,
                                  pid_t but) const {
  const auto file = site_folder(site) / "hold" / (task + ".held");
  pid_t trainer = 0;
  wait_until(fmt::format("{} is about to {}", site, task), [&] {
    trainer = static_cast<pid_t>(std::atoi(read_text(file).c_str()));
    return trainer != 0 && trainer != but;
  });
  return trainer;
}

std::map<std::string, std::string> Consortium::environment(const std::string& kit_name) const {
  std::map<std::string, std::string> variables{
      {"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", folder().string()}, {"LANG", "C.UTF-8"}};
  if (!kit_name.empty()) {
    variables["ENTENTE_KIT"] = kit(kit_name).string();
  }
  return variables;
}

fs::path Consortium::error_file() {
  return folder() / fmt::format("command-{}.stderr", ++commands_);
}

Outcome Consortium::entente(const std::vector<std::string>& arguments) {
  return entente_as("alice", arguments);
}

Outcome Consortium::entente_as(const std::string& kit_name,
                               const std::vector<std::string>& arguments) {
  const auto inside = enter(false);
  return Command(program("entente"), arguments, environment(kit_name), error_file()).finish();
}

Command Consortium::begin(const std::vector<std::string>& arguments) {
  const auto inside = enter(false);
  return {program("entente"), arguments, environment("alice"), error_file()};
}

Outcome Consortium::at_site(const std::string& site, std::vector<std::string> arguments) {
  arguments.emplace_back("--config");
  arguments.push_back((site_folder(site) / "agent.toml").string());
  return run("entente-agent", arguments);
}

Outcome Consortium::run(const std::string& name, const std::vector<std::string>& arguments) {
  return Command(program(name), arguments, environment(""), error_file()).finish();
}

json Consortium::ask(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const auto outcome = entente(arguments);
  if (outcome.code != 0) {
    throw std::runtime_error(
        fmt::format("{} exited with {}: {}", words(arguments), outcome.code, outcome.err));
  }
  return json::parse(outcome.out);
}

void Consortium::wait_for_sites(std::size_t count) {
  wait_until(fmt::format("{} sites have advertised their data", count), [&] {
    std::size_t ready = 0;
    for (const auto& site : ask({"site", "list"})) {
      ready += site["connected"] && site["version"] != "" ? 1 : 0;
    }
    return ready >= count;
  });
}

fs::path Consortium::write_job(const JobFile& job) {
  const auto file = folder() / fmt::format("job-{}.toml", ++commands_);
  write_text(file, job.toml());
  return file;
}

std::string Consortium::submit(const JobFile& job) {
  return ask({"job", "submit", write_job(job).string()})["job"];
}

json Consortium::wait_for_end(const std::string& job, std::chrono::milliseconds limit) {
  json shown;
  const auto has_ended = [&] {
    shown = ask({"job", "show", job});
    const auto& state = shown["state"];
    return state == "completed" || state == "failed" || state == "aborted";
  };
  wait_until(job + " has ended", has_ended, limit);
  return shown;
}

std::string Consortium::complete(const JobFile& job) {
  const auto id = submit(job);
  const auto ended = wait_for_end(id);
  if (ended["state"] != "completed") {
    throw std::runtime_error(fmt::format("{} has not completed: {}", id, ended.dump(2)));
  }
  return id;
}

std::string Consortium::model_hash(const std::string& job) {
  return ask({"model", "show", job})["blob"];
}

std::vector<json> Consortium::events(const std::string& job) {
  const auto outcome = entente({"job", "watch", job, "--json"});
  std::vector<json> events;
  std::size_t begin = 0;
  for (auto end = outcome.out.find('\n'); end != std::string::npos;
       begin = end + 1, end = outcome.out.find('\n', begin)) {
    events.push_back(json::parse(outcome.out.substr(begin, end - begin)));
  }
  return events;
}

void Consortium::print_logs() const {
  for (const auto& entry : fs::directory_iterator(folder() / "logs")) {
    const auto text = read_text(entry.path());
    std::cerr << "---- " << entry.path().filename().string() << "\n"
              << text.substr(text.size() - std::min(text.size(), kLogTailBytes));
  }
}

}  // namespace entente::integration
