// The person who submits: sends each job once, asks again only when it cannot know, pauses and
// resumes some of its jobs, and follows all of them to their end.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "tests/simulation/network.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/transfers.h"

namespace entente::simulation {

class Coordinator final : public Peer {
 public:
  Coordinator(World& world, Network& network, Transfers& transfers, Promises& promises,
              const Plan& plan);

  void start();
  // True when every job has been acknowledged and seen to its end.
  [[nodiscard]] bool is_content() const;

  [[nodiscard]] const Identity& identity() const override { return identity_; }
  [[nodiscard]] std::uint64_t life() const override { return 0; }
  [[nodiscard]] bool is_alive() const override { return true; }
  void dial_failed() override { redial(); }
  void session_opened(SessionId session) override;
  void session_ended(SessionId session) override;
  void hear(SessionId session, const msg::Control& message) override;

 private:
  struct Errand {
    const JobPlan* plan = nullptr;
    bool is_due = false;
    bool is_asked = false;  // in this session
    std::optional<JobId> job;
    std::uint64_t seen_seq = 0;
    bool has_ended = false;
    bool is_to_rest = false;  // as long as that is not answered, it is asked again
    bool is_to_go_on = false;
    std::set<BlobId> bringing;  // files
    std::set<BlobId> brought;   // and the broker has said so: they will not be sent again
  };

  void redial();
  void take(const msg::Reply& reply);
  void take(const msg::JobUpdate& update);
  [[nodiscard]] bool follows_none(std::size_t number) const;
  void find_known(const std::vector<JobSummary>& jobs);
  void submit(std::size_t number);
  void acknowledged(Errand& errand, const JobSummary& summary);
  // Sends what the job's coordinator wants done and the broker has not confirmed.
  void insist(std::size_t number);
  // Sends the files that the job needs, until the broker has them.
  void bring(std::size_t number);
  void bring(std::size_t number, const BlobId& file);
  std::uint64_t ask(msg::RequestBody body);

  World& world_;
  Network& network_;
  Transfers& transfers_;
  Promises& promises_;
  const Identity identity_{ConsortiumId::literal("health"), Role::coordinator, "alice"};
  std::vector<Errand> errands_;
  std::optional<SessionId> session_;
  bool has_list_ = false;  // in this session: what is not in it was never submitted
  std::uint64_t last_request_ = 0;
  std::map<std::uint64_t, std::size_t> submits_;  // request -> errand
  std::map<std::uint64_t, std::size_t> watches_;
  std::map<std::uint64_t, std::size_t> resumes_;
};

}  // namespace entente::simulation
