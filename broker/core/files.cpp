#include "broker/core/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "broker/core/jobs.h"
#include "broker/core/leftovers.h"
#include "common/base/figures.h"
#include "common/base/limits.h"
#include "common/domain/brought_files.h"

namespace entente::broker {
namespace {

std::vector<BroughtFile> missing_files(const Job& job) {
  auto files = brought_files(job.spec());
  std::erase_if(files, [&job](const BroughtFile& file) { return job.files.contains(file.blob); });
  return files;
}

bool awaits(const Job& job, const BlobId& blob) {
  const auto files = missing_files(job);
  return std::any_of(files.begin(), files.end(),
                     [&blob](const BroughtFile& file) { return file.blob == blob; });
}

// Who submits jobs. A site's name is nobody's of these.
constexpr std::array kSubmitters{Role::coordinator, Role::operator_};

std::string peer_of(Role role, const std::string& name) { return Identity{{}, role, name}.path(); }

bool is_owner(const std::string& peer, const Job& job) {
  return std::any_of(kSubmitters.begin(), kSubmitters.end(),
                     [&](Role role) { return peer == peer_of(role, job.row.coordinator); });
}

// Whether a job of the coordinator's has had it from there.
bool has_brought(const State& state, const std::string& coordinator, const BlobId& blob) {
  return std::any_of(state.jobs.begin(), state.jobs.end(), [&](const auto& entry) {
    const Job& job = entry.second;
    return job.row.coordinator == coordinator && job.files.contains(blob);
  });
}

void revoke_file(Step& step, const std::string& coordinator, const BlobId& blob) {
  for (const Role role : kSubmitters) {
    step.act(Revoke{peer_of(role, coordinator), blob});
  }
}

void take_file(Step& step, Job& job, const UpdateArrived& arrived) {
  if (!arrived.l2_norm) {
    // The sender's own bytes are at fault, and it has been told: the right ones may follow.
    if (arrived.l2_norm.error().code != "blob_corrupt") {
      fail(step, job, "its coordinator's file is of no use: " + arrived.l2_norm.error().message);
    }
    return;
  }
  const auto files = missing_files(job);
  const auto file = std::find_if(files.begin(), files.end(), [&arrived](const BroughtFile& one) {
    return one.blob == arrived.blob;
  });
  job.files.insert(arrived.blob);
  step.save(FileRow{job.id(), arrived.blob, file->bytes});
  step.audit(arrived.peer, "file.accept", "job/" + job.id().str(), arrived.blob.hex());
  step.state.queue.is_stale = true;
}

}  // namespace

bool awaits_files(const Job& job) { return !job.ended() && !missing_files(job).empty(); }

std::string awaited_files(const Job& job) {
  const auto files = missing_files(job);
  std::uint64_t bytes = 0;
  for (const auto& file : files) {
    bytes += file.bytes;
  }
  return files.size() == 1 ? fmt::format("waits for its coordinator's file, {}", human_bytes(bytes))
                           : fmt::format("waits for {} files of its coordinator's, {}",
                                         files.size(), human_bytes(bytes));
}

std::optional<Refusal> check_files(const State& state, const std::string& coordinator,
                                   const JobSpec& spec) {
  if (!has_its_files(spec)) {
    return Refusal{"file_unresolved", "init or predict.inputs names a file and not its digest",
                   "submit with: entente job submit, which reads the file", Scope::job};
  }
  const auto files = brought_files(spec);
  if (files.empty()) {
    return std::nullopt;
  }
  std::size_t waiting = 0;
  for (const auto& [id, other] : state.jobs) {
    if (other.row.coordinator != coordinator || !awaits_files(other)) {
      continue;
    }
    ++waiting;
    for (const auto& file : files) {
      // A grant is for one kind of content: the later one would let pass what the earlier refuses.
      for (const auto& theirs : missing_files(other)) {
        if (file.blob == theirs.blob &&
            (file.bytes != theirs.bytes ||
             file_layout(file.use, spec) != file_layout(theirs.use, other.spec()))) {
          return Refusal{"file_mismatch",
                         fmt::format("{} waits for the same file with other tensors", id.str()),
                         "abort one of the two jobs: a file has one content", Scope::job};
        }
      }
    }
  }
  if (waiting < limits::kJobsAwaitingFilesMax) {
    return std::nullopt;
  }
  return Refusal{
      "too_many_waiting",
      fmt::format("{} jobs of {} wait for their files, and more may not", waiting, coordinator),
      "bring them with: entente job upload JOB FILE, or abort some", Scope::job};
}

void grant_files(Step& step, const Identity& coordinator, const Job& job) {
  if (job.ended() || !is_owner(coordinator.path(), job)) {
    return;
  }
  for (const auto& file : missing_files(job)) {
    GrantPut grant{coordinator.path(), file.blob, file.bytes,
                   std::make_shared<const TensorLayout>(file_layout(file.use, job.spec())),
                   limits::kUpdateNormMax};
    grant.is_brought = !has_brought(step.state, job.row.coordinator, file.blob);
    step.act(std::move(grant));
  }
}

void grant_files(Step& step, const Identity& coordinator) {
  for (const auto& [id, job] : step.state.jobs) {
    grant_files(step, coordinator, job);
  }
}

bool on_file_arrived(Step& step, const UpdateArrived& arrived) {
  std::string coordinator;
  for (auto& [id, job] : step.state.jobs) {
    if (!job.ended() && is_owner(arrived.peer, job) && awaits(job, arrived.blob)) {
      coordinator = job.row.coordinator;
      take_file(step, job, arrived);
    }
  }
  if (!coordinator.empty() && arrived.l2_norm) {
    revoke_file(step, coordinator, arrived.blob);
  }
  return !coordinator.empty();
}

bool is_brought(const Job& job, const BlobId& blob) {
  if (job.ended()) {
    return false;
  }
  const auto files = brought_files(job.spec());
  return std::any_of(files.begin(), files.end(),
                     [&blob](const auto& file) { return file.blob == blob; });
}

void drop_files(Step& step, const Job& job) {
  for (const auto& file : brought_files(job.spec())) {
    if (job.files.contains(file.blob)) {
      drop_unnamed(step, {file.blob});
      continue;
    }
    const bool is_awaited =
        std::any_of(step.state.jobs.begin(), step.state.jobs.end(), [&](const auto& entry) {
          const Job& other = entry.second;
          return other.row.coordinator == job.row.coordinator && !other.ended() &&
                 awaits(other, file.blob);
        });
    if (!is_awaited) {
      revoke_file(step, job.row.coordinator, file.blob);
    }
  }
}

}  // namespace entente::broker
