// The data plane at the level of its effects: a blob moves in a few steps, each of which both sides
// see, until it is there, refused or cut. Bytes and offsets are the business of other tests.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/simulation/broker_host.h"

namespace entente::simulation {

// One move of a blob, as its site sees it.
struct Transfer {
  std::string peer;
  BlobId blob;
  bool is_upload = false;
  bool is_poisoned = false;
  bool is_stopped = false;
  bool is_cut = false;
  std::function<bool()> is_wanted;  // false once the site's process is gone
  std::function<bool()> is_reachable;
  std::function<bool()> has_blob;  // of an upload: the file is there
  std::function<void(std::uint64_t done, std::uint64_t total)> on_moved;
  std::function<void(std::optional<Refusal>)> on_ended;
};

class Transfers {
 public:
  Transfers(World& world, Network& network, BrokerHost& broker)
      : world_(world), network_(network), broker_(broker) {}

  void start(std::shared_ptr<Transfer> transfer);

 private:
  void begin(const std::shared_ptr<Transfer>& transfer);
  void move(const std::shared_ptr<Transfer>& transfer, std::uint64_t broker_life,
            std::uint64_t step);
  void complete(const std::shared_ptr<Transfer>& transfer, std::uint64_t broker_life);
  void end(const std::shared_ptr<Transfer>& transfer, Millis pause, std::optional<Refusal> refusal);
  void end_cut(const std::shared_ptr<Transfer>& transfer);

  World& world_;
  Network& network_;
  BrokerHost& broker_;
};

}  // namespace entente::simulation
