#include "site-agent/training/trainer.h"

#include <fmt/format.h>

#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/domain/freezing.h"
#include "common/domain/site_tensors.h"
#include "site-agent/data/dataset_statistics.h"
#include "site-agent/data/normalise.h"
#include "site-agent/training/data_contract.h"
#include "site-agent/training/device.h"
#include "site-agent/training/examples.h"
#include "site-agent/training/local_training.h"
#include "site-agent/training/model.h"
#include "site-agent/training/optimizers.h"
#include "site-agent/training/prediction.h"
#include "site-agent/training/round.h"

namespace entente::agent {
namespace {

using contract::Error;
using contract::Result;

// What `prepare` leaves behind.
struct Prepared {
  JobSpec spec;
  Model model;
  std::shared_ptr<Examples> train;
  std::shared_ptr<Examples> evaluate;  // perhaps the same; null where the job is not evaluated
  bool loss_before = false;
  bool control = false;
};

Error error_of(const Refusal& refusal) {
  const auto message =
      refusal.hint.empty() ? refusal.message : fmt::format("{}; {}", refusal.message, refusal.hint);
  return {refusal.code, message, /*transient=*/false};
}

Error out_of_memory() {
  return {"out_of_memory",
          "the trainer's memory does not suffice; give the site fewer slots, or the job a smaller "
          "batch_size",
          /*transient=*/true};
}

// LibTorch reports exhausted memory as one of its ordinary errors, known by its allocator's name.
Error error_of(const c10::Error& error) {
  const std::string_view text = error.what_without_backtrace();
  if (text.find("DefaultCPUAllocator") != std::string_view::npos ||
      text.find("out of memory") != std::string_view::npos) {
    return out_of_memory();
  }
  return {"trainer_failed", fmt::format("LibTorch: {}", text.substr(0, text.find('\n'))),
          /*transient=*/false};
}

tl::unexpected<Refusal> not_prepared() {
  return refuse("not_prepared", "the trainer has not been prepared, or that has failed",
                "send prepare first", Scope::task);
}

Expected<Examples> load_examples(const DatasetConfig& config, const JobSpec& spec,
                                 const ResolvedModel& resolved, Use use, torch::Device device) {
  const auto& normalise = spec.train.normalise;
  auto dataset = normalise ? load_normalised(config, normalise->columns) : load_dataset(config);
  if (!dataset) {
    return tl::unexpected(dataset.error());
  }
  if (auto fits =
          check_data_contract(config.name, *dataset, spec.model, resolved, spec.train.loss, use);
      !fits) {
    return tl::unexpected(fits.error());
  }
  return Examples(std::move(*dataset), device);
}

}  // namespace

class Trainer::Session {
 public:
  explicit Session(ReportProgress report) : report_(std::move(report)) {
    use_deterministic_algorithms();
  }

  Expected<Result> run(const contract::Prepare& command);
  Expected<Result> run(const contract::Initialize& command);
  Expected<Result> run(const contract::Train& command);
  Expected<Result> run(const contract::Evaluate& command);
  Expected<Result> run(const contract::Statistics& command);
  Expected<Result> run(const contract::Predict& command);
  Expected<Result> run(const contract::Stop&) { return Result{}; }

 private:
  Expected<Result> prepare_to_count(const contract::Prepare& command);

