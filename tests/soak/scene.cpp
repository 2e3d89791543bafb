#include "tests/soak/scene.h"

#include <signal.h>

#include <random>
#include <stdexcept>

#include "tests/support/process_probe.h"

namespace entente::soak {

using integration::Relay;

Scene::Scene() {
  for (const std::string site : kSites) {
    auto& relay = relays_[site] = std::make_unique<Relay>(consortium_.port());
    integration::SiteSetup setup;
    setup.broker = relay->address();
    setup.trainer = site == kPoisoner ? "poison-trainer" : "quick-trainer";
    setup.slots = 2;
    consortium_.add_site(site, setup);
  }
  consortium_.wait_for_sites(kSites.size());
}

std::vector<std::string> Scene::processes() {
  std::vector<std::string> all(kSites.begin(), kSites.end());
  all.emplace_back("broker");
  return all;
}

void Scene::kill(const std::string& process) {
  down_.insert(process);
  consortium_.kill(process);
}

void Scene::stop(const std::string& process) {
  down_.insert(process);
  const auto status = consortium_.stop(process);
  // An agent that has only just begun to start ends by the signal itself.
  const bool is_early = process != "broker" && status.signal == SIGTERM;
  if (!status.success() && !is_early) {
    throw std::runtime_error(process + ", asked to stop, " + status.to_string());
  }
}

void Scene::start(const std::string& process) {
  consortium_.start(process);
  down_.erase(process);
}

void Scene::pause(const std::string& process) {
  paused_.insert(process);
  consortium_.process(process).send_signal(SIGSTOP);
}

void Scene::resume(const std::string& process) {
  consortium_.process(process).send_signal(SIGCONT);
  paused_.erase(process);
}

std::optional<pid_t> Scene::trainer(const std::string& site) const {
  const auto trainers = integration::children_of(consortium_.pid(site));
  return trainers.empty() ? std::nullopt : std::optional(trainers.front());
}

std::optional<std::string> Scene::unexpected_end() {
  for (const auto& process : processes()) {
    if (!down_.contains(process)) {
      if (const auto status = consortium_.process(process).poll()) {
        return process + " " + status->to_string();
      }
    }
  }
  return std::nullopt;
}

}  // namespace entente::soak
