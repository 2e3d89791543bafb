// The thread that owns the database. It takes batches of rows and actions, writes the rows of all
// waiting batches in one transaction, and only then hands the actions back to the loop.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "broker/core/effect.h"
#include "broker/store/broker_store.h"
#include "common/runtime/mailbox.h"

namespace entente::broker {

struct StoreHandlers {
  // The rows of these effects are durable; `actions` may be carried out. SendEvents and SendModels
  // have been turned into Send.
  std::function<void(std::vector<Action> actions)> on_committed;
  // The database failed: nothing that was not committed may be spoken about. The broker must stop.
  std::function<void(std::string what)> on_failure;
};

class StoreThread {
 public:
  // Batches that may wait; the loop stops taking events before it is reached.
  static constexpr std::size_t kBatchesMax = 256;

  StoreThread(BrokerStore store, StoreHandlers handlers);
  ~StoreThread();  // writes what waits, then joins

  void push(Effects effects) { inbox_.push(std::move(effects)); }

 private:
  void run();
  void write(const std::vector<Row>& rows);
  [[nodiscard]] std::vector<Action> answer(std::vector<Action> actions);

  BrokerStore store_;
  StoreHandlers handlers_;
  Mailbox<Effects> inbox_;
  std::thread thread_;
};

}  // namespace entente::broker