  ReportProgress report_;
  std::optional<Prepared> prepared_;            // of a job with a model
  std::optional<DatasetStatistics> countable_;  // of one that counts
};

Expected<Result> Trainer::Session::run(const contract::Prepare& command) {
  prepared_.reset();  // its memory, before that of the next
  countable_.reset();
  if (command.spec.statistics) {
    return prepare_to_count(command);
  }
  use_threads(command.threads);
  const auto device = choose_device(command.device);
  if (!device) {
    return tl::unexpected(device.error());
  }
  auto resolved = resolve_model(command.spec.model);
  if (!resolved) {
    return tl::unexpected(resolved.error());
  }
  const auto& training = command.spec.train;
  if (auto fits = check_learning(training, *resolved); !fits) {
    return tl::unexpected(fits.error());
  }
  if (auto fits = check_site_tensors(training, *resolved); !fits) {
    return tl::unexpected(fits.error());
  }
  auto frozen = frozen_tensors(training.freeze, *resolved);
  if (!frozen) {
    return tl::unexpected(frozen.error());
  }
  // The data first: only a model that it fits is built.
  auto train =
      load_examples(command.train_dataset, command.spec, *resolved, Use::training, *device);
  if (!train) {
    return tl::unexpected(train.error());
  }
  const auto training_examples = std::make_shared<Examples>(std::move(*train));
  std::shared_ptr<Examples> evaluate;
  if (command.evaluate_dataset && command.evaluate_dataset->name == command.train_dataset.name) {
    evaluate = training_examples;
  } else if (command.evaluate_dataset) {
    auto loaded =
        load_examples(*command.evaluate_dataset, command.spec, *resolved, Use::evaluation, *device);
    if (!loaded) {
      return tl::unexpected(loaded.error());
    }
    evaluate = std::make_shared<Examples>(std::move(*loaded));
  }
  auto model = Model::build(std::move(*resolved), *device, std::move(*frozen));
  if (!model) {
    return tl::unexpected(model.error());
  }
  if (auto optimizer = make_optimizer(training, 1, model->trained()); !optimizer) {
    return tl::unexpected(optimizer.error());
  }
  Result result;
  result.examples = static_cast<std::uint64_t>(training_examples->size());
  prepared_.emplace(Prepared{command.spec, std::move(*model), training_examples,
                             std::move(evaluate), command.loss_before, command.control});
  return result;
}

Expected<Result> Trainer::Session::prepare_to_count(const contract::Prepare& command) {
  auto countable = DatasetStatistics::open(command.train_dataset, *command.spec.statistics);
  if (!countable) {
    return tl::unexpected(countable.error());
  }
  Result result;
  result.examples = countable->examples();
  countable_ = *std::move(countable);
  return result;
}

Expected<Result> Trainer::Session::run(const contract::Statistics& command) {
  if (!countable_) {
    return not_prepared();
  }
  std::optional<Ranges> ranges;
  if (!command.ranges.empty()) {
    auto read = ranges_from(command.ranges);
    if (!read) {
      return tl::unexpected(read.error());
    }
    ranges = *std::move(read);
  }
  ProgressMeter progress(report_, countable_->examples());
  const auto statistics =
      countable_->count(command.cell_min, ranges, [&](std::uint64_t rows) { progress.add(rows); });
  if (!statistics) {
    return tl::unexpected(statistics.error());
  }
  Result result;
  result.examples = countable_->examples();
  result.sums = to_sums(*statistics);
  return result;
}

Expected<Result> Trainer::Session::run(const contract::Initialize& command) {
  if (!prepared_) {
    return not_prepared();
  }
  prepared_->model.initialize(command.seed);
  prepared_->model.save(command.output);
  return Result{};
}

Expected<Result> Trainer::Session::run(const contract::Train& command) {
  if (!prepared_) {
    return not_prepared();
  }
  const RoundSettings settings{prepared_->spec.train, prepared_->loss_before, prepared_->control};
  return train_round(prepared_->model, *prepared_->train, settings, command, report_);
}

Expected<Result> Trainer::Session::run(const contract::Evaluate& command) {
  if (!prepared_) {
    return not_prepared();
  }
  const JobSpec& spec = prepared_->spec;
  const bool personal = spec.evaluate && spec.evaluate->personal;
  if (auto loaded =
          load_for_site(prepared_->model, spec.train, command.model, command.own, personal);
      !loaded) {
    return tl::unexpected(loaded.error());
  }
  if (!prepared_->evaluate) {
    return refuse("evaluation_dataset_missing",
                  "the job was prepared without an evaluation dataset at this site",
                  "name one that the site has in evaluate.dataset", Scope::site);
  }
  return evaluate_model(prepared_->model, *prepared_->evaluate,
                        Objective(prepared_->spec.train, prepared_->evaluate->device()), report_);
}

Expected<Result> Trainer::Session::run(const contract::Predict& command) {
  if (!prepared_) {
    return not_prepared();
  }
  if (auto loaded = load_with_own(prepared_->model, command.model, command.own); !loaded) {
    return tl::unexpected(loaded.error());
  }
  if (auto predicted =
          predict_inputs(prepared_->model, prepared_->train->device(), prepared_->spec.train.loss,
                         command.inputs, command.output, report_);
      !predicted) {
    return tl::unexpected(predicted.error());
  }
  Result result;
  result.examples = static_cast<std::uint64_t>(prepared_->train->size());
  return result;
}

Trainer::Trainer(ReportProgress report) : session_(std::make_unique<Session>(std::move(report))) {}

Trainer::~Trainer() = default;

Trainer::Outcome Trainer::handle(const contract::CommandBody& command) {
  try {
    auto result = std::visit([this](const auto& body) { return session_->run(body); }, command);
    if (result) {
      return *result;
    }
    return tl::unexpected(error_of(result.error()));
  } catch (const CommandAbandoned&) {
    throw;
  } catch (const std::bad_alloc&) {
    return tl::unexpected(out_of_memory());
  } catch (const c10::Error& error) {
    return tl::unexpected(error_of(error));
  } catch (const std::system_error& error) {
    return tl::unexpected(Error{"work_folder_failed", error.what(), /*transient=*/true});
  } catch (const std::exception& error) {
    return tl::unexpected(Error{"trainer_failed", error.what(), /*transient=*/false});
  }
}

}  // namespace entente::agent
