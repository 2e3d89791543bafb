#include "tests/soak/vitals.h"

#include <fmt/format.h>

#include "tests/support/process_probe.h"

namespace entente::soak {
namespace {

// What a heap that has been used for a while keeps for the next time, and a job's rows in memory.
constexpr std::uint64_t kHeapBytes = 12 << 20;
constexpr std::uint64_t kJobBytes = 64 << 10;
// Data sessions are kept for a while, of three descriptors each: at the broker two of each of five
// sites, at a site its own; and some for who comes and goes meanwhile. What leaks goes on growing.
constexpr std::size_t kBrokerDescriptors = 40;
constexpr std::size_t kAgentDescriptors = 16;

}  // namespace

AllVitals take_vitals(Scene& scene) {
  AllVitals all;
  for (const auto& process : Scene::processes()) {
    const auto pid = scene.consortium().pid(process);
    all[process] = {integration::anonymous_bytes(pid), integration::open_descriptors(pid)};
  }
  return all;
}

std::vector<std::string> growth(const AllVitals& start, const AllVitals& end, std::size_t jobs) {
  std::vector<std::string> grown;
  for (const auto& [process, before] : start) {
    const auto& after = end.at(process);
    if (after.bytes > before.bytes + kHeapBytes + jobs * kJobBytes) {
      grown.push_back(fmt::format("the memory of {} has grown from {} to {} bytes", process,
                                  before.bytes, after.bytes));
    }
    const auto spare = process == "broker" ? kBrokerDescriptors : kAgentDescriptors;
    if (after.descriptors > before.descriptors + spare) {
      grown.push_back(fmt::format("{} had {} descriptors and has {}", process, before.descriptors,
                                  after.descriptors));
    }
  }
  return grown;
}

}  // namespace entente::soak
