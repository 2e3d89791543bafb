#include "broker/core/sessions.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/core/cohort.h"
#include "broker/core/files.h"
#include "broker/core/jobs.h"
#include "broker/core/pausing.h"
#include "broker/core/rounds.h"
#include "broker/core/tasks.h"
#include "common/base/check.h"

namespace entente::broker {
namespace {

void refuse_session(Step& step, const Session& session, Refusal reason) {
  step.audit(session.identity.path(), "session.refuse", "broker", reason.message);
  const auto why = reason.message;
  step.send(session.id, msg::Refused{std::move(reason)});
  step.act(CloseSession{session.id, why});
}

SiteId site_of(const Identity& identity) {
  const auto site = SiteId::parse(identity.name);
  ENTENTE_CHECK(site.has_value());  // the front hands over legal names only
  return *site;
}

// False when another installation already answers for this site.
bool take_over(Step& step, Session& session, const msg::Hello& hello) {
  const auto id = site_of(session.identity);
  auto& site = know_site(step.state, id);
  if (site.session && *site.session != session.id) {
    if (site.row.instance != hello.instance) {
      refuse_session(
          step, session,
          {"site_already_connected",
           fmt::format("another installation is connected as \"{}\"", id.str()),
           "stop the other agent, or give this one a certificate of its own", Scope::site});
      return false;
    }
    step.act(CloseSession{*site.session, "superseded by a new session of the same installation"});
    step.state.sessions.erase(*site.session);
  }
  site.session = session.id;
  site.advertised = false;
  site.row.instance = hello.instance;
  site.row.last_seen_unix_ms = step.now.unix_ms;
  step.save(site);
  return true;
}

}  // namespace

Site& know_site(State& state, const SiteId& id) {
  const auto [entry, is_new] = state.sites.try_emplace(id);
  auto& site = entry->second;
  if (is_new) {
    site.row.site = id;
    site.index = static_cast<SiteIndex>(state.adverts.size());
    state.adverts.push_back(1);
  }
  return site;
}

void on_session_opened(Step& step, const SessionOpened& opened) {
  step.state.sessions[opened.session] = Session{opened.session, opened.identity, false};
}

void on_session_closed(Step& step, SessionId id) {
  const auto found = step.state.sessions.find(id);
  if (found == step.state.sessions.end()) {
    return;
  }
  const auto session = found->second;
  step.state.sessions.erase(found);
  std::erase_if(step.state.watchers, [id](const Watcher& w) { return w.session == id; });
  if (session.identity.role != Role::site || !session.greeted) {
    return;
  }
  auto& site = step.state.sites.at(site_of(session.identity));
  if (site.session == id) {
    site.session.reset();
    site.advertised = false;
    site.row.last_seen_unix_ms = step.now.unix_ms;
    step.save(site);
    step.state.queue.is_stale = true;
  }
}

void on_hello(Step& step, Session& session, const msg::Hello& hello) {
  if (hello.protocol_min > msg::kProtocolMax || hello.protocol_max < msg::kProtocolMin) {
    refuse_session(step, session,
                   {"protocol_unsupported",
                    fmt::format("this broker ({}) speaks protocol {} to {}, the peer ({}) {} to {}",
                                step.state.version, msg::kProtocolMin, msg::kProtocolMax,
                                hello.version, hello.protocol_min, hello.protocol_max),
                    "bring the older of the two up to date", Scope::site});
    return;
  }
  if (session.greeted) {
    refuse_session(step, session,
                   {"protocol_violated", "a second Hello in one session", "", Scope::site});
    return;
  }
  if (session.identity.role == Role::site && !take_over(step, session, hello)) {
    return;
  }
  session.greeted = true;
  grant_files(step, session.identity);
  msg::Welcome welcome;
  welcome.protocol = std::min(hello.protocol_max, msg::kProtocolMax);
  welcome.session = session.id;
  welcome.broker = step.state.broker_name;
  welcome.version = step.state.version;
  step.send(session.id, std::move(welcome));
}

void on_advert(Step& step, const SiteId& id, const msg::Advert& advert) {
  auto& site = step.state.sites.at(id);
  if (site.row.advert != advert.advert) {
    ++step.state.adverts[site.index];
  }
  site.row.advert = advert.advert;
  site.row.last_seen_unix_ms = step.now.unix_ms;
  site.advertised = !advert.advert.paused;
  step.save(site);
  step.state.queue.is_stale = true;
  if (site.advertised) {
    catch_up(step, site);
  }
}

void catch_up(Step& step, const Site& site) {
  step.state.queue.is_stale = true;
  const auto& id = site.row.site;
  for (auto& [job_id, job] : step.state.jobs) {
    const auto part = job.parts.find(id);
    if (part != job.parts.end()) {
      auto& row = part->second.row;
      if (job.ended()) {
        if (!row.told_closed && row.enrolment != Enrolment::declined) {
          row.told_closed = step.send(id, msg::JobClosed{job_id, job.row.reason});
          step.save(part->second);
        }
        continue;
      }
      if (row.enrolment == Enrolment::offered) {
        if (!site.row.draining && job.row.state != JobState::paused) {
          repeat_offer(step, job, id);
        }
      } else if (row.enrolment == Enrolment::accepted) {
        if (job.runs()) {
          offer_open_tasks(step, job, id);
        } else {
          repeat_pause(step, job, id);
        }
        heard_from(step, job, id);
      }
    }
    advance(step, job);
  }
}

}  // namespace entente::broker
