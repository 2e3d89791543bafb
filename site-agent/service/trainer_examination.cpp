#include "site-agent/service/trainer_examination.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/base/prose.h"
#include "common/crypto/digest.h"
#include "common/domain/brought_files.h"
#include "common/domain/layers.h"
#include "common/domain/site_tensors.h"
#include "common/domain/strategy_kinds.h"
#include "common/runtime/scratch_folder.h"
#include "common/tensors/safetensors.h"
#include "site-agent/data/dataset.h"
#include "site-agent/service/output_store.h"
#include "site-agent/service/startup.h"
#include "site-agent/service/trainer_trial.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;
using Answer = TrainerDialogue::Answer;

constexpr std::uint64_t kSeed = 41;
constexpr std::uint64_t kOtherSeed = 42;
constexpr std::uint64_t kFewSteps = 2;
constexpr std::size_t kLogLines = 8;
constexpr std::size_t kLogLineBytes = 160;

// What a check has seen.
struct Seen {
  Health health = Health::ok;
  std::string message;
};

Seen fine(std::string message) { return {Health::ok, std::move(message)}; }
Seen odd(std::string message) { return {Health::warn, std::move(message)}; }
Seen wrong(std::string message) { return {Health::fail, std::move(message)}; }

// The last lines of a log, fit to be printed.
std::string tail_of(const fs::path& log) {
  std::ifstream file(log);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (lines.size() == kLogLines) {
      lines.erase(lines.begin());
    }
    lines.push_back(prose(line.substr(0, kLogLineBytes)));
  }
  std::string text;
  for (const auto& line : lines) {
    text += "  " + line + "\n";
  }
  return text;
}

// Of the file with what stays at the site, beside that of an update.
constexpr char kOwnSuffix[] = "-own";

class Examination {
 public:
  Examination(TrainerLaunch launch, Patience patience, contract::Prepare prepare,
              const DatasetAdvert& data, TensorLayout layout)
      : launch_(std::move(launch)),
        patience_(patience),
        prepare_(std::move(prepare)),
        examples_(data.examples),
        layout_(std::move(layout)),
        update_(update_layout(prepare_.spec, layout_)),
        stays_(site_layout(prepare_.spec, layout_)) {}

  // Makes one finding after the other. What follows a failure that nothing can follow is left out.
  void run(const std::function<void(const Finding&)>& report, TrainerReport& result);

 private:
  struct Check;
  static const std::vector<Check>& checks();

  // What the contract wants of a trainer at work.
  Seen prepares();
  Seen initializes();
  Seen initializes_again();
  Seen trains();
  Seen reports_progress();
  Seen counts();
  Seen trains_again();
  Seen trains_from_any_order();
  Seen leaves_the_model_alone();
  Seen takes_so_many_steps();
  Seen evaluates();
  Seen predicts();
  Seen stops();
  // And of one that is asked for what it can't do.
  Seen refuses_other_version();
  Seen refuses_unknown_layer();
  Seen refuses_unknown_option();
  Seen refuses_work_before_prepare();
  Seen refuses_damaged_model();
  Seen ends_with_its_input();

  // The answer, of a trainer that is started if there is none; a breakdown leaves none.
  Expected<Answer> ask(contract::CommandBody command);
  // The sentence about an answer that is no result; nothing when it is one.
  static std::optional<Seen> no_result(const Expected<Answer>& answer);
  // What is said of a command that must be answered with an error.
  static Seen must_refuse(const Expected<Answer>& answer, const std::string& instead);
  static std::optional<Seen> unsound(const fs::path& file, const TensorLayout& layout);
  // Of an update, and of what stays at the site beside it.
  [[nodiscard]] std::optional<Seen> unsound_update(const fs::path& file) const;
  contract::Train training(std::uint64_t seed, const char* model, const char* output) const;
  [[nodiscard]] std::string path(const char* name) const {
    return (launch_.work_folder / name).string();
  }
  // Of no bytes where there is no such file.
  [[nodiscard]] Digest digest_of(const char* name) const;

  TrainerLaunch launch_;
  Patience patience_;
  contract::Prepare prepare_;
  std::uint64_t examples_;
  TensorLayout layout_;  // of the model
  TensorLayout update_;
  TensorLayout stays_;  // at the site; empty for most jobs
  std::unique_ptr<TrainerDialogue> trainer_;
  bool broke_down_ = false;
  std::optional<Digest> model_;  // before training
  Answer trained_;
};

