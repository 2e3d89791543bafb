#include "common/config/job_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/config/toml_table.h"
#include "common/domain/architectures.h"
#include "common/domain/cross_evaluation.h"
#include "common/domain/layers.h"
#include "common/domain/update_encodings.h"

namespace entente {
namespace {

constexpr const char* kHint = "docs/job-file.md explains every key";

std::uint32_t count(TomlReader& table, std::string_view key, std::uint64_t min, std::uint64_t max,
                    std::uint32_t fallback) {
  return static_cast<std::uint32_t>(
      table.integer(key, static_cast<std::int64_t>(min), static_cast<std::int64_t>(max), fallback));
}

std::vector<SiteId> read_site_names(TomlReader& table, std::string_view key) {
  std::vector<SiteId> sites;
  for (const auto& name : table.strings(key)) {
    if (const auto site = SiteId::parse(name)) {
      sites.push_back(*site);
    } else {
      table.problem(key, fmt::format("{} in sites.{} is not a legal site name", quote(name), key));
    }
  }
  return sites;
}

// One of the words for `known`, whose first one is the default.
template <class Enum, std::size_t N>
Enum read_word(TomlReader& table, std::string_view key, std::string_view path,
               const std::array<Enum, N>& known) {
  const auto word = table.string(key, std::string(to_string(known.front())));
  std::vector<std::string> words;
  for (const auto value : known) {
    words.emplace_back(to_string(value));
    if (word == words.back()) {
      return value;
    }
  }
  table.problem(
      key, fmt::format("{} is {}, which is unknown{}", path, quote(word), suggestion(word, words)));
  return known.front();
}

SampleSpec read_sample(TomlReader table) {
  SampleSpec sample;
  sample.by = read_word(table, "by", "sites.sample.by",
                        std::array{SampleBy::uniform, SampleBy::samples, SampleBy::preference});
  sample.count = count(table, "count", 0, limits::kSitesPerJobMax, sample.count);
  sample.fraction = table.number("fraction", sample.fraction);
  sample.over = table.number("over", sample.over);
  sample.separation = count(table, "separation", 0, limits::kRoundsMax, sample.separation);
  return sample;
}

std::vector<JobId> read_after(TomlReader& root) {
  std::vector<JobId> jobs;
  for (const auto& name : root.strings("after")) {
    if (const auto job = JobId::parse(name)) {
      jobs.push_back(*job);
    } else {
      root.problem("after", fmt::format("{} in after is no job id", quote(name)));
    }
  }
  return jobs;
}

constexpr std::string_view kFilePrefix = "file:";

// "file:PATH"; false for anything else.
bool read_file_path(const std::string& text, FileUse use, FilePaths& files) {
  if (!text.starts_with(kFilePrefix) || text.size() == kFilePrefix.size()) {
    return false;
  }
  files[use] = text.substr(kFilePrefix.size());
  return true;
}

std::optional<InitialModel> read_init(TomlReader& root, FilePaths& files) {
  if (!root.has("init")) {
    return std::nullopt;
  }
  const auto text = root.string("init");
  if (read_file_path(text, FileUse::initial_model, files)) {
    InitialModel brought;
    brought.which = InitialModel::Which::file;
    return brought;
  }
  const auto init = parse_initial_model(text);
  if (!init) {
    root.problem("init", fmt::format("init is {}; write \"model:JOB@best\", \"model:JOB@last\", "
                                     "for the model of round 3 \"model:JOB@3\", or for a file of "
                                     "your own \"file:PATH\"",
                                     quote(text)));
  }
  return init;
}

SiteSelection read_sites(TomlReader table) {
  SiteSelection sites;
  sites.min = count(table, "min", 1, limits::kSitesPerJobMax, sites.min);
  sites.max = count(table, "max", 0, limits::kSitesPerJobMax, sites.max);
  sites.quorum = count(table, "quorum", 0, limits::kSitesPerJobMax, sites.quorum);
  sites.mandatory = read_site_names(table, "mandatory");
  sites.exclude = read_site_names(table, "exclude");
  sites.replace = table.boolean("replace", sites.replace);
  sites.samples_min = static_cast<std::uint64_t>(
      table.integer("samples_min", 0, static_cast<std::int64_t>(limits::kExamplesMax), 0));
  sites.require = table.string("require", {});
  sites.prefer = table.string("prefer", {});
  if (table.has("sample")) {
    sites.sample = read_sample(table.table("sample"));
  }
  return sites;
}

TaskNeeds read_needs(TomlReader table) {
  TaskNeeds needs;
  needs.memory_bytes = table.bytes("memory", limits::kMemoryBytesMax, needs.memory_bytes);
  needs.threads = count(table, "threads", 0, limits::kThreadsPerTaskMax, needs.threads);
  needs.gpus = count(table, "gpus", 0, limits::kGpusMax, needs.gpus);
  return needs;
}

std::vector<LayerSpec> read_layers(TomlReader& table, std::string_view key) {
  std::vector<LayerSpec> layers;
  for (auto& layer : table.tables(key)) {
    LayerSpec spec;
    spec.kind = layer.string("type");
    if (const auto known = layer_kinds();
        !spec.kind.empty() && std::find(known.begin(), known.end(), spec.kind) == known.end()) {
      layer.problem("type", fmt::format("layer type {} is unknown{}", quote(spec.kind),
                                        suggestion(spec.kind, known)));
    }
    spec.name = layer.string("name", {});
    spec.layers = read_layers(layer, "layers");
    spec.shortcut = read_layers(layer, "shortcut");
    spec.attributes = layer.rest();
    layers.push_back(std::move(spec));
  }
  return layers;
}

std::vector<LayerSpec> read_architecture(TomlReader& table, const Shape& input) {
  ArchitectureSpec architecture{table.string("architecture")};
  architecture.attributes = table.attributes(architecture_attributes(architecture.name));
  architecture.hidden = table.integers("hidden");
  auto layers = expand_architecture(architecture, input);
  if (!layers) {
    const auto& refusal = layers.error();
    table.problem("architecture", fmt::format("{}; {}", refusal.message, refusal.hint));
    return {};
  }
  return std::move(*layers);
}

ModelSpec read_model(TomlReader table) {
  ModelSpec model;
  model.input = table.integers("input");
  model.layers = read_layers(table, "layers");
  if (!table.has("architecture")) {
    return model;
  }
  if (!model.layers.empty()) {
    table.problem("architecture", "model.architecture and model.layers exclude each other");
  }
  model.layers = read_architecture(table, model.input);
  return model;
}

OptimizerSpec read_optimizer(TomlReader table) {
  OptimizerSpec optimizer;
  optimizer.kind = table.string("type", optimizer.kind);
  optimizer.lr = table.number("lr", optimizer.lr);
  optimizer.momentum = table.number("momentum", optimizer.momentum);
  optimizer.weight_decay = table.number("weight_decay", optimizer.weight_decay);
  optimizer.options = table.attributes(optimizer_options(optimizer.kind));
  return optimizer;
}

bool read_balanced(TomlReader& table) {
  if (!table.has("local_steps")) {
    return false;
  }
  const auto word = table.string("local_steps");
  if (word != "balanced") {
    table.problem("local_steps", fmt::format("train.local_steps is {}, which is unknown{}",
                                             quote(word), suggestion(word, {"balanced"})));
  }
  return true;
}

// A cosine is as long as the job unless told otherwise.
ScheduleSpec read_schedule(TomlReader table, std::uint32_t rounds) {
  ScheduleSpec schedule;
  schedule.kind = table.string("type", schedule.kind);
  schedule.options = table.attributes(schedule_options(schedule.kind));
  if (schedule.kind == "cosine") {
    const auto warmup = schedule.options.find("warmup");
    const auto* before =
        warmup == schedule.options.end() ? nullptr : std::get_if<std::int64_t>(&warmup->second);
    const auto left = std::int64_t{rounds} - (before == nullptr ? 0 : *before);
    schedule.options.try_emplace("rounds", std::max<std::int64_t>(left, 1));
  }
  return schedule;
}

// `path` is that of the table.
Loss read_loss(TomlReader& table, std::string_view path) {
  const auto word = table.string("loss", std::string(to_string(Loss::cross_entropy)));
  const auto loss = parse_loss(word);
  if (!loss) {
    table.problem("loss", fmt::format("{}.loss is {}, which is unknown{}", path, quote(word),
                                      suggestion(word, loss_names())));
  }
  return loss.value_or(Loss::cross_entropy);
}

AugmentSpec read_augment(TomlReader table) {
  AugmentSpec augment;
  if (table.has("flip")) {
    const auto word = table.string("flip");
    augment.flip_horizontal = word == "horizontal" || word == "both";
    augment.flip_vertical = word == "vertical" || word == "both";
    if (!augment.flip_horizontal && !augment.flip_vertical) {
      table.problem("flip", fmt::format("train.augment.flip is {}, which is unknown{}", quote(word),
                                        suggestion(word, {"horizontal", "vertical", "both"})));
    }
  }
  augment.crop = table.number("crop", augment.crop);
  augment.shift = count(table, "shift", 0, std::numeric_limits<std::uint32_t>::max(), 0);
  return augment;
}

// "stats:JOB", whose numbers are looked up when the job is submitted; or a table with the numbers.
std::optional<Normalisation> read_normalisation(TomlReader& train, std::string_view path) {
  if (!train.has("normalise")) {
    return std::nullopt;
  }
  Normalisation normalise;
  const auto read_job = [&normalise](TomlReader& table, std::string_view key) {
    const auto text = table.string(key);
    normalise.from = parse_statistics_job(text);
    if (!normalise.from) {
      table.problem(key, fmt::format("{} is {}; write \"stats:JOB\", with a job of the kind "
                                     "\"statistics\"",
                                     key, quote(text)));
    }
  };
  if (!train.has_table("normalise")) {
    read_job(train, "normalise");
    return normalise;
  }
  TomlReader table = train.table("normalise");
  if (table.has("from")) {
    read_job(table, "from");
  }
  for (auto& column : table.tables("columns")) {
    const auto name = column.string("name");
    const auto mean = column.number("mean");
    normalise.columns.push_back({name, mean, column.number("deviation")});
  }
  if (!normalise.is_resolved() && !normalise.from) {
    train.problem("normalise", fmt::format("{}.normalise names no column and no job", path));
  }
  return normalise;
}

PersonalSpec read_personal(TomlReader table) {
  PersonalSpec personal;
  personal.lambda = table.number("lambda", personal.lambda);
  personal.local_epochs =
      count(table, "local_epochs", 1, limits::kLocalEpochsMax, personal.local_epochs);
  return personal;
}

TrainSpec read_train(TomlReader table, std::uint32_t rounds) {
  TrainSpec train;
  train.dataset = table.string("dataset");
  train.local_epochs = count(table, "local_epochs", 1, limits::kLocalEpochsMax, train.local_epochs);
  train.batch_size = count(table, "batch_size", 1, limits::kBatchSizeMax, train.batch_size);
  train.loss = read_loss(table, "train");
  train.class_weights = table.numbers("class_weights");
  train.clip_norm = table.number("clip_norm", train.clip_norm);
  train.clip_value = table.number("clip_value", train.clip_value);
  train.freeze = table.strings("freeze");
  train.prox_mu = table.number("prox_mu", train.prox_mu);
  train.exclude = table.strings("exclude");
  train.private_tensors = table.strings("private");
  train.private_epochs =
      count(table, "private_epochs", 0, limits::kLocalEpochsMax, train.private_epochs);
  if (table.has("personal")) {
    train.personal = read_personal(table.table("personal"));
  }
  train.optimizer = read_optimizer(table.table("optimizer"));
  train.balanced = read_balanced(table);
  train.normalise = read_normalisation(table, "train");
  train.schedule = read_schedule(table.table("schedule"), rounds);
  train.augment = read_augment(table.table("augment"));
  train.trainer = table.string("trainer", {});
  return train;
}

JobKind read_kind(TomlReader& root) {
  const auto word = root.string("kind", std::string(to_string(JobKind::train)));
  const auto kind = parse_job_kind(word);
  if (!kind) {
    root.problem("kind", fmt::format("kind is {}, which is unknown{}", quote(word),
                                     suggestion(word, job_kind_names())));
  }
  return kind.value_or(JobKind::train);
}

// A job of a kind with rounds of its own says nothing of them.
std::uint32_t read_rounds(TomlReader& root, JobKind kind) {
  if (parts_of(kind).rounds == Need::absent) {
    return count(root, "rounds", 1, limits::kRoundsMax, parts_of(kind).own_rounds);
  }
  return static_cast<std::uint32_t>(root.integer("rounds", 1, limits::kRoundsMax));
}

// The tables of a job that evaluates: what and by which loss. It trains nothing.
void read_evaluation_alone(TomlReader& root, JobSpec& spec) {
  TomlReader table = root.table("evaluate");
  spec.evaluate = EvaluateSpec{table.string("dataset")};
  spec.train.dataset = spec.evaluate->dataset;
  spec.train.loss = read_loss(table, "evaluate");
  spec.train.class_weights = table.numbers("class_weights");
  spec.train.normalise = read_normalisation(table, "evaluate");
  spec.train.trainer = table.string("trainer", {});
}

// The table of a job that counts. It trains nothing.
void read_statistics(TomlReader& root, JobSpec& spec) {
  if (spec.kind != JobKind::statistics && !root.has("statistics")) {
    return;
  }
  TomlReader table = root.table("statistics");
  StatisticsSpec statistics;
  spec.train.dataset = table.string("dataset");
  statistics.columns = table.strings("columns");
  statistics.bins = count(table, "bins", 2, limits::kStatisticsBinsMax, statistics.bins);
  if (table.has("quantiles")) {
    statistics.quantiles = table.numbers("quantiles");
  }
  spec.statistics = std::move(statistics);
}

// The table of a job that predicts. It trains nothing; its dataset says whose models are asked.
void read_predict(TomlReader& root, JobSpec& spec, FilePaths& files) {
  if (spec.kind != JobKind::predict && !root.has("predict")) {
    return;
  }
  TomlReader table = root.table("predict");
  PredictSpec predict;
  const auto inputs = table.string("inputs");
  if (!inputs.empty() && !read_file_path(inputs, FileUse::inputs, files)) {
    table.problem("inputs",
                  fmt::format("predict.inputs is {}; write \"file:PATH\"", quote(inputs)));
  }
  if (table.has("own")) {
    const auto own = table.string("own");
    predict.own = JobId::parse(own);
    if (!predict.own) {
      table.problem("own", fmt::format("predict.own is {}, which is no job id", quote(own)));
    }
  }
  spec.train.dataset = table.string("dataset");
  spec.train.loss = read_loss(table, "predict");
  spec.train.trainer = table.string("trainer", {});
  spec.predict = predict;
}

std::optional<EvaluateSpec> read_evaluate(TomlReader& root) {
  if (!root.has("evaluate")) {
    return std::nullopt;
  }
  TomlReader table = root.table("evaluate");
  EvaluateSpec evaluate;
  evaluate.dataset = table.string("dataset");
  evaluate.every = count(table, "every", 1, limits::kRoundsMax, evaluate.every);
  evaluate.personal = table.boolean("personal", evaluate.personal);
  return evaluate;
}

std::optional<StopSpec> read_stop(TomlReader& root) {
  if (!root.has("stop")) {
    return std::nullopt;
  }
  TomlReader table = root.table("stop");
  StopSpec stop;
  stop.metric = table.string("metric");
  stop.patience = count(table, "patience", 1, limits::kRoundsMax, stop.patience);
  stop.min_delta = table.number("min_delta", stop.min_delta);
  return stop;
}

// All keys that are left, each of them a number.
std::map<std::string, double> read_numbers(TomlReader& table, std::string_view path) {
  std::map<std::string, double> numbers;
  for (const auto& [name, value] : table.rest()) {
    if (const auto* real = std::get_if<double>(&value)) {
      numbers[name] = *real;
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      numbers[name] = static_cast<double>(*integer);
    } else {
      table.problem(name, fmt::format("{}.{} must be a number", path, name));
    }
  }
  return numbers;
}

// A word, or a table with a weight for each site.
void read_weights(TomlReader& table, StrategySpec& strategy) {
  if (table.has_table("weights")) {
    TomlReader weights = table.table("weights");
    strategy.weights = Weighting::given;
    for (const auto& [name, weight] : read_numbers(weights, "strategy.weights")) {
      if (const auto site = SiteId::parse(name)) {
        strategy.site_weights.emplace(*site, weight);
      } else {
        weights.problem(
            name, fmt::format("{} in strategy.weights is not a legal site name", quote(name)));
      }
    }
    return;
  }
  strategy.weights =
      read_word(table, "weights", "strategy.weights",
                std::array{Weighting::examples, Weighting::steps, Weighting::uniform});
}

StrategySpec read_strategy(TomlReader table) {
  StrategySpec strategy;
  strategy.kind = table.string("kind", strategy.kind);
  read_weights(table, strategy);
  strategy.parameters = read_numbers(table, "strategy");
  return strategy;
}

UpdateSpec read_update(TomlReader table) {
  UpdateSpec update;
  update.encoding = table.string("encoding", update.encoding);
  if (table.has("fraction")) {
    update.fraction = table.number("fraction", kFractionDefault);
  }
  return update;
}

std::optional<AsyncSpec> read_async(TomlReader& root) {
  if (!root.has("async")) {
    return std::nullopt;
  }
  auto table = root.table("async");
  AsyncSpec async;
  async.buffer = static_cast<std::uint32_t>(
      table.integer("buffer", 1, static_cast<std::int64_t>(limits::kSitesPerJobMax)));
  async.staleness_exponent = table.number("staleness_exponent", async.staleness_exponent);
  async.staleness_max = count(table, "staleness_max", 0, limits::kRoundsMax, async.staleness_max);
  async.concurrency = count(table, "concurrency", 0, limits::kSitesPerJobMax, async.concurrency);
  return async;
}

JobSpec read_job(TomlReader root, FilePaths& files) {
  JobSpec spec;
  spec.name = root.string("name");
  spec.kind = read_kind(root);
  spec.rounds = read_rounds(root, spec.kind);
  if (root.has("seed")) {
    spec.seed = static_cast<std::uint64_t>(
        root.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
  }
  spec.deadline = root.duration("deadline", limits::kDeadlineDefault);
  spec.stall_window =
      root.duration("stall_window", std::min<Millis>(limits::kStallWindowDefault, spec.deadline));
  spec.priority = static_cast<std::int32_t>(
      root.integer("priority", -limits::kPriorityMax, limits::kPriorityMax, spec.priority));
  spec.preemptible = root.boolean("preemptible", spec.preemptible);
  spec.after = read_after(root);
  spec.init = read_init(root, files);
  spec.sites = read_sites(root.table("sites"));
  if (spec.kind == JobKind::cross_evaluate && spec.sites.max == 0) {
    spec.sites.max = kCrossSitesMax;
  }
  spec.resources = read_needs(root.table("resources"));
  if (has_model(spec.kind) || root.has("model")) {
    spec.model = read_model(root.table("model"));
  }
  if (trains(spec.kind)) {
    spec.train = read_train(root.table("train"), spec.rounds);
  } else if (root.has("train")) {
    root.problem("train",
                 fmt::format("a job of the kind \"{}\" has no [train]", to_string(spec.kind)));
  }
  read_statistics(root, spec);
  read_predict(root, spec, files);
  spec.strategy = read_strategy(root.table("strategy"));
  spec.update = read_update(root.table("update"));
  spec.async = read_async(root);
  if (spec.kind == JobKind::evaluate && root.has("evaluate")) {
    read_evaluation_alone(root, spec);
  } else {
    spec.evaluate = read_evaluate(root);
  }
  spec.stop = read_stop(root);
  spec.keep = read_word(root, "keep", "keep", std::array{Keep::all, Keep::best_and_last});
  return spec;
}

Expected<JobSpec> read_document(Expected<TomlFile> file, const std::string& name,
                                const std::filesystem::path& folder, FilePaths* files) {
  if (!file) {
    return tl::unexpected(file.error());
  }
  FilePaths named;
  JobSpec spec = read_job(file->root(), named);
  if (auto problems = file->problems()) {
    problems->hint = kHint;
    return tl::unexpected(std::move(*problems));
  }
  if (auto model = validate(spec); !model) {
    Refusal refusal = std::move(model.error());
    refusal.message = fmt::format("{}: {}", name, refusal.message);
    return tl::unexpected(std::move(refusal));
  }
  if (files != nullptr) {
    for (const auto& [use, path] : named) {
      files->insert_or_assign(use, folder / path);  // an absolute path stays what it is
    }
  }
  return spec;
}

}  // namespace

Expected<JobSpec> read_job_file(const std::filesystem::path& path,
                                const std::vector<std::string>& overrides, FilePaths* files) {
  return read_document(TomlFile::parse_file(path, overrides), path.string(), path.parent_path(),
                       files);
}

Expected<JobSpec> parse_job_file(std::string_view text, const std::string& name,
                                 const std::vector<std::string>& overrides, FilePaths* files) {
  return read_document(TomlFile::parse(text, name, overrides), name, {}, files);
}

}  // namespace entente
