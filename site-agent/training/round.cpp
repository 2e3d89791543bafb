#include "site-agent/training/round.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/domain/name_patterns.h"
#include "common/domain/seeds.h"
#include "common/domain/site_tensors.h"
#include "common/domain/strategy_kinds.h"
#include "site-agent/training/local_training.h"
#include "site-agent/training/tensor_files.h"

namespace entente::agent {
namespace {

// As safetensors' other readers expect.
const TensorMetadata kMetadata{{"format", "pt"}};

using Tensors = std::vector<torch::Tensor>;

// The tensors of `layout`, in its order.
void write_tensors(const std::string& path, const TensorLayout& layout, const Tensors& tensors) {
  TensorFileWriter writer(path, layout, kMetadata);
  for (const torch::Tensor& tensor : tensors) {
    writer.append(values_of(on_host(tensor)));
  }
  writer.close();
}

Tensors copies_of(const Tensors& tensors) {
  Tensors copies;
  for (const torch::Tensor& tensor : tensors) {
    copies.push_back(tensor.detach().clone());
  }
  return copies;
}

// A file that may be left out.
Expected<std::optional<TensorFile>> open_optional(const std::string& path) {
  if (path.empty()) {
    return std::nullopt;
  }
  auto file = TensorFile::open(path);
  if (!file) {
    return tl::unexpected(std::move(file.error()));
  }
  return std::optional<TensorFile>(std::move(*file));
}

// The file's values of the model's tensors under their names with `suffix`; where it has none,
// those of `otherwise`.
Tensors named_tensors(const std::optional<TensorFile>& file, const TensorLayout& layout,
                      std::string_view suffix, const Tensors& otherwise) {
  std::optional<NamedTensors> named;
  if (file) {
    named.emplace(*file);
  }
  Tensors tensors;
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    const TensorInfo& info = layout.tensors[i];
    const auto found =
        named ? named->find(info.name + std::string(suffix), info.shape) : std::nullopt;
    tensors.push_back(found ? found->to(otherwise[i].device()) : otherwise[i]);
  }
  return tensors;
}

void put(Model& model, const Tensors& values) {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto tensor = model.tensors()[i];
    tensor.copy_(values[i]);
  }
}

// The site's own tensors, where it has some already.
void put_own(Model& model, const std::vector<bool>& stays, const std::optional<TensorFile>& own) {
  if (!own || std::find(stays.begin(), stays.end(), true) == stays.end()) {
    return;
  }
  auto values = named_tensors(own, model.spec().layout, {}, model.tensors());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = stays[i] ? values[i] : model.tensors()[i];
  }
  put(model, values);
}

Tensors zeros_like(const Tensors& tensors) {
  Tensors zeros;
  for (const torch::Tensor& tensor : tensors) {
    zeros.push_back(torch::zeros_like(tensor, tensor.options().requires_grad(false)));
  }
  return zeros;
}

// The round under way. Every list has one tensor for each of the model's.
class SiteRound {
 public:
  SiteRound(Model& model, const Examples& examples, const RoundSettings& settings,
            const contract::Train& command, const ReportProgress& report)
      : model_(model),
        examples_(examples),
        settings_(settings),
        command_(command),
        report_(report),
        layout_(model.spec().layout),
        stays_(site_tensors(settings.train, layout_)) {}

  Expected<contract::Result> run() {
    if (auto ready = start(); !ready) {
      return tl::unexpected(std::move(ready.error()));
    }
    auto before = loss_before();
    if (!before) {
      return before;
    }
    auto result = train_shared();
    if (!result) {
      return result;
    }
    if (settings_.loss_before) {
      result->metrics[std::string(kLossBefore)] = before->metrics.at("loss");
    }
    write_update(*result);
    if (settings_.train.personal) {
      auto trained = train_personal();
      if (!trained) {
        return trained;
      }
      for (const auto& [name, value] : trained->metrics) {
        result->metrics["personal_" + name] = value;
      }
    }
    if (!command_.own_output.empty()) {
      write_tensors(command_.own_output, site_layout(settings_.train, settings_.control, layout_),
                    own_);
    }
    return result;
  }

 private:
  Expected<void> start() {
    auto own = open_optional(command_.own);
    auto control = open_optional(command_.control);
    for (const auto* file : {&own, &control}) {
      if (!*file) {
        return tl::unexpected(file->error());
      }
    }
    auto global = TensorFile::open(command_.model);
    if (!global) {
      return tl::unexpected(std::move(global.error()));
    }
    if (auto loaded = model_.load(*global); !loaded) {
      return loaded;
    }
    global_file_.emplace(std::move(*global));
    const TrainSpec& spec = settings_.train;
    if (settings_.control || spec.personal || spec.prox_mu > 0) {
      global_ = copies_of(model_.tensors());
    }
    if (spec.personal) {
      personal_ = named_tensors(*own, layout_, kPersonalSuffix, global_);
    }
    if (settings_.control) {
      server_control_ = named_tensors(*control, layout_, kControlSuffix, zeros_like(global_));
      site_control_ = named_tensors(*own, layout_, kControlSuffix, zeros_like(global_));
    }
    put_own(model_, stays_, *own);
    return {};
  }

  Expected<contract::Result> loss_before() {
    return settings_.loss_before
               ? evaluate_model(model_, examples_, Objective(settings_.train, examples_.device()),
                                report_)
               : contract::Result{};
  }

  // A course that moves the trained tensors for which `moves` says so.
  template <class Moves>
  Course course_of(Moves moves, double pull) const {
    Course course;
    course.pull = pull;
    for (std::size_t i = 0; i < layout_.tensors.size(); ++i) {
      const auto& parameter = model_.tensors()[i];
      if (!parameter.requires_grad() || !moves(i)) {
        continue;
      }
      course.parameters.push_back(parameter);
      if (pull > 0) {
        course.anchors.push_back(stays_[i] ? torch::Tensor() : global_[i]);
      }
      if (settings_.control) {
        course.drifts.push_back(stays_[i] ? torch::Tensor()
                                          : server_control_[i].sub(site_control_[i]));
      }
    }
    return course;
  }