struct Examination::Check {
  const char* name;
  Seen (Examination::*run)();
  const char* rule;       // of the contract
  bool is_vital = false;  // whether nothing can be said without it
};

const std::vector<Examination::Check>& Examination::checks() {
  static const std::vector<Check> kChecks{
      {"prepare", &Examination::prepares,
       "prepare loads the data and is answered with the number of training examples", true},
      {"initialize", &Examination::initializes,
       "initialize writes the model's tensors and no other: float32, in the order of the layers, "
       "under their names, finite, without further metadata",
       true},
      {"initial seed", &Examination::initializes_again,
       "the seed is all that the initial values depend on: equal seeds give equal bytes"},
      {"train", &Examination::trains,
       "train writes the update, local minus global, as a file like the model's", true},
      {"progress", &Examination::reports_progress,
       "progress is sent at once when work begins: without it a task counts as stalled"},
      {"counts", &Examination::counts,
       "the result of train has examples, steps and the metric loss"},
      {"same seed", &Examination::trains_again,
       "every random choice follows from the seed: same model, data and seed, same bytes"},
      {"tensor order", &Examination::trains_from_any_order,
       "a reader accepts the tensors of a model file in any order"},
      {"model", &Examination::leaves_the_model_alone,
       "the model file is read and never written: others read it too"},
      {"steps", &Examination::takes_so_many_steps,
       "with steps, exactly so many are taken; a trainer may refuse it, and with it jobs with "
       "local_steps = \"balanced\""},
      {"evaluate", &Examination::evaluates,
       "evaluate is answered with the number of examples and the metric loss; of sums, count is "
       "that "
       "number"},
      {"predict", &Examination::predicts,
       "predict writes \"outputs\", a row for each row of the inputs, probabilities where the loss "
       "has "
       "classes; a trainer may refuse it, and with it jobs of the kind \"predict\""},
      {"stop", &Examination::stops,
       "stop is answered with an empty result, and then the trainer ends"},
      {"version", &Examination::refuses_other_version,
       "a version that a trainer does not speak is refused with contract_version_unsupported"},
      {"unknown layer", &Examination::refuses_unknown_layer,
       "a trainer that does not have what a job asks for refuses prepare"},
      {"unknown option", &Examination::refuses_unknown_option,
       "an option that is silently ignored would compute something else than was asked for"},
      {"order", &Examination::refuses_work_before_prepare,
       "before a successful prepare, what follows is refused with not_prepared"},
      {"damaged model", &Examination::refuses_damaged_model,
       "a failed command is answered with an error and leaves the trainer usable"},
      {"end of input", &Examination::ends_with_its_input,
       "a trainer ends when its standard input ends"},
  };
  return kChecks;
}

void Examination::run(const std::function<void(const Finding&)>& report, TrainerReport& result) {
  for (const Check& check : checks()) {
    const Seen seen = (this->*check.run)();
    result.findings.push_back(
        {seen.health, check.name, seen.message,
         seen.health == Health::ok ? std::string() : std::string("the contract: ") + check.rule});
    report(result.findings.back());
    if (seen.health == Health::fail && check.is_vital) {
      break;
    }
  }
  if (broke_down_) {
    result.log_tail = tail_of(launch_.log_file);
  }
}

Expected<Answer> Examination::ask(contract::CommandBody command) {
  try {
    Expected<Answer> answer;
    if (!trainer_) {
      trainer_ = std::make_unique<TrainerDialogue>(launch_, patience_);
      if (model_) {  // a first trainer has done its work: what comes needs one that is prepared
        answer = trainer_->ask(prepare_);
      }
    }
    if (answer) {
      answer = trainer_->ask(std::move(command));
    }
    if (!answer) {
      trainer_.reset();
      broke_down_ = true;
    }
    return answer;
  } catch (const std::system_error& error) {
    trainer_.reset();
    return refuse("trainer_not_started", fmt::format("it cannot be started: {}", error.what()),
                  "check its path and permissions in agent.toml", Scope::site);
  }
}

std::optional<Seen> Examination::no_result(const Expected<Answer>& answer) {
  if (!answer) {
    return wrong(answer.error().message);
  }
  if (const auto* error = answer->error()) {
    return wrong(fmt::format("it was refused ({}): {}", prose(error->code), prose(error->message)));
  }
  return std::nullopt;
}

