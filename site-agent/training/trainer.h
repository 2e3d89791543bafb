// The built-in trainer: carries out the commands of the trainer contract with LibTorch.
//
//  - `prepare` loads model and data and checks the data contract; the other commands need it. They
//    then stay in memory between rounds. A second `prepare` replaces the first.
//  - A failed command leaves the trainer usable: every fault becomes an Error.
//  - Same command, same data, same bits (see device.h for what that depends on).
//
// One thread; one trainer per process, because LibTorch's generator and thread count are global.
#pragma once

#include <memory>
#include <stdexcept>
#include <tl/expected.hpp>

#include "site-agent/contract/contract.h"
#include "site-agent/training/progress_meter.h"

namespace entente::agent {

// Thrown by a ReportProgress to give up the command; passes through Trainer::handle.
class CommandAbandoned : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Trainer {
 public:
  explicit Trainer(ReportProgress report);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  using Outcome = tl::expected<contract::Result, contract::Error>;

  // Stop is the caller's business and an empty result here.
  [[nodiscard]] Outcome handle(const contract::CommandBody& command);

 private:
  class Session;
  std::unique_ptr<Session> session_;
};

}  // namespace entente::agent
