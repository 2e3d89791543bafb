#include "broker/service/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <set>

#include "broker/data_plane/file_inbox.h"
#include "broker/store/broker_store.h"
#include "broker/store/consistency.h"
#include "common/base/figures.h"
#include "common/blob/blob_store.h"
#include "common/wire/job_codec.h"

namespace entente::broker {
namespace {

namespace fs = std::filesystem;

// A database that is wrong in more places needs no longer list.
constexpr std::size_t kContradictionsMax = 100;

// Events are read in portions: a long job has many.
constexpr std::size_t kEventsAtOnce = 1000;

void check_spec(const JobRow& job, CheckReport& report) {
  if (wire::spec_digest(job.spec) != job.spec_digest) {
    report.problems.push_back(
        fmt::format("job/{}: its spec is not the one that its digest names", job.job.str()));
  }
}

void read_events(BrokerStore& store, const JobRow& job) {
  std::uint64_t after = 0;
  for (auto events = store.events(job.job, after, kEventsAtOnce); !events.empty();
       events = store.events(job.job, after, kEventsAtOnce)) {
    after = events.back().seq;
  }
}

// Reading is checking: a row that does not decode throws.
void check_rows(BrokerStore& store, CheckReport& report) {
  const auto snapshot = store.load();
  if (!snapshot) {
    report.problems.push_back(snapshot.error().message);
    return;
  }
  report.jobs = snapshot->jobs.size();
  for (const auto& job : snapshot->jobs) {
    check_spec(job, report);
    read_events(store, job);
  }
  for (const auto& round : snapshot->rounds) {
    if (round.model) {
      (void)store.models(round.job, round.round, "");
    }
  }
  (void)store.ended_tasks();
  if (const auto row = store.first_broken_audit_row()) {
    report.problems.push_back(
        fmt::format("audit row {}: it does not follow from the row before it", *row));
  }
  for (auto& sentence : store.contradictions(Rules::all, kContradictionsMax)) {
    report.problems.push_back(std::move(sentence));
  }
}

void check_blob(const BlobStore& blobs, const NamedBlob& named, CheckReport& report) {
  const auto bytes = blobs.size(named.blob);
  if (!bytes) {
    report.problems.push_back(
        fmt::format("{}: its blob {} is missing", named.what, named.blob.hex()));
  } else if (*bytes != named.bytes) {
    report.problems.push_back(fmt::format("{}: its blob {} has {} bytes, {} are recorded",
                                          named.what, named.blob.hex(), *bytes, named.bytes));
  } else if (!blobs.verify(named.blob)) {
    report.problems.push_back(
        fmt::format("{}: its blob {} is damaged: the digest of the file is another", named.what,
                    named.blob.hex()));
  }
}

void check_blobs(BrokerStore& store, const fs::path& folder, CheckReport& report) {
  const BlobStore blobs(folder);
  std::set<BlobId> known;
  for (const auto& named : store.described_blobs()) {
    ++(named.what.starts_with("model/")         ? report.models
       : named.what.starts_with("the file of ") ? report.files
                                                : report.updates);
    if (known.insert(named.blob).second) {
      check_blob(blobs, named, report);
    }
  }
  for (const auto& blob : blobs.list()) {
    if (!known.contains(blob)) {
      report.notes.push_back(
          fmt::format("blob {}: no row names it; the next start removes it", blob.hex()));
    }
  }
  for (const auto& [blob, bytes] : blobs.list_partial()) {
    report.notes.push_back(
        fmt::format("blob {}: an unfinished upload, {} bytes so far", blob.hex(), bytes));
  }
  if (fs::exists(folder / "quarantine")) {
    for (const auto& entry : fs::directory_iterator(folder / "quarantine")) {
      report.notes.push_back(fmt::format("blob {}: damaged, in quarantine, not used by anybody",
                                         entry.path().filename().string()));
    }
  }
}

void note_brought_files(const fs::path& folder, CheckReport& report) {
  for (const auto& [sender, blob] : FileInbox(folder).list()) {
    report.notes.push_back(
        fmt::format("blob {}: {} has brought it, or a part; the next start takes it if a job needs "
                    "it, and removes it if not",
                    blob.hex(), sender));
  }
}

}  // namespace

Expected<CheckReport> check_data_directory(const fs::path& data_dir) {
  const auto file = data_dir / "broker.db";
  if (!fs::exists(file)) {
    return refuse("database_missing", fmt::format("there is no database {}", file.string()),
                  "name the folder that data_dir of broker.toml means", Scope::broker);
  }
  CheckReport report;
  try {
    auto store = BrokerStore::open(file);
    if (!store && store.error().code == "database_busy") {
      return refuse("database_busy", store.error().message,
                    "stop the broker first; it checks its own folder when it starts",
                    Scope::broker);
    }
    if (!store) {
      report.problems.push_back(store.error().message);
      return report;
    }
    check_rows(*store, report);
    check_blobs(*store, data_dir / "blobs", report);
    note_brought_files(data_dir / "brought", report);
  } catch (const std::exception& error) {  // a row, the database, the disk
    report.problems.emplace_back(error.what());
  }
  return report;
}

std::string to_text(const CheckReport& report, const fs::path& data_dir) {
  std::string text;
  for (const auto& problem : report.problems) {
    text += fmt::format("problem: {}\n", problem);
  }
  for (const auto& note : report.notes) {
    text += fmt::format("note: {}\n", note);
  }
  const auto verdict = report.problems.empty() ? std::string("sound")
                                               : fmt::format("{} problems", report.problems.size());
  const auto files =
      report.files == 0 ? "" : fmt::format(", {} of coordinators", counted(report.files, "file"));
  return text + fmt::format("{}: {}; {} jobs, {} models, {} updates of open rounds{}\n",
                            data_dir.string(), verdict, report.jobs, report.models, report.updates,
                            files);
}

std::string to_json(const CheckReport& report, const fs::path& data_dir) {
  const nlohmann::ordered_json json{
      {"data_dir", data_dir.string()}, {"sound", report.problems.empty()},
      {"problems", report.problems},   {"notes", report.notes},
      {"jobs", report.jobs},           {"models", report.models},
      {"updates", report.updates},     {"files", report.files}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace entente::broker