Seen Examination::must_refuse(const Expected<Answer>& answer, const std::string& instead) {
  if (!answer) {
    return wrong(fmt::format("it broke down over it: {}", answer.error().message));
  }
  const auto* error = answer->error();
  return error == nullptr ? wrong(instead)
                          : fine(fmt::format("is refused: {}", prose(error->message)));
}

std::optional<Seen> Examination::unsound(const fs::path& file, const TensorLayout& layout) {
  const auto sound = check_output(file, layout);
  return sound ? std::nullopt : std::optional(wrong(sound.error().message));
}

std::optional<Seen> Examination::unsound_update(const fs::path& file) const {
  auto problem = unsound(file, update_);
  return problem || stays_.tensors.empty() ? problem : unsound(file.string() + kOwnSuffix, stays_);
}

contract::Train Examination::training(std::uint64_t seed, const char* model,
                                      const char* output) const {
  contract::Train command{1, seed, path(model), path(output), 0};
  if (!stays_.tensors.empty()) {
    command.own_output = command.output + kOwnSuffix;
  }
  return command;
}

Digest Examination::digest_of(const char* name) const {
  std::ifstream file(path(name), std::ios::binary);
  Sha256 digest;
  std::array<char, 1 << 16> block;
  while (file.read(block.data(), block.size()), file.gcount() > 0) {
    digest.update(std::string_view(block.data(), static_cast<std::size_t>(file.gcount())));
  }
  return digest.finish();
}

Seen Examination::prepares() {
  const auto answer = ask(prepare_);
  if (auto problem = no_result(answer)) {
    return *problem;
  }
  const auto counted = std::get<contract::Result>(answer->end).examples;
  return counted == examples_ ? fine(fmt::format("{} examples", counted))
                              : wrong(fmt::format("it counts {} examples, and the dataset has {}",
                                                  counted, examples_));
}

Seen Examination::initializes() {
  const auto answer = ask(contract::Initialize{kSeed, path("model")});
  if (auto problem = no_result(answer)) {
    return *problem;
  }
  if (auto problem = unsound(path("model"), layout_)) {
    return *problem;
  }
  model_ = digest_of("model");
  return fine(fmt::format("{} values in {} tensors", layout_.elements(), layout_.tensors.size()));
}

Seen Examination::initializes_again() {
  for (const auto& [seed, output] : {std::pair(kSeed, "again"), std::pair(kOtherSeed, "other")}) {
    if (auto problem = no_result(ask(contract::Initialize{seed, path(output)}))) {
      return *problem;
    }
  }
  if (digest_of("again") != *model_) {
    return odd("the same seed gave another model");
  }
  return digest_of("other") == *model_
             ? odd("another seed gave the same model")
             : fine("the same seed gives the same model, another another");
}

Seen Examination::trains() {
  const auto answer = ask(training(kSeed, "model", "update"));
  if (auto problem = no_result(answer)) {
    return *problem;
  }
  trained_ = *answer;
  if (auto problem = unsound_update(path("update"))) {
    return *problem;
  }
  const auto check = check_tensors(path("update"), update_, 1e30);
  return check && check->l2_norm == 0
             ? odd("the update is zero: nothing was learnt")
             : fine(fmt::format("an update of norm {:.4g}", check->l2_norm));
}

Seen Examination::reports_progress() {
  if (trained_.reports == 0) {
    return wrong("it reported none while it trained");
  }
  const auto& [done, total, unit] = trained_.last_report;
  return trained_.overdone ? odd("it reported more done than there is")
                           : fine(fmt::format("{} reports, the last {} of {} {}", trained_.reports,
                                              done, total, prose(unit)));
}

Seen Examination::counts() {
  const auto& result = std::get<contract::Result>(trained_.end);
  if (result.examples == 0 || result.examples > examples_) {
    return wrong(fmt::format("it trained on {} examples of {}; they weigh the update",
                             result.examples, examples_));
  }
  if (result.steps == 0) {
    return wrong("it took 0 steps");
  }
  const auto loss = result.metrics.find("loss");
  return loss == result.metrics.end()
             ? wrong("its metrics have no loss")
             : fine(fmt::format("{} examples, {} steps, loss {:.4g}", result.examples, result.steps,
                                loss->second));
}

