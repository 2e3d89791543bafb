#include "coordinator/watch_display.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "coordinator/json_views.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

constexpr std::chrono::seconds kPlainLineEvery{5};
constexpr std::size_t kBarCells = 30;

double fraction(const TaskProgress& progress) {
  return progress.total == 0 ? 0.0
                             : std::min(1.0, static_cast<double>(progress.done) /
                                                 static_cast<double>(progress.total));
}

std::string activity(const JobSiteView& site) {
  if (!site.connected) {
    return "not connected";
  }
  if (site.enrolment != Enrolment::accepted) {
    return std::string(to_string(site.enrolment));
  }
  if (!site.task) {
    return site.stands_by ? "standing by" : site.sits_out ? "sitting out" : "idle";
  }
  switch (site.task_state) {
    case TaskState::pending:
      return "starting";
    case TaskState::running:
      return site.progress.unit == "bytes down" ? "fetching" : std::string(to_string(*site.task));
    case TaskState::uploading:
      return "sending";
    case TaskState::done:
      return site.sits_out ? "sitting out" : "done";
    case TaskState::failed:
    case TaskState::lost:
      return std::string(to_string(site.task_state));
  }
  return {};
}

bool is_moving(const JobSiteView& site) {
  return site.connected && site.task && site.progress.done < site.progress.total &&
         (site.task_state == TaskState::running || site.task_state == TaskState::uploading);
}

std::string bar(const JobSiteView& site, std::size_t name_width) {
  const auto filled = static_cast<std::size_t>(fraction(site.progress) * kBarCells);
  std::string cells;
  for (std::size_t i = 0; i < kBarCells; ++i) {
    cells += i < filled ? "█" : "░";
  }
  const auto numbers = site.progress.total == 0
                           ? std::string()
                           : fmt::format("{:3.0f} %  {} of {} {}", 100 * fraction(site.progress),
                                         with_commas(site.progress.done),
                                         with_commas(site.progress.total), site.progress.unit);
  return fmt::format("  {:<{}}  {}  {:<13}  {}", site.site.str(), name_width, cells, activity(site),
                     numbers);
}

}  // namespace

WatchDisplay::WatchDisplay(const Options& options)
    : json_(options.json), terminal_(!options.json && ::isatty(STDOUT_FILENO) == 1) {}

WatchDisplay::~WatchDisplay() { erase_bars(); }

void WatchDisplay::show(const msg::JobUpdate& update) {
  erase_bars();
  for (const auto& event : update.events) {
    show(event);
  }
  if (json_) {
    std::fflush(stdout);
    return;
  }
  if (terminal_ && !is_terminal(update.summary.state)) {
    draw_bars(update);
  } else if (!terminal_) {
    print_progress(update);
  }
  std::fflush(stdout);
}

void WatchDisplay::interrupted(const Refusal& reason) {
  erase_bars();
  fmt::print(stderr, "the connection is gone ({}); the job goes on, trying again\n",
             reason.message);
}

void WatchDisplay::show(const JobEvent& event) {
  if (json_) {
    fmt::print("{}\n", to_json(event).dump());
    return;
  }
  const auto metrics = describe(event.metrics);
  fmt::print("{}{}{}\n", event.text, metrics.empty() ? "" : ": ", metrics);
}

void WatchDisplay::draw_bars(const msg::JobUpdate& update) {
  std::size_t name_width = 0;
  for (const auto& site : update.sites) {
    name_width = std::max(name_width, site.site.str().size());
  }
  for (const auto& site : update.sites) {
    if (site.enrolment != Enrolment::declined) {
      fmt::print("{}\n", bar(site, name_width));
      ++bars_;
    }
  }
}

void WatchDisplay::erase_bars() {
  if (bars_ > 0) {
    fmt::print("\x1b[{}A\x1b[J", bars_);  // up over the bars, then clear to the end of the screen
    bars_ = 0;
  }
}

void WatchDisplay::print_progress(const msg::JobUpdate& update) {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& site : update.sites) {
    auto [last, is_first] = last_line_.try_emplace(site.site.str(), now);
    if (is_first || !is_moving(site) || now - last->second < kPlainLineEvery) {
      continue;
    }
    last->second = now;
    fmt::print("  {}: {} {:.0f} % ({} of {} {})\n", site.site.str(), activity(site),
               100 * fraction(site.progress), with_commas(site.progress.done),
               with_commas(site.progress.total), site.progress.unit);
  }
}

}  // namespace entente::cli
