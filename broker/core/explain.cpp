#include "broker/core/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/core/buffering.h"
#include "broker/core/files.h"
#include "broker/core/following.h"
#include "broker/core/kinds.h"
#include "broker/core/matchmaker.h"
#include "broker/core/names.h"
#include "broker/core/queue.h"
#include "broker/core/selection.h"
#include "common/base/limits.h"
#include "common/domain/brought_files.h"

namespace entente::broker {
namespace {

// What one answer holds: below a control message's bound.
constexpr std::size_t kAheadMax = 100;
constexpr std::size_t kReservedMax = 1000;
constexpr std::size_t kHoldersMax = 10;
constexpr std::size_t kChangesMax = 100;
// Of its sites' names and sentences; the rest of the message is for the bounds above.
constexpr std::size_t kSitesBytesMax = limits::kControlMessageBytesMax / 2;
// What Cap'n Proto adds to a site and to a sentence.
constexpr std::size_t kOverheadBytes = 40;

std::string ordinal(std::size_t number) {
  const auto tens = number % 100;
  const auto ones = number % 10;
  const bool is_teen = tens >= 11 && tens <= 13;
  const auto* ending = is_teen     ? "th"
                       : ones == 1 ? "st"
                       : ones == 2 ? "nd"
                       : ones == 3 ? "rd"
                                   : "th";
  return fmt::format("{}{}", number, ending);
}

std::vector<JobId> holders_of(const State& state, const SiteId& site) {
  std::vector<JobId> holders;
  for (const auto& [id, job] : state.jobs) {
    const auto part = job.parts.find(site);
    if (!job.ended() && part != job.parts.end() && part->second.row.claimed) {
      holders.push_back(id);
    }
  }
  return holders;
}

std::string slots_text(const State& state, const Site& site) {
  const auto slots = site.row.advert.slots;
  return fmt::format(
      "{} {} held by {}", slots == 1 ? "its slot" : fmt::format("its {} slots", slots),
      slots == 1 ? "is" : "are", names(holders_of(state, site.row.site), kHoldersMax));
}

std::string absence_text(const Site& site) {
  const auto& row = site.row;
  if (row.draining) {
    return row.drain_reason.empty() ? "it is draining" : "it is draining, " + row.drain_reason;
  }
  if (site.session && row.advert.paused) {
    return "its people have paused it" +
           (row.advert.pause_reason.empty() ? "" : ", " + row.advert.pause_reason);
  }
  return "it is not connected";
}

SiteExplanation explain_site(const State& state, const Job& job, const Site& site) {
  SiteExplanation explained;
  explained.site = site.row.site;
  const auto part = job.parts.find(site.row.site);
  if (part != job.parts.end() && part->second.row.enrolment == Enrolment::declined) {
    explained.standing = SiteStanding::declined;
    explained.sentences = {part->second.row.reason};
    return explained;
  }
  if (auto failed = objections(job.spec(), site, *state.evaluator); !failed.empty()) {
    explained.standing = SiteStanding::excluded;
    explained.sentences = std::move(failed);
    return explained;
  }
  if (part != job.parts.end() && part->second.row.enrolment == Enrolment::offered) {
    const auto& row = part->second.row;
    explained.standing = SiteStanding::asked;
    explained.sentences = {!row.reason.empty() ? row.reason  // the site's own words
                           : row.claimed
                               ? "it has not answered yet"
                               : "it has not answered in time; its answer counts when it comes"};
    return explained;
  }
  if (part != job.parts.end() && part->second.row.claimed) {
    explained.standing = SiteStanding::taking_part;
    if (!site.advertised || site.row.draining || site.row.advert.paused) {
      explained.sentences = {absence_text(site)};
    } else if (!part->second.row.reason.empty()) {
      explained.sentences = {part->second.row.reason};
    } else if (rules_of(job).is_buffered) {
      if (auto reason = reason_to_wait(job, site.row.site)) {
        explained.sentences = {std::move(*reason)};
      }
    } else if (sits_out(job, site.row.site)) {
      const auto round = job.rounds.rbegin()->first;
      explained.sentences = {
          rests(job, part->second, round)
              ? fmt::format("it rests: round {} has taken its update", part->second.row.last_round)
              : fmt::format("it was not drawn for round {}", round)};
    }
    return explained;
  }
  if (!site.advertised || site.row.draining) {
    explained.standing = SiteStanding::away;
    explained.sentences = {absence_text(site)};
    return explained;
  }
  const bool is_busy = site.claimed >= site.row.advert.slots;
  explained.standing = is_busy ? SiteStanding::busy : SiteStanding::free;
  if (is_busy) {
    explained.sentences = {slots_text(state, site)};
  }
  return explained;
}

std::vector<SiteId> with_standing(const Explanation& explained, SiteStanding standing) {
  std::vector<SiteId> sites;
  for (const auto& site : explained.sites) {
    if (site.standing == standing) {
      sites.push_back(site.site);
    }
  }
  return sites;
}

// Where people can do something about it: which of the sites must come, answer or become free.
void add_changes_of_sites(const Job& job, const Wait& wait, Explanation& explained) {
  const auto& mandatory = job.spec().sites.mandatory;
  for (const auto& site : explained.sites) {
    if (std::find(mandatory.begin(), mandatory.end(), site.site) != mandatory.end() &&
        site.standing != SiteStanding::free && site.standing != SiteStanding::taking_part) {
      explained.changes.push_back(
          fmt::format("mandatory site {}: {}", site.site.str(), site.sentences.at(0)));
    }
  }
  const auto lacking = wait.need - std::min(wait.need, wait.have);
  if (lacking == 0) {
    return;
  }
  const auto must = [&](SiteStanding standing, std::string_view what) {
    const auto sites = with_standing(explained, standing);
    if (!sites.empty()) {
      const auto some = sites.size() > lacking ? fmt::format("{} of ", lacking) : "";
      explained.changes.push_back(fmt::format("{}{} must {}", some, names(sites), what));
    }
  };
  if (wait.what == WaitsFor::slots) {
    must(SiteStanding::busy, "have a slot free");
  } else {
    must(SiteStanding::away, "be there");
    must(SiteStanding::asked, "accept");
  }
  if (job.spec().sites.min > 1) {
    auto lower = fmt::format("submit it with a lower sites.min than {}", job.spec().sites.min);
    if (explained.changes.empty()) {
      explained.changes.push_back(std::move(lower));
    } else {
      explained.changes.back() += ", or " + lower;
    }
  }
}

void add_changes(const State& state, const Job& job, const Outlook& outlook,
                 Explanation& explained) {
  const auto& wait = *outlook.wait;
  if (outlook.holder == job.id() && !outlook.yields.empty()) {
    explained.changes.push_back(
        fmt::format("{} must end {} round and {} way: preemptible, and of a lower priority",
                    names(outlook.yields), outlook.yields.size() == 1 ? "its" : "their",
                    outlook.yields.size() == 1 ? "gives" : "give"));
    return;
  }
  switch (wait.what) {
    case WaitsFor::sites:
    case WaitsFor::mandatory_sites:
    case WaitsFor::slots:
    case WaitsFor::mandatory_slots:
      add_changes_of_sites(job, wait, explained);
      return;
    case WaitsFor::reservation:
      explained.changes.push_back(fmt::format("{} must start, which has reserved {}",
                                              outlook.holder->str(), names(outlook.reserved)));
      return;
    case WaitsFor::job_quota:
    case WaitsFor::slot_quota:
      std::vector<JobId> own;
      for (const auto& [id, other] : state.jobs) {
        if (other.row.coordinator == job.row.coordinator && other.claims > 0) {
          own.push_back(id);
        }
      }
      explained.changes.push_back(fmt::format("one of {} must end", names(own)));
      return;
  }
}

std::string waiting_sentence(const Explanation& explained, const Wait& wait) {
  std::string behind;
  if (!explained.ahead.empty()) {
    behind = " behind " + explained.ahead.back().str();
  }
  return fmt::format("waits, {} in the queue{}: {}", ordinal(explained.place), behind,
                     sentence(wait));
}

// Which of them the open round has drawn, or how far its buffer is.
std::string sample_text(const Job& job, std::vector<SiteId> sites) {
  if (rules_of(job).is_buffered && !job.rounds.empty()) {
    const auto& round = job.rounds.rbegin()->second;
    return round.round == 0 || round.state != RoundState::training
               ? ""
               : fmt::format("; round {} has {} of {} updates", round.round,
                             buffer_of(job, round.round).updates, updates_wanted(job));
  }
  if (!rules_of(job).draws(job) || job.rounds.rbegin()->first == 0) {
    return {};
  }
  std::erase_if(sites, [&job](const SiteId& site) { return sits_out(job, site); });
  return fmt::format("; round {} has drawn {}", job.rounds.rbegin()->first, names(sites));
}

std::string sentence_of(const Job& job, const Explanation& explained) {
  const auto taking_part = with_standing(explained, SiteStanding::taking_part);
  switch (job.row.state) {
    case JobState::queued:
      return {};
    case JobState::matching:
      return fmt::format("asks its sites: {} accepted, {} thinking, {} needed", taking_part.size(),
                         with_standing(explained, SiteStanding::asked).size(),
                         sites_needed(job.spec()));
    case JobState::running:
      return fmt::format("runs at {}{}{}", names(taking_part), sample_text(job, taking_part),
                         job.gives_way_to ? fmt::format("; gives way to {} after this round",
                                                        job.gives_way_to->str())
                                          : "");
    case JobState::paused:
      return "is paused " + job.row.reason;
    case JobState::completed:
    case JobState::failed:
    case JobState::aborted:
      return fmt::format("has {}{}{}", job.row.state == JobState::aborted ? "been " : "",
                         to_string(job.row.state),
                         job.row.reason.empty() ? "" : ": " + job.row.reason);
  }
  return {};
}

void explain_wait(const Step& step, Job& job, Explanation& explained) {
  if (is_held_up(step.state, job)) {
    explained.sentence = what_holds_up(step.state, job);
    if (awaits_files(job)) {
      explained.changes.push_back(fmt::format("{} must bring it: entente job upload {} FILE",
                                              job.row.coordinator, job.id().str()));
    }
    return;
  }
  const auto outlook = foresee(step, job);
  if (!outlook.wait) {
    explained.sentence = fmt::format(
        "starts at once: it asks {}, and each site's own policy decides", names(outlook.claims));
    return;
  }
  explained.place = static_cast<std::uint32_t>(outlook.ahead.size()) + 1;
  explained.ahead = outlook.ahead;
  explained.sentence = waiting_sentence(explained, *outlook.wait);
  const auto skip = explained.ahead.size() - std::min(explained.ahead.size(), kAheadMax);
  explained.ahead.erase(explained.ahead.begin(),
                        explained.ahead.begin() + static_cast<std::ptrdiff_t>(skip));
  if (outlook.holder == job.id()) {
    explained.reserved = outlook.reserved;
    explained.reserved.resize(std::min(explained.reserved.size(), kReservedMax));
  }
  add_changes(step.state, job, outlook, explained);
  explained.changes.resize(std::min(explained.changes.size(), kChangesMax));
}

// Leaves out the last sites of a consortium of thousands.
void fit_into_message(Explanation& explained) {
  std::size_t bytes = 0;
  std::size_t kept = 0;
  for (const auto& site : explained.sites) {
    bytes += site.site.str().size() + kOverheadBytes;
    for (const auto& sentence : site.sentences) {
      bytes += std::min(sentence.size(), limits::kPeerTextBytesMax) + kOverheadBytes;
    }
    if (bytes > kSitesBytesMax) {
      break;
    }
    ++kept;
  }
  explained.sites_left_out = static_cast<std::uint32_t>(explained.sites.size() - kept);
  explained.sites.resize(kept);
}

}  // namespace

Explanation explain(const Step& step, Job& job) {
  Explanation explained;
  explained.state = job.row.state;
  if (!job.id().empty()) {
    explained.job = job.id();
  }
  if (job.ended()) {  // its reason has every site's words, and no site is anything to it any more
    explained.sentence = sentence_of(job, explained);
    return explained;
  }
  for (const auto& [id, site] : step.state.sites) {
    explained.sites.push_back(explain_site(step.state, job, site));
  }
  std::stable_sort(explained.sites.begin(), explained.sites.end(),
                   [](const auto& a, const auto& b) { return a.standing < b.standing; });
  explained.sentence = sentence_of(job, explained);
  if (job.row.state == JobState::queued) {
    explain_wait(step, job, explained);
  }
  if (job.row.state == JobState::paused) {
    explained.changes.push_back("somebody must resume it: entente job resume " + job.id().str());
  }
  fit_into_message(explained);
  return explained;
}

Explanation explain_unsubmitted(const Step& step, const std::string& coordinator,
                                const JobSpec& spec) {
  Job job;
  job.row.coordinator = coordinator;
  job.row.spec = spec;
  job.row.number = step.state.jobs.size() + 1;
  const auto needs = awaits_files(job) ? awaited_files(job) : std::string();
  for (const auto& file : brought_files(spec)) {
    job.files.insert(file.blob);
  }
  auto explained = explain(step, job);
  if (!needs.empty()) {
    explained.sentence = fmt::format("{}, once submitted; then it {}", needs, explained.sentence);
  }
  return explained;
}

}  // namespace entente::broker