Seen Examination::trains_again() {
  for (const auto& [seed, output] :
       {std::pair(kSeed, "update-again"), std::pair(kOtherSeed, "update-other")}) {
    if (auto problem = no_result(ask(training(seed, "model", output)))) {
      return *problem;
    }
  }
  if (digest_of("update-again") != digest_of("update")) {
    return odd("the same seed gave another update: jobs here cannot be repeated bit for bit");
  }
  return digest_of("update-other") == digest_of("update")
             ? odd("another seed gave the same update")
             : fine("the same seed gives the same update, another another");
}

// Writes the model with its tensors from last to first, as a library may that sorts them by name.
Seen Examination::trains_from_any_order() {
  const auto model = TensorFile::open(path("model"));
  if (!model) {
    return wrong(model.error().message);
  }
  TensorLayout reversed = model->layout();
  std::reverse(reversed.tensors.begin(), reversed.tensors.end());
  TensorFileWriter writer(path("reversed"), reversed, model->metadata());
  for (std::size_t i = reversed.tensors.size(); i > 0; --i) {
    writer.append(model->data(i - 1));
  }
  writer.close();
  if (auto problem = no_result(ask(training(kSeed, "reversed", "update-reversed")))) {
    return *problem;
  }
  if (auto problem = unsound_update(path("update-reversed"))) {
    return *problem;
  }
  return digest_of("update-reversed") == digest_of("update")
             ? fine("a model file with its tensors in another order is read the same")
             : odd("a model file with its tensors in another order gave another update");
}

Seen Examination::leaves_the_model_alone() {
  return digest_of("model") == *model_
             ? fine("the model file is as it was")
             : wrong("the model file has changed while it was trained from");
}

Seen Examination::takes_so_many_steps() {
  auto command = training(kSeed, "model", "update-steps");
  command.steps = kFewSteps;
  const auto answer = ask(command);
  if (!answer) {
    return wrong(answer.error().message);
  }
  if (const auto* error = answer->error()) {
    return odd(fmt::format("it refuses them: {}", prose(error->message)));
  }
  const auto steps = std::get<contract::Result>(answer->end).steps;
  return steps == kFewSteps
             ? fine(fmt::format("takes {} when it is asked for {}", steps, kFewSteps))
             : wrong(fmt::format("it was asked for {} and took {}", kFewSteps, steps));
}

Seen Examination::evaluates() {
  const auto answer = ask(contract::Evaluate{path("model")});
  if (auto problem = no_result(answer)) {
    return *problem;
  }
  const auto& result = std::get<contract::Result>(answer->end);
  const auto loss = result.metrics.find("loss");
  if (result.examples == 0) {
    return wrong("it evaluated on 0 examples");
  }
  const auto count = result.sums.find("count");
  if (!result.sums.empty() && (count == result.sums.end() || count->second.size() != 1 ||
                               count->second.front() != static_cast<double>(result.examples))) {
    return wrong(fmt::format("its sums have no count of {}, its examples", result.examples));
  }
  return loss == result.metrics.end()
             ? wrong("its metrics have no loss")
             : fine(fmt::format("{} examples, loss {:.4g}", result.examples, loss->second));
}

Seen Examination::predicts() {
  const JobSpec job = write_trial_inputs(prepare_.spec, path("inputs"));
  for (const char* output : {"outputs", "outputs-again"}) {
    const auto answer = ask(contract::Predict{path("model"), path("inputs"), path(output)});
    if (!answer) {
      return wrong(answer.error().message);
    }
    if (const auto* error = answer->error()) {
      return odd(fmt::format("it refuses it: {}", prose(error->message)));
    }
    const auto counted = std::get<contract::Result>(answer->end).examples;
    if (counted == 0 || counted > examples_) {
      return wrong(
          fmt::format("it says {} examples, and the dataset has {}; they weigh the outputs",
                      counted, examples_));
    }
  }
  const auto layout = outputs_layout(job);
  if (auto problem = unsound(path("outputs"), layout)) {
    return *problem;
  }
  if (digest_of("outputs-again") != digest_of("outputs")) {
    return odd("the same model and inputs gave other outputs");
  }
  const auto file = TensorFile::open(path("outputs"));
  const auto values = file ? file->flat(layout) : tl::unexpected(file.error());
  const auto [low, high] = std::minmax_element(values->begin(), values->end());
  const bool has_probabilities =
      job.train.loss == Loss::cross_entropy || job.train.loss == Loss::bce;
  return has_probabilities && (*low < 0 || *high > 1)
             ? wrong("its outputs are not probabilities, from 0 to 1")
             : fine(fmt::format("{} rows of outputs, from {:.3g} to {:.3g}", job.predict->examples,
                                *low, *high));
}

