#include "coordinator/local_consortium.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "certs/authority.h"
#include "certs/kit_folder.h"
#include "common/runtime/child_process.h"
#include "common/runtime/system_clock.h"
#include "coordinator/broker_client.h"

namespace entente::cli {
namespace {

constexpr std::string_view kConsortium = "local";
constexpr std::string_view kHost = "127.0.0.1";

// Reading adverts of large datasets may take a while on a busy machine. Counts from the last
// process that has come up: a hundred may take longer than one.
constexpr std::chrono::seconds kStartMax{60};
constexpr std::chrono::milliseconds kLookEvery{50};
// Looking at all sites costs more the more there are, so the pause between two looks grows: it is
// this part of the time that has passed.
constexpr int kPausePart = 10;
constexpr std::chrono::seconds kStopMax{10};
constexpr std::size_t kLogTailLines = 5;

std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Not durably: the next start writes it again.
void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::trunc);
  out << text;
  if (!out.flush()) {
    throw std::system_error(errno, std::generic_category(), "cannot write " + file.string());
  }
}

std::string last_lines(const std::string& text) {
  auto from = text.size();
  for (std::size_t lines = 0; lines <= kLogTailLines && from != std::string::npos && from > 0;
       ++lines) {
    from = text.rfind('\n', from - 1);
  }
  return from == std::string::npos ? text : text.substr(from + (from < text.size() ? 1 : 0));
}

std::filesystem::path beside_this_program(const char* name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

std::string replace_all(std::string text, std::string_view from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

Refusal failed(std::string message, std::string hint) {
  return {"local_failed", std::move(message), std::move(hint), Scope::broker};
}

}  // namespace

std::vector<std::string> local_site_names(std::size_t count) {
  constexpr std::array kFirst{"north", "east", "south", "west"};
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back(i < kFirst.size() ? kFirst[i] : fmt::format("site-{:02}", i + 1));
  }
  return names;
}

LocalConsortium::LocalConsortium(std::filesystem::path folder)
    : folder_(std::filesystem::absolute(std::move(folder))) {}

std::vector<LocalProcess> LocalConsortium::processes() const {
  return read_process_table(folder_ / "processes.json");
}