  Expected<contract::Result> train(const Course& course, std::uint64_t seed, std::uint64_t steps) {
    return train_locally(model_, examples_, settings_.train, command_.round, seed, steps, report_,
                         course);
  }

  Expected<contract::Result> train_shared() {
    const TrainSpec& spec = settings_.train;
    if (spec.private_epochs == 0) {
      return train(course_of([](std::size_t) { return true; }, spec.prox_mu), command_.seed,
                   command_.steps);
    }
    const auto is_private = [&](std::size_t i) {
      return matches_any(spec.private_tensors, layout_.tensors[i].name);
    };
    Course first = course_of(is_private, 0);
    first.epochs = spec.private_epochs;
    if (auto trained = train(first, course_seed(command_.seed, "private"), 0); !trained) {
      return trained;
    }
    return train(course_of([&](std::size_t i) { return !is_private(i); }, spec.prox_mu),
                 command_.seed, command_.steps);
  }

  // What leaves the site; and what of it the site has to remember.
  void write_update(const contract::Result& result) {
    Tensors update;
    Tensors control;
    Tensors own_control;
    const NamedTensors global(*global_file_);
    const double rate = settings_.train.learning_rate(command_.round);
    for (std::size_t i = 0; i < layout_.tensors.size(); ++i) {
      const auto& tensor = model_.tensors()[i];
      if (stays_[i]) {
        own_.push_back(tensor.detach().clone());
        continue;
      }
      const TensorInfo& info = layout_.tensors[i];
      update.push_back(model_.is_frozen(i)
                           ? torch::zeros(info.shape)
                           : on_host(tensor).sub(*global.find(info.name, info.shape)));
      if (settings_.control) {
        auto change = torch::zeros_like(global_[i]);
        if (tensor.requires_grad()) {
          const double steps = static_cast<double>(result.steps);
          change = global_[i].sub(tensor.detach()).div(steps * rate).sub(server_control_[i]);
        }
        // As the broker reads it, so that the server's control stays the mean of the sites'.
        own_control.push_back(site_control_[i].add(change));
        control.push_back(std::move(change));
      }
    }
    update.insert(update.end(), control.begin(), control.end());
    own_.insert(own_.end(), own_control.begin(), own_control.end());
    write_tensors(command_.output, update_layout(settings_.train, settings_.control, layout_),
                  update);
  }

  Expected<contract::Result> train_personal() {
    put(model_, personal_);
    Course course = course_of([](std::size_t) { return true; }, settings_.train.personal->lambda);
    course.epochs = settings_.train.personal->local_epochs;
    course.drifts.clear();
    auto trained = train(course, course_seed(command_.seed, "personal"), 0);
    if (trained) {
      const Tensors values = copies_of(model_.tensors());
      own_.insert(own_.end(), values.begin(), values.end());
    }
    return trained;
  }

  Model& model_;
  const Examples& examples_;
  const RoundSettings& settings_;
  const contract::Train& command_;
  const ReportProgress& report_;
  const TensorLayout& layout_;
  const std::vector<bool> stays_;
  std::optional<TensorFile> global_file_;  // what an update is the difference to
  Tensors global_;                         // the same; where a course or a control needs it
  Tensors personal_;
  Tensors server_control_;  // SCAFFOLD's c
  Tensors site_control_;    // and c_i
  Tensors own_;             // in the order of site_layout()
};

Expected<void> load_global(Model& model, const std::string& global) {
  const auto file = TensorFile::open(global);
  return file ? model.load(*file) : tl::unexpected(file.error());
}

}  // namespace

Expected<contract::Result> train_round(Model& model, const Examples& examples,
                                       const RoundSettings& settings,
                                       const contract::Train& command,
                                       const ReportProgress& report) {
  return SiteRound(model, examples, settings, command, report).run();
}

Expected<void> load_for_site(Model& model, const TrainSpec& train, const std::string& global,
                             const std::string& own, bool personal) {
  if (auto loaded = load_global(model, global); !loaded) {
    return loaded;
  }
  const auto kept = open_optional(own);
  if (!kept) {
    return tl::unexpected(kept.error());
  }
  const TensorLayout& layout = model.spec().layout;
  if (personal) {
    put(model, named_tensors(*kept, layout, kPersonalSuffix, model.tensors()));
    return {};
  }
  put_own(model, site_tensors(train, layout), *kept);
  return {};
}

Expected<void> load_with_own(Model& model, const std::string& global, const std::string& own) {
  if (auto loaded = load_global(model, global); !loaded || own.empty()) {
    return loaded;
  }
  const auto kept = open_optional(own);
  if (!kept) {
    return tl::unexpected(kept.error());
  }
  const TensorLayout& layout = model.spec().layout;
  const NamedTensors named(**kept);
  const bool fits =
      std::any_of(layout.tensors.begin(), layout.tensors.end(), [&named](const TensorInfo& tensor) {
        return named.find(tensor.name, tensor.shape) ||
               named.find(tensor.name + std::string(kPersonalSuffix), tensor.shape);
      });
  if (!fits) {
    return refuse("own_mismatch",
                  "what the job has left at this site has no tensor of this job's model",
                  "give the job the same [model] as the one that predict.own names", Scope::job);
  }
  put(model, named_tensors(*kept, layout, {}, model.tensors()));
  put(model, named_tensors(*kept, layout, kPersonalSuffix, model.tensors()));
  return {};
}

}  // namespace entente::agent