Seen Examination::stops() {
  const auto answer = ask(contract::Stop{});
  if (auto problem = no_result(answer)) {
    return *problem;
  }
  const auto status = trainer_->await_end();
  trainer_.reset();
  if (!status) {
    return wrong(status.error().message);
  }
  return status->success() ? fine("it ends")
                           : odd(fmt::format("it {} instead of with 0", status->to_string()));
}

Seen Examination::refuses_other_version() {
  auto other = prepare_;
  other.version = contract::kVersion + 1;
  const auto answer = ask(other);
  const Seen seen = must_refuse(
      answer, fmt::format("it accepted version {}, which does not exist", other.version));
  if (seen.health == Health::ok && answer->error()->code != "contract_version_unsupported") {
    return odd(fmt::format("is refused with the code {}", prose(answer->error()->code)));
  }
  return seen;
}

Seen Examination::refuses_unknown_layer() {
  auto other = prepare_;
  other.spec.model.layers.push_back({"no_such_layer", "", {}});
  return must_refuse(ask(other), "it accepted a layer \"no_such_layer\"");
}

Seen Examination::refuses_unknown_option() {
  auto other = prepare_;
  other.spec.train.optimizer.options["no_such_option"] = true;
  return must_refuse(ask(other), "it accepted an option \"no_such_option\" of the optimizer");
}

// A trainer that nobody has prepared.
Seen Examination::refuses_work_before_prepare() {
  const auto model = std::exchange(model_, std::nullopt);
  trainer_.reset();
  const auto answer = ask(training(kSeed, "model", "update-early"));
  model_ = model;
  trainer_.reset();
  return must_refuse(answer, "it trained without a prepare");
}

Seen Examination::refuses_damaged_model() {
  std::ofstream(path("damaged")) << "no safetensors at all";
  const Seen seen = must_refuse(ask(training(kSeed, "damaged", "update-damaged")),
                                "it trained from a file that is no model");
  if (seen.health == Health::ok && no_result(ask(contract::Evaluate{path("model")}))) {
    return wrong("after the error it was of no more use");
  }
  return seen;
}

Seen Examination::ends_with_its_input() {
  if (!trainer_ && !ask(prepare_)) {
    return wrong("there is no trainer that runs");
  }
  trainer_->close_input();
  const auto status = trainer_->await_end();
  trainer_.reset();
  return status ? fine("it ends") : wrong(status.error().message);
}

}  // namespace

Expected<TrainerReport> examine_trainer(const AgentConfig& config, const TrainerTrial& trial,
                                        const std::function<void(const Finding&)>& report) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto program = config.trainer.program_for(trial.trainer);
  if (!program) {
    return tl::unexpected(program.error());
  }
  if (auto there = check_trainer(*program); !there) {
    return tl::unexpected(there.error());
  }
  const auto dataset = trial_dataset(config, trial.dataset);
  if (!dataset) {
    return tl::unexpected(dataset.error());
  }
  const auto data = describe_dataset(**dataset);
  if (!data) {
    return tl::unexpected(data.error());
  }
  auto job = trial_job(trial.job, *data);
  if (!job) {
    return tl::unexpected(job.error());
  }
  const auto model = resolve_model(job->model);
  if (!model) {
    return tl::unexpected(model.error());
  }
  job->train.dataset = data->name;
  job->evaluate = EvaluateSpec{data->name};
  contract::Prepare prepare;
  prepare.spec = *std::move(job);
  prepare.train_dataset = **dataset;
  prepare.evaluate_dataset = **dataset;
  prepare.threads = config.trainer.threads_per_slot;
  prepare.device = config.trainer.device;
  prepare.loss_before = needs_loss_before(prepare.spec.strategy);
  prepare.control = has_control(prepare.spec.strategy);
  const ScratchFolder scratch("entente-trainer-test");
  const auto work = scratch.path() / "work";
  fs::create_directory(work);
  TrainerReport result;
  Examination({*program, work, scratch.path() / "trainer.log", prepare.threads}, trial.patience,
              prepare, *data, model->layout)
      .run(report, result);
  return result;
}

}  // namespace entente::agent
