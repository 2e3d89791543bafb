// The loop thread: takes what comes in, asks the core, commits the journal, and carries out the
// rest.
//
// One poll waits for everything: the session with the broker, the trainers' pipes, the inbox of the
// other threads, the next wake-up, the stop signal and SIGHUP, which has agent.toml read again.
// Only journal commits block it, for a few milliseconds each.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/blob/blob_store.h"
#include "common/net/client_session.h"
#include "common/runtime/hangup_signal.h"
#include "common/runtime/stop_signal.h"
#include "site-agent/core/agent_core.h"
#include "site-agent/journal/journal.h"
#include "site-agent/service/agent_config.h"
#include "site-agent/service/broker_route.h"
#include "site-agent/service/inbox.h"
#include "site-agent/service/trainer_pool.h"
#include "site-agent/service/trainer_process.h"
#include "site-agent/service/transfers.h"
#include "site-agent/service/worker_pool.h"

namespace entente::agent {

// The parts that effects are carried out with; all outlive the loop's run.
struct LoopParts {
  AgentConfig& config;  // replaced, but for kit, data_dir and broker, when it is read again
  const std::filesystem::path& config_file;
  const BrokerRoute& route;
  Journal& journal;
  BlobStore& blobs;
  Transfers& transfers;
  WorkerPool& dialer;
  WorkerPool& disk;
  TrainerPool* pool;  // null: this agent shares its machine with no other
};

class AgentLoop {
 public:
  AgentLoop(AgentCore core, Inbox& inbox, LoopParts parts);

  // Returns when `stop` has fired (nothing; updates that were finished are in the outbox) or a
  // thread has failed (what failed). Throws SQLite::Exception when the journal cannot be written.
  // Trainers are dead when it returns.
  [[nodiscard]] std::optional<std::string> run(StopSignal& stop, HangupSignal& reread);

 private:
  struct Trainer {
    JobId job;
    // Of the pool; given back only after the process has ended.
    std::optional<PlaceFiles::Place> running{};
    std::optional<PlaceFiles::Place> warm{};
    TrainerProcess process;
    bool prepared = false;
  };

  void wait(StopSignal& stop, HangupSignal& reread);
  void take_inbox();
  void take_messages();
  void take(const net::Frames& frames);
  void take_trainers();
  void take_replies(TrainerId id);
  void take_time();
  void take_place();
  void keep_finished_outputs();

  void decide(Event event);
  void end_session(Refusal reason);

  // agent_loop_people.cpp: what the site's people ask for
  void take(const LocalAsk& ask);
  void take(Reread reread);
  void read_config_again();

  void carry_out(const effect::Dial&);
  void carry_out(const effect::HangUp&);
  void carry_out(const effect::Send& effect);
  void carry_out(const effect::StartTrainer& effect);
  void carry_out(const effect::RunTask& effect);
  void carry_out(const effect::StopTrainer& effect);
  void carry_out(const effect::SeekPlace&);
  void carry_out(const effect::LeavePlace&);
  void carry_out(const effect::RestTrainer& effect);
  void carry_out(const effect::StoreOutput& effect);
  void carry_out(const effect::HandOut& effect);
  void carry_out(const effect::RemoveWorkFolder& effect);
  void carry_out(const effect::Download& effect);
  void carry_out(const effect::StopDownload& effect);
  void carry_out(const effect::Upload& effect);
  void carry_out(const effect::StopUpload& effect);
  void carry_out(const effect::RemoveBlob& effect);
  void carry_out(const effect::Note& effect);
  void carry_out(const effect::RecordDeparture& effect);  // its log line; its row is committed
  // Rows: committed before anything is carried out.
  void carry_out(const effect::SavePromise&) {}
  void carry_out(const effect::ForgetPromise&) {}
  void carry_out(const effect::SaveResult&) {}
  void carry_out(const effect::DropResult&) {}
  void carry_out(const effect::SaveSiteState&) {}
  void carry_out(const effect::DropSiteState&) {}
  void carry_out(const effect::SaveDecision&) {}
  void carry_out(const effect::SpendRound&) {}
  void carry_out(const effect::SavePause&) {}
  void carry_out(const effect::ClearPause&) {}

  [[nodiscard]] contract::Prepare prepare_command(const effect::StartTrainer& effect) const;
  [[nodiscard]] const DatasetConfig* find_dataset(const std::string& name) const;
  [[nodiscard]] std::filesystem::path work_folder(const JobId& job) const;
  [[nodiscard]] std::filesystem::path output_file(const TaskKey& key) const;
  // What a job has left here for the site's people.
  [[nodiscard]] std::filesystem::path handed_out(const JobId& job) const;
  // Where a trainer writes what stays at the site.
  [[nodiscard]] static std::filesystem::path own_file(const std::filesystem::path& output);

  AgentCore core_;
  Inbox& inbox_;
  LoopParts parts_;

  std::unique_ptr<net::ClientSession> session_;
  std::map<TrainerId, Trainer> trainers_;
  std::optional<PlaceFiles::Place> free_place_;  // taken, and not yet a trainer's
  std::optional<Monotonic> place_sought_at_;     // when to look for one again
  Monotonic no_place_before_{};                  // others have their chance first
  std::deque<Event> events_;                     // of the step under way and what it led to
  bool deciding_ = false;
  bool stopped_ = false;
  std::optional<std::string> failure_;
};

}  // namespace entente::agent
