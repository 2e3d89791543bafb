// The consortium under soak: a broker and five sites as real processes, each site behind a relay,
// one of them with a trainer that sends NaN now and then; and what is wrong with them just now.
//
// A process ends or stops by the scene's hand only: any other end is a violation. Used by the main
// thread only.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/support/consortium.h"
#include "tests/support/relay.h"

namespace entente::soak {

inline constexpr std::array kSites{"east", "mallory", "north", "south", "west"};
inline constexpr auto* kPoisoner = "mallory";

class Scene {
 public:
  Scene();

  [[nodiscard]] integration::Consortium& consortium() { return consortium_; }
  [[nodiscard]] static std::vector<std::string> processes();

  void kill(const std::string& process);  // SIGKILL
  void stop(const std::string& process);  // SIGTERM; must end with 0
  void start(const std::string& process);
  void pause(const std::string& process);   // SIGSTOP
  void resume(const std::string& process);  // SIGCONT
  void cut(const std::string& site) { relays_.at(site)->cut(); }
  // A trainer that runs at the site, if any.
  [[nodiscard]] std::optional<pid_t> trainer(const std::string& site) const;

  [[nodiscard]] bool is_well(const std::string& process) const {
    return !down_.contains(process) && !paused_.contains(process);
  }
  // A process that has ended by itself, and how.
  [[nodiscard]] std::optional<std::string> unexpected_end();

 private:
  integration::Consortium consortium_;
  std::map<std::string, std::unique_ptr<integration::Relay>> relays_;
  std::set<std::string> down_;
  std::set<std::string> paused_;
};

}  // namespace entente::soak
