// Places for trainers that the agents of one machine share, so that a hundred light sites do not
// all compute at once, nor all keep a trainer warm.
//
//  - A place is a file of the pool's folder, and who has it holds an exclusive flock(2) on it. The
//    kernel frees the places of an agent that dies, however it dies; trainers die with their agent.
//  - There are places to compute in ("running") and places to wait for more work in ("warm").
//  - Nobody waits here: a place is taken at once or not at all. The agent's loop asks again every
//    kPlaceSoughtEvery. Who comes first is chance; nobody is passed over forever by it.
//
// Every agent must give the same numbers for one folder: each looks at its own number of files.
// Used by the loop thread only. The files stay; they are empty.
#pragma once

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "site-agent/service/agent_config.h"

namespace entente::agent {

// Often enough that a free place is found soon, seldom enough that a hundred waiting agents take no
// processor time worth mentioning.
constexpr std::chrono::milliseconds kPlaceSoughtEvery{50};

// The places of one kind.
class PlaceFiles {
 public:
  // Gives its place back when it ends. The files outlive it.
  class Place {
   public:
    Place(Place&& other) noexcept
        : files_(std::exchange(other.files_, nullptr)), number_(other.number_) {}
    Place& operator=(Place&& other) noexcept;
    ~Place() { give_back(); }

   private:
    friend class PlaceFiles;
    Place(PlaceFiles* files, std::size_t number) : files_(files), number_(number) {}
    void give_back();

    PlaceFiles* files_;
    std::size_t number_;
  };

  // Makes the files that are missing. Throws std::system_error.
  PlaceFiles(const std::filesystem::path& folder, std::string_view name, std::uint32_t count);
  ~PlaceFiles();
  PlaceFiles(const PlaceFiles&) = delete;
  PlaceFiles& operator=(const PlaceFiles&) = delete;

  // Nothing when all are taken. Throws std::system_error when the file system has no locks.
  [[nodiscard]] std::optional<Place> take();

 private:
  struct Slot {
    int descriptor = -1;
    bool taken = false;  // by this agent: flock(2) would grant it twice
  };
  std::vector<Slot> slots_;
};

struct TrainerPool {
  explicit TrainerPool(const TrainerPoolConfig& config);

  PlaceFiles running;
  PlaceFiles warm;
};

}  // namespace entente::agent
