#include "site-agent/service/trainer_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "common/base/quote.h"
#include "common/config/job_file.h"
#include "common/domain/brought_files.h"
#include "common/domain/layers.h"
#include "common/tensors/safetensors.h"

namespace entente::agent {
namespace {

constexpr std::uint64_t kRows = 5;

// One linear layer over whatever the dataset's examples are.
JobSpec small_job(const DatasetAdvert& data) {
  JobSpec spec;
  spec.model.input = data.example_shape;
  if (data.vocabulary != 0) {
    spec.model.layers.push_back(
        {"embedding",
         "tokens",
         {{"num_embeddings", std::int64_t{data.vocabulary}}, {"embedding_dim", std::int64_t{4}}}});
  }
  if (data.vocabulary != 0 || data.example_shape.size() > 1) {
    spec.model.layers.push_back({"flatten", "", {}});
  }
  const std::int64_t outputs = data.targets != 0 ? data.targets : data.classes;
  spec.model.layers.push_back({"linear", "fc", {{"out_features", outputs}}});
  spec.train.batch_size = 16;
  spec.train.loss = data.targets != 0 ? Loss::mse : Loss::cross_entropy;
  spec.train.optimizer = {"sgd", 0.01, 0, 0};
  return spec;
}

}  // namespace

Expected<JobSpec> trial_job(const std::filesystem::path& file, const DatasetAdvert& data) {
  return file.empty() ? small_job(data) : read_job_file(file, {});
}

Expected<const DatasetConfig*> trial_dataset(const AgentConfig& config, const std::string& name) {
  if (config.datasets.empty()) {
    return refuse("dataset_unknown", "agent.toml names no dataset to try the trainer on",
                  "describe one in [[datasets]]; docs/datasets.md", Scope::site);
  }
  const auto found = std::find_if(
      config.datasets.begin(), config.datasets.end(),
      [&](const DatasetConfig& dataset) { return name.empty() || dataset.name == name; });
  if (found == config.datasets.end()) {
    return refuse("dataset_unknown", fmt::format("agent.toml names no dataset {}", quote(name)),
                  "entente-agent datasets lists them", Scope::site);
  }
  return &*found;
}

JobSpec write_trial_inputs(JobSpec job, const std::filesystem::path& file) {
  job.predict = PredictSpec{};
  job.predict->examples = kRows;
  const auto layout = file_layout(FileUse::inputs, job);
  const auto model = resolve_model(job.model);
  std::vector<float> values(layout.elements());
  for (std::size_t i = 0; i < values.size(); ++i) {
    // A token that every model of tokens knows, or any number of those from 0 to 1.
    values[i] = model->vocabulary() ? 0.0F : static_cast<float>(i % 7) / 7.0F;
  }
  TensorFileWriter writer(file, layout, {{"format", "pt"}});
  writer.append(std::span<const float>(values));
  writer.close();
  return job;
}

}  // namespace entente::agent
