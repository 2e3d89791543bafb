#include "coordinator/published_model.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

namespace entente::cli {
namespace {

// The round whose model was evaluated best, by the job's own metric where it has one. Of equal ones
// the earlier.
std::optional<Round> best_round(const JobView& job) {
  std::optional<Round> best;
  double best_score = 0;
  for (const auto& round : job.rounds) {
    const auto its_score = score(job.spec.stop, round.evaluate_metrics);
    if (round.model && !round.removed && its_score && (!best || *its_score > best_score)) {
      best = round.round;
      best_score = *its_score;
    }
  }
  return best;
}

}  // namespace

Expected<ModelName> parse_model(const std::string& text) {
  const auto at = text.find('@');
  const auto job = JobId::parse(text.substr(0, at));
  std::optional<Round> version;
  bool is_legal = job.has_value();
  const bool is_best = at != std::string::npos && text.substr(at) == "@best";
  if (at != std::string::npos && !is_best) {
    Round number = 0;
    const auto* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + at + 1, end, number);
    is_legal = is_legal && parsed.ec == std::errc() && parsed.ptr == end;
    version = number;
  }
  if (!is_legal) {
    return refuse("model_unknown", fmt::format("\"{}\" is no model", text),
                  "write the job's id, job@round or job@best; list them with: entente model list");
  }
  return ModelName{*job, version, is_best};
}

Expected<ModelView> find_model(BrokerClient& client, const ModelName& name) {
  msg::ShowModel query{name.job, name.version};
  if (name.is_best) {
    const auto job = client.ask<JobView>(msg::ShowJob{name.job});
    if (!job) {
      return tl::unexpected(job.error());
    }
    query.version = best_round(*job);
    if (!query.version) {
      return refuse("model_unknown",
                    fmt::format("no model of {} has been evaluated", name.job.str()),
                    "give the job an [evaluate] table, or name a round: job@round");
    }
  }
  return client.ask<ModelView>(query);
}

Expected<void> check_output(const std::filesystem::path& output) {
  std::error_code ignored;
  if (std::filesystem::is_directory(output, ignored)) {
    return refuse("output_invalid", fmt::format("{} is a folder", output.string()),
                  "name the file to write with -o FILE");
  }
  const auto folder = std::filesystem::absolute(output).parent_path();
  if (!std::filesystem::is_directory(folder, ignored)) {
    return refuse("output_invalid", fmt::format("there is no folder {}", folder.string()),
                  "make it first, or name another file with -o FILE");
  }
  return {};
}

Expected<ModelView> pull_to(const Options& options, const std::string& text,
                            const std::filesystem::path& output) {
  const auto name = parse_model(text);
  if (!name) {
    return tl::unexpected(name.error());
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return tl::unexpected(client.error());
  }
  auto model = find_model(*client, *name);
  if (!model) {
    return model;
  }
  if (model->removed) {
    return refuse(
        "model_removed",
        fmt::format("{}@{} is no longer kept, only its receipt is: the job keeps its best "
                    "and its last model",
                    model->job.str(), model->version),
        fmt::format("pull {0}@best, or the last one: {0}", model->job.str()));
  }
  if (const auto pulled = client->download(*model, output); !pulled) {
    return tl::unexpected(pulled.error());
  }
  return model;
}

}  // namespace entente::cli