std::string LocalConsortium::endpoint() const {
  auto text = slurp(folder_ / "broker/data/endpoint");
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

Expected<void> LocalConsortium::up(const LocalPlan& plan) {
  const auto running = processes();
  if (std::any_of(running.begin(), running.end(), is_running)) {
    return refuse("local_running", fmt::format("a consortium runs already in {}", folder_.string()),
                  "stop it with: entente local down --dir " + folder_.string(), Scope::broker);
  }
  if (auto made = make_members(plan.sites); !made) {
    return made;
  }
  auto begun = start(plan);
  if (!begun) {
    stop_all(started_, kStopMax);
  }
  return begun;
}

Expected<void> LocalConsortium::make_members(const std::vector<std::string>& sites) {
  for (const auto* part : {"kits", "broker/data", "sites", "logs"}) {
    std::filesystem::create_directories(folder_ / part);
  }
  const auto now = system_now().unix_ms;
  const auto ca_folder = folder_ / "ca";
  auto authority = std::filesystem::exists(ca_folder)
                       ? pki::Authority::open(ca_folder)
                       : pki::Authority::create(ca_folder, ConsortiumId::literal(kConsortium), now);
  if (!authority) {
    return tl::unexpected(authority.error());
  }
  const auto issue = [&](Role role, const std::string& name) -> Expected<void> {
    const auto kit = folder_ / "kits" / name;
    if (std::filesystem::exists(kit)) {
      return {};
    }
    pki::Member member{role, name, {}};
    if (role == Role::broker) {
      member.hosts = {{"localhost"}, {std::string(kHost)}};
    }
    return pki::issue_kit(*authority, member, {}, pki::valid_for(now, pki::kLeafDays), kit)
        .map([](const pki::Issued&) {});
  };
  if (auto issued = issue(Role::broker, "broker"); !issued) {
    return issued;
  }
  if (auto issued = issue(Role::coordinator, "coordinator"); !issued) {
    return issued;
  }
  for (const auto& site : sites) {
    if (auto issued = issue(Role::site, site); !issued) {
      return issued;
    }
  }
  return {};
}

void LocalConsortium::launch(const std::string& name, const std::filesystem::path& program,
                             const std::filesystem::path& config) {
  ChildOptions options;
  options.program = program;
  options.arguments = {"serve", "--config", config.string()};
  for (const auto* variable : {"PATH", "HOME", "LANG"}) {
    if (const auto* value = std::getenv(variable)) {
      options.environment[variable] = value;
    }
  }
  options.log_file = folder_ / "logs" / (name + ".log");
  options.outlives_parent = true;
  ChildProcess child(options);
  const auto pid = child.release();
  started_.push_back({name, pid, start_time(pid)});
  write_process_table(folder_ / "processes.json", started_);
}

std::optional<Refusal> LocalConsortium::find_casualty() const {
  for (const auto& process : started_) {
    if (!is_running(process)) {
      const auto log = folder_ / "logs" / (process.name + ".log");
      return failed(
          fmt::format("{} has ended; its log says\n{}", process.name, last_lines(slurp(log))),
          "the whole log is in " + log.string());
    }
  }
  return std::nullopt;
}

Expected<void> LocalConsortium::start_broker() {
  const auto config = folder_ / "broker/broker.toml";
  const auto old_endpoint = endpoint();
  const auto listen = old_endpoint.empty() ? fmt::format("{}:0", kHost) : old_endpoint;
  write_text(config, fmt::format("kit = \"../kits/broker\"\ndata_dir = \"data\"\nlisten = \"{}\"\n",
                                 listen));
  std::filesystem::remove(folder_ / "broker/data/endpoint");
  launch("broker", beside_this_program("entente-broker"), config);
  const auto deadline = std::chrono::steady_clock::now() + kStartMax;
  while (endpoint().empty()) {
    if (auto casualty = find_casualty()) {
      return tl::unexpected(*casualty);
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return tl::unexpected(failed("the broker does not start to listen",
                                   "see " + (folder_ / "logs/broker.log").string()));
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  return {};
}

void LocalConsortium::describe_site(const LocalPlan& plan, std::size_t index) const {
  const auto& site = plan.sites[index];
  const auto site_folder = folder_ / "sites" / site;
  std::filesystem::create_directories(site_folder);
  auto config = replace_all(plan.site_config, "{site}", site);
  config = replace_all(std::move(config), "{index}", std::to_string(index));
  config = replace_all(std::move(config), "{sites}", std::to_string(plan.sites.size()));
  const auto trainers = plan.trainers != 0
                            ? plan.trainers
                            : std::max<std::size_t>(1, std::thread::hardware_concurrency());
  const auto warm = plan.warm ? fmt::format(", warm = {}", *plan.warm) : "";
  write_text(site_folder / "agent.toml",
             fmt::format("kit = \"../../kits/{}\"\ndata_dir = \"data\"\n"
                         "trainer_pool = {{ folder = \"../../trainers\", running = {}{} }}\n\n{}",
                         site, trainers, warm, config));
}

Expected<void> LocalConsortium::start(const LocalPlan& plan) {
  if (auto broker = start_broker(); !broker) {
    return broker;
  }
  // Members other than the broker learn its address from their kits.
  const auto kit_toml =
      fmt::format("consortium = \"{}\"\nbroker = \"{}\"\n", kConsortium, endpoint());
  write_text(coordinator_kit() / "kit.toml", kit_toml);
  for (std::size_t i = 0; i < plan.sites.size(); ++i) {
    const auto& site = plan.sites[i];
    write_text(folder_ / "kits" / site / "kit.toml", kit_toml);
    describe_site(plan, i);
    launch(site, beside_this_program("entente-agent"), folder_ / "sites" / site / "agent.toml");
  }
  return wait_for_sites(plan.sites.size());
}

Expected<void> LocalConsortium::wait_for_sites(std::size_t count) {
  Options options;
  options.kit = coordinator_kit();
  auto client = BrokerClient::connect(options);
  if (!client) {
    return tl::unexpected(client.error());
  }
  const auto begun = std::chrono::steady_clock::now();
  auto moved = begun;
  std::size_t most = 0;
  for (auto now = begun; now < moved + kStartMax; now = std::chrono::steady_clock::now()) {
    const auto sites = client->ask<std::vector<SiteView>>(msg::ListSites{});
    if (!sites) {
      return tl::unexpected(sites.error());
    }
    const auto ready = static_cast<std::size_t>(std::count_if(
        sites->begin(), sites->end(),
        [](const SiteView& site) { return site.connected && !site.advert.version.empty(); }));
    if (ready >= count) {
      return {};
    }
    if (ready > most) {
      most = ready;
      moved = now;
    }
    if (auto casualty = find_casualty()) {
      return tl::unexpected(*casualty);
    }
    std::this_thread::sleep_for(
        std::max<std::chrono::nanoseconds>(kLookEvery, (now - begun) / kPausePart));
  }
  return tl::unexpected(
      failed(fmt::format("only {} of {} sites have connected in time", most, count),
             "see the logs in " + (folder_ / "logs").string()));
}

std::vector<std::string> LocalConsortium::down() {
  auto running = processes();
  auto killed = stop_all(running, kStopMax);
  std::filesystem::remove(folder_ / "processes.json");
  return killed;
}

}  // namespace entente::cli
