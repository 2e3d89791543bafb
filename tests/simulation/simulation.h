// A whole consortium in one process: the real cores of broker and agents, everything else
// simulated, all of it decided by the plan and its seed. Equal plans give equal runs, event by
// event.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/broker_host.h"
#include "tests/simulation/coordinator.h"
#include "tests/simulation/operator.h"
#include "tests/simulation/site_host.h"
#include "tests/simulation/transfers.h"

namespace entente::simulation {

class Simulation {
 public:
  explicit Simulation(Plan plan);
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // Flips a bit of an accepted update of an open round, or of a model or a server state that a job
  // goes on from; false when there is none.
  bool damage_update() { return damage(disk.updates_at_hand()); }
  bool damage_model() { return damage(disk.models_at_hand()); }

  // Faults at random until plan.faults_end; without it only what a test does goes wrong.
  void let_the_adversary_loose();
  // Runs until all jobs have ended and all sites know it; then holds the end against the promises.
  // Throws Violation.
  void run();
  // Runs until `holds`; throws Violation when it never does.
  void run_until(const std::function<bool()>& holds);

  [[nodiscard]] SiteHost& site(const std::string& name);
  // The job's state as it is committed.
  [[nodiscard]] JobState state(const std::string& job) const;
  // The sites whose updates are in the model of that round.
  [[nodiscard]] std::vector<std::string> contributors(const std::string& job, Round round) const;
  [[nodiscard]] BlobId final_model(const std::string& job) const;
  [[nodiscard]] std::size_t rounds_published() const;
  // How often a job's story tells of this.
  [[nodiscard]] std::size_t events(JobEventKind kind) const;
  [[nodiscard]] std::size_t updates_lost_to_damage() const;
  [[nodiscard]] std::uint64_t happenings() const { return happenings_; }

  const Plan plan;
  World world;
  BrokerDisk disk;
  Promises promises{disk, plan.gentle};
  Network network;
  BrokerHost broker;
  Transfers transfers;
  std::deque<SiteHost> sites;
  Coordinator coordinator;
  Operator mary;

 private:
  bool damage(const std::vector<BlobId>& some);
  void plan_fault();
  void strike();
  void strike_gently();
  void end_faults();
  [[nodiscard]] SiteHost& some_site();
  [[nodiscard]] Monotonic last_moment() const;
  [[nodiscard]] bool is_over() const;
  void step(Monotonic limit);
  [[nodiscard]] std::string unfinished() const;

  std::uint64_t happenings_ = 0;
  Monotonic faults_end_{};
};

}  // namespace entente::simulation
