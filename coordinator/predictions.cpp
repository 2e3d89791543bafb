#include "coordinator/predictions.h"

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "common/domain/brought_files.h"
#include "common/tensors/safetensors.h"
#include "coordinator/json_views.h"
#include "coordinator/published_model.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

namespace fs = std::filesystem;

// The round of a job that predicts.
constexpr Round kPredictions = 1;

Expected<ModelView> find_predictions(BrokerClient& client, const JobId& id) {
  const auto job = client.ask<JobView>(msg::ShowJob{id});
  if (!job) {
    return tl::unexpected(job.error());
  }
  const auto& summary = job->summary;
  if (summary.kind != JobKind::predict) {
    return refuse("kind_mismatch",
                  fmt::format("{} is a job of the kind \"{}\" and predicts nothing", id.str(),
                              to_string(summary.kind)),
                  "take its model with: entente model pull " + id.str() + " -o FILE");
  }
  if (summary.state != JobState::completed) {
    return refuse("predictions_missing",
                  fmt::format("{} has no predictions{}: it is {}{}{}", id.str(),
                              is_terminal(summary.state) ? "" : " yet", to_string(summary.state),
                              summary.reason.empty() ? "" : ": ", summary.reason),
                  "see its progress with: entente job watch " + id.str());
  }
  return client.ask<ModelView>(msg::ShowModel{id, kPredictions});
}

Expected<void> fetch(BrokerClient& client, const ModelView& model, const fs::path& output,
                     bool as_csv) {
  if (!as_csv) {
    return client.download(model, output);
  }
  const fs::path tensors = output.string() + ".safetensors.new";
  auto got = client.download(model, tensors).and_then([&] { return write_csv(tensors, output); });
  std::error_code ignored;
  fs::remove(tensors, ignored);
  return got;
}

void print_weights(const ModelView& model) {
  std::vector<std::vector<std::string>> rows{{"SITE", "EXAMPLES", "WEIGHT"}};
  for (const auto& part : model.contributions) {
    rows.push_back(
        {part.site.str(), with_commas(part.examples), fmt::format("{:.4f}", part.weight)});
  }
  print_table(rows);
}

}  // namespace

Expected<void> write_csv(const fs::path& tensors, const fs::path& table) {
  const auto file = TensorFile::open(tensors);
  if (!file) {
    return tl::unexpected(file.error());
  }
  const auto& tensors_there = file->layout().tensors;
  if (tensors_there.size() != 1 || tensors_there.front().shape.empty() ||
      tensors_there.front().elements() == 0) {
    return refuse("tensors_invalid", "what the broker sent is not one tensor with rows",
                  "take it as it is, without --csv, and look");
  }
  const auto& shape = tensors_there.front().shape;
  const auto rows = static_cast<std::size_t>(shape.front());
  const auto bytes = file->data(0);
  const auto columns = bytes.size() / sizeof(float) / rows;
  std::ofstream text(table);
  for (std::size_t column = 0; column < columns; ++column) {
    text << (column == 0 ? "" : ",") << "output_" << column + 1;
  }
  text << '\n';
  for (std::size_t at = 0; at < rows * columns; ++at) {
    float value = 0;
    std::memcpy(&value, bytes.data() + at * sizeof value, sizeof value);
    text << fmt::format("{}{}", value, (at + 1) % columns == 0 ? '\n' : ',');
  }
  text.close();
  if (!text) {
    return refuse("output_invalid", fmt::format("cannot write {}", table.string()),
                  "see whether the disk is full, or name another file with -o FILE");
  }
  return {};
}

ExitCode take_predictions(const Options& options, BrokerClient& client, const JobId& job,
                          const fs::path& output, bool as_csv) {
  if (const auto writable = check_output(output); !writable) {
    return print_refusal(options, writable.error());
  }
  const auto model = find_predictions(client, job);
  if (!model) {
    return print_refusal(options, model.error());
  }
  if (const auto fetched = fetch(client, *model, output, as_csv); !fetched) {
    return print_refusal(options, fetched.error());
  }
  if (options.json) {
    auto json = to_json(*model);
    json["file"] = output.string();
    print_json(json);
    return ExitCode::done;
  }
  const auto sites = model->contributions.size();
  fmt::print("predictions of {} -> {} (from {} {})\n", job.str(), output.string(), sites,
             sites == 1 ? "site" : "sites");
  print_weights(*model);
  return ExitCode::done;
}

}  // namespace entente::cli
