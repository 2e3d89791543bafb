// What `entente job watch` shows: each event as a line, and below them live progress.
//
// On a terminal the progress is one bar per site, redrawn in place; in a pipe it is a plain line
// per site every few seconds; with --json each event is one JSON object per line.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

#include "common/base/refusal.h"
#include "common/domain/messages.h"
#include "coordinator/output.h"

namespace entente::cli {

class WatchDisplay {
 public:
  explicit WatchDisplay(const Options& options);
  ~WatchDisplay();  // leaves the cursor below what was drawn

  void show(const msg::JobUpdate& update);
  void show(const JobEvent& event);
  void interrupted(const Refusal& reason);

 private:
  void draw_bars(const msg::JobUpdate& update);
  void erase_bars();
  void print_progress(const msg::JobUpdate& update);

  bool json_;
  bool terminal_;
  std::size_t bars_ = 0;  // lines drawn below the events
  std::map<std::string, std::chrono::steady_clock::time_point> last_line_;
};

}  // namespace entente::cli
