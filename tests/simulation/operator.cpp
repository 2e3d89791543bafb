#include "tests/simulation/operator.h"

#include <algorithm>

namespace entente::simulation {

void Operator::resume_all() {
  for (const auto& [site, draining] : wishes_) {
    if (draining) {
      resume(site);
    }
  }
}

void Operator::wish(const SiteId& site, bool draining) {
  world_.say("mary", "{} {}", draining ? "drains" : "resumes", site.str());
  wishes_[site] = draining;
  open_[site] = 0;
  if (session_) {
    ask(site, draining);
  } else if (!std::exchange(is_dialing_, true)) {
    network_.dial(*this);
  }
}

void Operator::ask(const SiteId& site, bool draining) {
  open_[site] = ++last_request_;
  const auto body = draining ? msg::RequestBody(msg::DrainSite{site, "new disks"})
                             : msg::RequestBody(msg::ResumeSite{site});
  network_.to_broker(*session_, msg::Request{last_request_, body});
}

void Operator::dial_failed() {
  world_.timeline.after(world_.random.between(Millis(500), Millis(5000)),
                        [this] { network_.dial(*this); });
}

void Operator::session_opened(SessionId session) {
  session_ = session;
  is_dialing_ = false;
  msg::Hello hello;
  hello.version = "0.1.0";
  network_.to_broker(session, hello);
  for (const auto& [site, request] : open_) {
    ask(site, wishes_.at(site));
  }
}

void Operator::session_ended(SessionId session) {
  if (session_ == session) {
    session_.reset();
    is_dialing_ = true;
    dial_failed();
  }
}

void Operator::hear(SessionId session, const msg::Control& message) {
  const auto* reply = std::get_if<msg::Reply>(&message);
  if (session_ != session || reply == nullptr) {
    return;
  }
  const auto answered = std::find_if(open_.begin(), open_.end(),
                                     [&](const auto& entry) { return entry.second == reply->id; });
  if (answered == open_.end()) {
    return;
  }
  // A site that has never joined can be neither drained nor resumed.
  if (std::holds_alternative<msg::Done>(reply->body)) {
    promises_.on_drained(answered->first, wishes_.at(answered->first));
  }
  open_.erase(answered);
}

}  // namespace entente::simulation
