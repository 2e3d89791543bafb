#include "tests/simulation/simulation.h"

#include <algorithm>

namespace entente::simulation {
namespace {

// Far more than any run needs: reached only by cores that chase their own tail.
constexpr std::uint64_t kHappeningsMax = 3'000'000;

// Beside the stall window: training, transfers, back-off and a trainer that never answers.
constexpr std::chrono::minutes kRoundMax{12};

}  // namespace

Simulation::Simulation(Plan what)
    : plan(std::move(what)),
      world(plan.seed),
      network(world, plan.latency_max),
      broker(world, network, promises, disk, plan),
      transfers(world, network, broker),
      coordinator(world, network, transfers, promises, plan),
      mary(world, network, promises),
      faults_end_(world.timeline.now()) {
  broker.start();
  for (const auto& site : plan.sites) {
    sites.emplace_back(world, network, transfers, promises, site);
  }
  for (auto& site : sites) {
    site.start();
  }
  coordinator.start();
}

void Simulation::run() {
  const auto limit = last_moment();
  while (!is_over()) {
    step(limit);
  }
  promises.at_end(plan);
}

void Simulation::run_until(const std::function<bool()>& holds) {
  const auto limit = last_moment();
  while (!holds()) {
    step(limit);
  }
}

void Simulation::step(Monotonic limit) {
  if (!world.timeline.step() || world.timeline.now() > limit) {
    throw Violation("P5 not everything has come to its end in time" + unfinished());
  }
  if (++happenings_ > kHappeningsMax) {
    throw Violation("P5 the cores are busy without getting anywhere" + unfinished());
  }
}

std::string Simulation::unfinished() const {
  std::string text;
  for (const auto& [id, job] : disk.jobs) {
    if (!is_terminal(job.state)) {
      text += fmt::format("; {} is {} {}", id.str(), to_string(job.state), job.reason);
    }
  }
  for (const auto& one : sites) {
    if (!one.disk().promises.empty() || !one.disk().outbox.empty()) {
      text += fmt::format("; {} still keeps {} jobs and {} results", one.plan().id.str(),
                          one.disk().promises.size(), one.disk().outbox.size());
    }
  }
  return text;
}

// When all must be over: every round may once wait for a stall.
Monotonic Simulation::last_moment() const {
  auto last = faults_end_ + std::chrono::minutes(30);
  for (const auto& job : plan.jobs) {
    const auto models = job.spec.kind == JobKind::cross_evaluate ? plan.sites.size() : 0;
    const auto rounds = static_cast<Round>(job.spec.rounds + models);
    last += job.submitted_after + (rounds + 2) * (job.spec.stall_window + kRoundMax);
    for (const auto& rest : job.rests) {
      last += rest.until - rest.from + job.spec.stall_window + kRoundMax;
    }
  }
  return last;
}

// Also the sites must have heard: what an ended job leaves behind there would never go away.
bool Simulation::is_over() const {
  return world.timeline.now() >= faults_end_ && coordinator.is_content() && mary.is_content() &&
         broker.is_awake() && std::all_of(sites.begin(), sites.end(), [](const SiteHost& site) {
           return site.is_alive() && site.disk().promises.empty() && site.disk().outbox.empty();
         });
}

SiteHost& Simulation::site(const std::string& name) {
  const auto found = std::find_if(sites.begin(), sites.end(), [&](const SiteHost& site) {
    return site.plan().id.str() == name;
  });
  return *found;
}

JobState Simulation::state(const std::string& job) const {
  const auto found = disk.jobs.find(JobId::literal(job));
  return found == disk.jobs.end() ? JobState::queued : found->second.state;
}

std::vector<std::string> Simulation::contributors(const std::string& job, Round round) const {
  std::vector<std::string> names;
  const auto found = disk.models.find({JobId::literal(job), round});
  if (found != disk.models.end()) {
    for (const auto& contribution : found->second.contributions) {
      names.push_back(contribution.site.str());
    }
  }
  return names;
}

BlobId Simulation::final_model(const std::string& job) const {
  const auto id = JobId::literal(job);
  return disk.models.at({id, disk.jobs.at(id).spec.rounds}).blob;
}

std::size_t Simulation::rounds_published() const { return disk.models.size(); }

std::size_t Simulation::events(JobEventKind kind) const {
  std::size_t told = 0;
  for (const auto& [job, events] : disk.events) {
    told += static_cast<std::size_t>(
        std::count_if(events.begin(), events.end(),
                      [kind](const JobEvent& event) { return event.kind == kind; }));
  }
  return told;
}

std::size_t Simulation::updates_lost_to_damage() const {
  return static_cast<std::size_t>(
      std::count_if(disk.audit.begin(), disk.audit.end(),
                    [](const broker::AuditRow& row) { return row.action == "update.lose"; }));
}

bool Simulation::damage(const std::vector<BlobId>& some) {
  if (some.empty()) {
    return false;
  }
  const auto& blob = some[world.random.below(some.size())];
  world.say("world", "a bit of {} flips", blob.short_hex());
  disk.damaged.insert(blob);
  return true;
}

}  // namespace entente::simulation
