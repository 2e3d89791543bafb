#include "tests/soak/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "common/config/job_file.h"
#include "common/domain/update_encodings.h"

namespace entente::soak {
namespace {

constexpr std::ptrdiff_t kOpenJobs = 2;
constexpr unsigned kAbortOneIn = 8;

// P5 says a minute; what the adversary and a loaded machine take comes on top of it.
constexpr std::chrono::seconds kMovesWithin{120};
constexpr std::chrono::minutes kEndsWithin{6};

std::string story_of(integration::Consortium& consortium, const std::string& job) {
  std::string story;
  for (const auto& event : consortium.events(job)) {
    story += event.dump() + '\n';
  }
  return story;
}

}  // namespace

void Workload::act(Clock::time_point now, bool more) {
  if (!scene_.is_well("broker")) {
    return;
  }
  follow(now);
  abort_the_unwanted();
  const auto open = std::count_if(jobs_.begin(), jobs_.end(),
                                  [](const auto& job) { return job.second.is_open(); });
  for (auto i = open; more && i < kOpenJobs; ++i) {
    submit(now);
  }
}

bool Workload::is_idle() const {
  return std::none_of(jobs_.begin(), jobs_.end(),
                      [](const auto& job) { return job.second.is_open(); });
}

int Workload::count(const std::string& state) const {
  return static_cast<int>(std::count_if(
      jobs_.begin(), jobs_.end(), [&](const auto& job) { return job.second.state == state; }));
}

void Workload::submit(Clock::time_point now) {
  integration::JobFile file;
  file.name = "soak";
  file.rounds = 3 + static_cast<int>(random_() % 8);
  file.sites_min = 4;  // whoever is away at its start does not take part
  file.sites_extra = fmt::format("quorum = {}\n", kQuorum);
  file.hidden = random_() % 3 == 0 ? 4000 : 16;  // an update of one chunk and a half, or of 5 KB
  const auto encodings = encoding_names();
  file.extra = fmt::format("seed = {}\nstall_window = \"2m\"\nupdate.encoding = \"{}\"\n",
                           random_() % 1'000'000, encodings[random_() % encodings.size()]);
  SoakedJob job;
  job.spec = parse_job_file(file.toml(), "soak", {}).value();
  job.submitted = now;
  if (random_() % kAbortOneIn == 0) {
    job.abort_at_round = 1 + static_cast<int>(random_() % 3);
  }
  jobs_.emplace(scene_.consortium().submit(file), std::move(job));
  moved_ = now;
}

void Workload::follow(Clock::time_point now) {
  std::set<std::string> known;
  for (const auto& shown : scene_.consortium().ask({"job", "list"})) {
    const std::string id = shown["job"];
    known.insert(id);
    auto& job = jobs_.at(id);
    if (!job.is_open() && shown["state"] != job.state) {
      throw std::runtime_error(
          fmt::format("P5: {} was {} and is {}", id, job.state, shown["state"].get<std::string>()));
    }
    if (shown["state"] != job.state || shown["round"] != job.round) {
      moved_ = now;
    }
    job.state = shown["state"];
    job.round = shown["round"];
    if (job.state == "failed") {
      throw std::runtime_error(fmt::format("{} has failed: {}\n{}", id, shown["reason"].dump(),
                                           story_of(scene_.consortium(), id)));
    }
    if (job.is_open() && now - job.submitted > kEndsWithin) {
      throw std::runtime_error(
          fmt::format("{} does not end: it is {}, in round {}", id, job.state, job.round));
    }
  }
  for (const auto& [id, job] : jobs_) {
    if (!known.contains(id)) {
      throw std::runtime_error("P1: " + id + " was accepted and is forgotten");
    }
  }
  if (!is_idle() && now - moved_ > kMovesWithin) {
    throw std::runtime_error(fmt::format("P5: no job has moved for {} s", kMovesWithin.count()));
  }
}

// The answer may be a refusal: the job has just ended.
void Workload::abort_the_unwanted() {
  for (auto& [id, job] : jobs_) {
    if (job.is_open() && !job.abort_asked && job.abort_at_round != 0 &&
        job.round >= job.abort_at_round) {
      job.abort_asked = true;
      (void)scene_.consortium().entente({"job", "abort", id});
    }
  }
}

}  // namespace entente::soak
