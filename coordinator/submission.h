// From a job file, or from another job, to a job that the broker has: reading, files that travel
// along, and following it to its end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/broker_client.h"
#include "coordinator/output.h"

namespace entente::cli {

struct Submission {
  std::vector<std::string> overrides;  // "key=value"
  std::string token;                   // empty: one of its own
  bool watch = false;
  bool is_dry_run = false;
};

[[nodiscard]] ExitCode submit_file(const Options& options, const std::filesystem::path& job_file,
                                   const Submission& how);

// A new job of the same spec, but for the overrides.
[[nodiscard]] ExitCode submit_again(const Options& options, BrokerClient& client, const JobId& job,
                                    const Submission& how);

// Brings a file that a job waits for, from where an earlier try broke off.
[[nodiscard]] ExitCode upload_file(const Options& options, BrokerClient& client, const JobId& job,
                                   const std::filesystem::path& file);

// Shows what happens until the job has ended.
[[nodiscard]] ExitCode follow(const Options& options, BrokerClient& client, const JobId& job,
                              std::uint64_t after_seq = 0);

}  // namespace entente::cli
