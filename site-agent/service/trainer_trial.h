// What a trainer is tried on (trainer_examination.h): one of the site's datasets, a job for it, and
// inputs to predict.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"
#include "common/domain/site.h"
#include "site-agent/data/dataset_config.h"
#include "site-agent/service/agent_config.h"

namespace entente::agent {

// The job of a job file; without one, a linear layer over whatever the dataset's examples are.
[[nodiscard]] Expected<JobSpec> trial_job(const std::filesystem::path& file,
                                          const DatasetAdvert& data);

// The site's dataset of that name; of an empty one the first. Refuses with "dataset_unknown".
[[nodiscard]] Expected<const DatasetConfig*> trial_dataset(const AgentConfig& config,
                                                           const std::string& name);

// A few rows of numbers, or tokens, for the job's model. Returns the spec of a job that predicts
// them.
[[nodiscard]] JobSpec write_trial_inputs(JobSpec job, const std::filesystem::path& file);

}  // namespace entente::agent
