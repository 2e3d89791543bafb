#include "tests/simulation/coordinator.h"

#include <algorithm>

#include "common/domain/brought_files.h"
#include "tests/simulation/trace_text.h"

namespace entente::simulation {

Coordinator::Coordinator(World& world, Network& network, Transfers& transfers, Promises& promises,
                         const Plan& plan)
    : world_(world), network_(network), transfers_(transfers), promises_(promises) {
  for (const auto& job : plan.jobs) {
    errands_.emplace_back().plan = &job;
  }
}

void Coordinator::start() {
  network_.dial(*this);
  for (std::size_t number = 0; number < errands_.size(); ++number) {
    const auto& plan = *errands_[number].plan;
    world_.timeline.after(plan.submitted_after, [this, number] {
      errands_[number].is_due = true;
      submit(number);
    });
    for (const auto& rest : plan.rests) {
      world_.timeline.after(rest.from, [this, number] {
        errands_[number].is_to_rest = true;
        insist(number);
      });
      world_.timeline.after(rest.until, [this, number] {
        errands_[number].is_to_rest = false;
        errands_[number].is_to_go_on = true;
        insist(number);
      });
    }
    if (plan.aborted_after) {
      world_.timeline.after(*plan.aborted_after, [this, number] {
        const auto& errand = errands_[number];
        if (session_ && errand.job && !errand.has_ended) {
          ask(msg::AbortJob{*errand.job, "changed my mind"});
        }
      });
    }
  }
}

void Coordinator::insist(std::size_t number) {
  const auto& errand = errands_[number];
  if (!session_ || !errand.job || errand.has_ended) {
    return;
  }
  if (errand.is_to_rest) {
    ask(msg::PauseJob{*errand.job, "over lunch"});
  } else if (errand.is_to_go_on) {
    resumes_[ask(msg::ResumeJob{*errand.job})] = number;
  }
}

bool Coordinator::is_content() const {
  return std::all_of(errands_.begin(), errands_.end(),
                     [](const Errand& errand) { return errand.has_ended; });
}

void Coordinator::session_opened(SessionId session) {
  session_ = session;
  has_list_ = false;
  submits_.clear();
  watches_.clear();
  resumes_.clear();
  for (auto& errand : errands_) {
    errand.is_asked = false;
  }
  msg::Hello hello;
  hello.version = "0.1.0";
  network_.to_broker(session, hello);
  ask(msg::ListJobs{});
}

void Coordinator::session_ended(SessionId session) {
  if (session_ == session) {
    session_.reset();
    redial();
  }
}

void Coordinator::redial() {
  world_.timeline.after(world_.random.between(Millis(500), Millis(5000)),
                        [this] { network_.dial(*this); });
}

std::uint64_t Coordinator::ask(msg::RequestBody body) {
  network_.to_broker(*session_, msg::Request{++last_request_, std::move(body)});
  return last_request_;
}

void Coordinator::hear(SessionId session, const msg::Control& message) {
  if (session_ != session) {
    return;
  }
  if (const auto* reply = std::get_if<msg::Reply>(&message)) {
    take(*reply);
  } else if (const auto* update = std::get_if<msg::JobUpdate>(&message)) {
    take(*update);
  }
}

void Coordinator::take(const msg::Reply& reply) {
  if (const auto* jobs = std::get_if<std::vector<JobSummary>>(&reply.body)) {
    find_known(*jobs);
    return;
  }
  if (const auto resumed = resumes_.find(reply.id); resumed != resumes_.end()) {
    errands_[resumed->second].is_to_go_on = false;
    return;
  }
  const auto found = submits_.find(reply.id);
  if (found == submits_.end()) {
    return;
  }
  const auto number = found->second;
  if (const auto* summary = std::get_if<JobSummary>(&reply.body)) {
    acknowledged(errands_[number], *summary);
  } else if (const auto* refusal = std::get_if<Refusal>(&reply.body)) {
    if (refusal->code == "job_ended" || follows_none(number)) {
      errands_[number].has_ended = true;  // the job that it was to follow has failed before
      return;
    }
    // No site has told what it has yet.
    errands_[number].is_asked = false;
    world_.timeline.after(std::chrono::seconds(20), [this, number] { submit(number); });
  }
}

// Whether it was to follow a job that was never submitted, for the same reason.
bool Coordinator::follows_none(std::size_t number) const {
  const auto& after = errands_[number].plan->spec.after;
  return std::ranges::any_of(errands_, [&after](const Errand& errand) {
    const auto id = JobId::literal(errand.plan->spec.name + "-1");
    return errand.has_ended && !errand.job && std::ranges::find(after, id) != after.end();
  });
}

void Coordinator::find_known(const std::vector<JobSummary>& jobs) {
  has_list_ = true;
  for (std::size_t number = 0; number < errands_.size(); ++number) {
    auto& errand = errands_[number];
    const auto known = std::find_if(jobs.begin(), jobs.end(), [&](const JobSummary& job) {
      return job.id.str() == errand.plan->spec.name + "-1";
    });
    if (known != jobs.end()) {
      acknowledged(errand, *known);
    } else if (errand.job) {
      throw Violation("P1 " + errand.job->str() + " was acknowledged and is not in the list");
    }
    submit(number);
  }
}

void Coordinator::submit(std::size_t number) {
  auto& errand = errands_[number];
  if (session_ && has_list_ && errand.is_due && !errand.job && !errand.is_asked) {
    errand.is_asked = true;
    submits_[ask(msg::SubmitJob{errand.plan->spec, {}})] = number;
  }
}

void Coordinator::acknowledged(Errand& errand, const JobSummary& summary) {
  errand.job = summary.id;
  promises_.on_acknowledged(summary.id);
  if (!errand.has_ended) {
    watches_[ask(msg::WatchJob{summary.id, errand.seen_seq})] =
        static_cast<std::size_t>(&errand - errands_.data());
  }
  const auto number = static_cast<std::size_t>(&errand - errands_.data());
  insist(number);
  bring(number);
}

void Coordinator::bring(std::size_t number) {
  for (const auto& file : brought_files(errands_[number].plan->spec)) {
    bring(number, file.blob);
  }
}

void Coordinator::bring(std::size_t number, const BlobId& file) {
  auto& errand = errands_[number];
  if (errand.has_ended || errand.brought.contains(file) || !errand.bringing.insert(file).second) {
    return;
  }
  auto transfer = std::make_shared<Transfer>();
  transfer->peer = identity_.path();
  transfer->blob = file;
  transfer->is_upload = true;
  transfer->is_wanted = [] { return true; };
  transfer->is_reachable = [this] { return network_.reaches(*this); };
  transfer->has_blob = [] { return true; };
  transfer->on_moved = [](std::uint64_t, std::uint64_t) {};
  transfer->on_ended = [this, number, file](const std::optional<Refusal>& refusal) {
    errands_[number].bringing.erase(file);
    if (!refusal) {
      errands_[number].brought.insert(file);
    } else {
      const auto pause = world_.random.between(Millis(500), Millis(20'000));
      world_.timeline.after(pause, [this, number, file] { bring(number, file); });
    }
  };
  transfers_.start(std::move(transfer));
}

void Coordinator::take(const msg::JobUpdate& update) {
  const auto found = watches_.find(update.id);
  if (found == watches_.end()) {
    return;
  }
  auto& errand = errands_[found->second];
  promises_.on_update(update.summary.id, errand.seen_seq, update);
  errand.seen_seq += update.events.size();
  errand.has_ended = errand.has_ended || is_terminal(update.summary.state);
}

}  // namespace entente::simulation
