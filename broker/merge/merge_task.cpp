#include "broker/merge/merge_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

#include "broker/merge/file_values.h"
#include "broker/merge/strategies/norm_clipping.h"
#include "broker/merge/strategies/weighted_mean.h"
#include "broker/merge/strategy.h"
#include "broker/merge/threaded_sweep.h"
#include "common/base/check.h"
#include "common/domain/site_tensors.h"
#include "common/domain/strategy_kinds.h"
#include "common/tensors/update_file.h"

namespace entente::broker {
namespace {

constexpr std::array<std::string_view, 2> kStateVectors{"momentum.", "variance."};

// A mapped file and its tensors as one vector; the span lives as long as the file.
struct FlatFile {
  TensorFile file;
  std::span<const float> values;
};

Expected<FlatFile> open_flat(const std::filesystem::path& path, const TensorLayout& layout) {
  auto file = TensorFile::open(path);
  if (!file) {
    return tl::unexpected(std::move(file.error()));
  }
  auto values = file->flat(layout);
  if (!values) {
    return tl::unexpected(std::move(values.error()));
  }
  return FlatFile{.file = std::move(*file), .values = *values};
}

// A file of the broker's own: the job cannot go on without it, and no site is to blame.
Expected<FlatFile> open_own(std::string_view what, const std::filesystem::path& path,
                            const TensorLayout& layout) {
  auto file = open_flat(path, layout);
  if (!file) {
    Refusal reason = std::move(file.error());
    reason.message = fmt::format("{}: {}", what, reason.message);
    reason.scope = Scope::job;
    return tl::unexpected(std::move(reason));
  }
  return file;
}

Expected<void> check_updates(const std::vector<SpooledUpdate>& updates) {
  if (updates.empty()) {
    return refuse("no_updates", "there is no accepted update to merge");
  }
  for (std::size_t i = 0; i < updates.size(); ++i) {
    // The order of the sums, and with it the bits of the model, is the order of the sites.
    ENTENTE_CHECK(i == 0 || updates[i - 1].site <= updates[i].site);
    ENTENTE_CHECK(updates[i].factor > 0 && updates[i].factor <= 1);
    if (!(updates[i].weight > 0) || !std::isfinite(updates[i].weight)) {
      return refuse("weight_invalid",
                    fmt::format("the update of site {} has the weight {}, it has to be positive",
                                updates[i].site.str(), updates[i].weight),
                    {}, Scope::site);
    }
  }
  return {};
}

// The updates of a round, mapped, and what the strategy is told of them.
struct OpenCohort {
  std::vector<UpdateFile> files;
  std::vector<Piece> pieces;  // of the model's tensors in each of them
  std::vector<FileValues> values;
  std::vector<ScaledValues> clipped;
  Cohort cohort;
};

Expected<OpenCohort> open_cohort(const MergeRequest& request, Sweep& sweep) {
  OpenCohort open;
  open.cohort.local_lr = request.local_lr;
  open.cohort.local_momentum = request.local_momentum;
  open.cohort.prox_mu = request.prox_mu;
  open.pieces = pieces_of(request.layout, request.update_layout, {});
  for (const SpooledUpdate& update : request.updates) {
    auto file = UpdateFile::open(update.file, request.update_layout, request.update);
    if (!file) {
      Refusal reason = std::move(file.error());
      reason.message = fmt::format("update of site {}: {}", update.site.str(), reason.message);
      return tl::unexpected(std::move(reason));
    }
    open.files.push_back(std::move(*file));
    open.cohort.weights.push_back(update.weight);
    open.cohort.factors.push_back(update.factor);
    open.cohort.losses.push_back(update.loss);
    open.cohort.steps.push_back(update.steps);
  }
  for (const UpdateFile& file : open.files) {
    open.values.emplace_back(file, open.pieces, request.layout.elements());
  }
  for (const FileValues& values : open.values) {
    open.cohort.updates.push_back(&values);
  }
  if (const double norm = strategy_parameter(request.strategy, kClipNorm); norm > 0) {
    const auto factors = clipping_factors(open.cohort.updates, norm, sweep);
    for (std::size_t i = 0; i < factors.size(); ++i) {
      open.clipped.emplace_back(open.values[i], factors[i]);
    }
    for (std::size_t i = 0; i < factors.size(); ++i) {
      open.cohort.updates[i] = &open.clipped[i];
    }
  }
  return open;
}

// The server optimiser's state before and after this round; empty for a rule that has none.
class ServerState {
 public:
  ServerState(const MergeRequest& request, const ServerOptimizer& optimizer,
              std::span<const float> before)
      : optimizer_(optimizer), elements_(request.layout.elements()), before_(before) {
    if (optimizer.state_vectors() > 0) {
      writer_.emplace(request.state_output, state_layout(request.layout, optimizer.state_vectors()),
                      request.metadata);
    }
  }

  // Vector `which` (0: momentum, 1: variance) of a range, as the last round has left it.
  [[nodiscard]] std::vector<float> read(std::size_t which, Range range) const {
    if (which >= optimizer_.state_vectors()) {
      return {};
    }
    if (before_.empty()) {
      const double start = which == 0 ? 0 : optimizer_.tau * optimizer_.tau;
      return std::vector<float>(range.count, static_cast<float>(start));
    }
    const auto values = before_.subspan(which * elements_ + range.start, range.count);
    return {values.begin(), values.end()};
  }

  void write(std::size_t which, Range range, std::span<const float> values) {
    if (!values.empty()) {
      writer_->write(which * elements_ + range.start, values);
    }
  }

  std::optional<std::uint64_t> close() {
    return writer_ ? std::optional(writer_->close()) : std::nullopt;
  }

 private:
  const ServerOptimizer& optimizer_;
  std::size_t elements_;
  std::span<const float> before_;
  std::optional<TensorFileWriter> writer_;
};

// The span of a block within a vector that may have been left out.
std::span<float> part(std::vector<float>& values, std::size_t start, std::size_t count) {
  return values.empty() ? std::span<float>() : std::span(values).subspan(start, count);
}

// SCAFFOLD's control variate after this round (Karimireddy et al. 2020, Algorithm 1): c += |S|/N
// times the mean of what the sites' have changed by, weighted like their updates. Returns its
// bytes.
Expected<std::uint64_t> merge_control(const MergeRequest& request, const OpenCohort& open,
                                      Sweep& sweep) {
  std::optional<FlatFile> before;
  if (request.state) {
    auto file =
        open_own("the server's control variate", *request.state, control_layout(request.layout));
    if (!file) {
      return tl::unexpected(std::move(file.error()));
    }
    before.emplace(std::move(*file));
  }
  const auto pieces = pieces_of(request.layout, request.update_layout, kControlSuffix);
  std::vector<FileValues> changes;
  for (const UpdateFile& file : open.files) {
    changes.emplace_back(file, pieces, request.layout.elements());
  }
  std::vector<const UpdateValues*> rows_of;
  for (const FileValues& change : changes) {
    rows_of.push_back(&change);
  }
  const auto& weights = open.cohort.weights;
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double share = static_cast<double>(changes.size()) / static_cast<double>(request.places);
  TensorFileWriter writer(request.state_output, control_layout(request.layout), request.metadata);
  sweep.each(request.layout.elements(), [&](Range range) {
    std::vector<float> control(range.count);
    if (before) {
      const auto values = before->values.subspan(range.start, range.count);
      std::copy(values.begin(), values.end(), control.begin());
    }
    std::array<double, kBlockValues> mean;
    for_each_block(rows_of, range, [&](Rows rows, std::size_t start, std::size_t count) {
      weighted_mean(rows, weights, total, std::span(mean).first(count));
      for (std::size_t i = 0; i < count; ++i) {
        float& value = control[start - range.start + i];
        value = static_cast<float>(double{value} + share * mean[i]);
      }
    });
    writer.write(range.start, control);
  });
  return writer.close();
}

}  // namespace

TensorLayout control_layout(const TensorLayout& model) {
  return with_suffix(model, kControlSuffix);
}

TensorLayout state_layout(const TensorLayout& model, std::size_t vectors) {
  TensorLayout layout;
  for (std::size_t i = 0; i < vectors; ++i) {
    for (TensorInfo tensor : model.tensors) {
      tensor.name = std::string(kStateVectors.at(i)) + tensor.name;
      layout.tensors.push_back(std::move(tensor));
    }
  }
  return layout;
}

Expected<MergeResult> merge(const MergeRequest& request) {
  if (auto sound = check_updates(request.updates); !sound) {
    return tl::unexpected(std::move(sound.error()));
  }
  std::optional<FlatFile> model;
  if (request.model) {
    auto file = open_own("the model to start from", *request.model, request.layout);
    if (!file) {
      return tl::unexpected(std::move(file.error()));
    }
    model.emplace(std::move(*file));
  }
  const auto optimizer = server_optimizer(request.strategy);
  std::optional<FlatFile> state_before;
  if (request.state && optimizer.state_vectors() > 0) {
    auto file = open_own("the server optimiser's state", *request.state,
                         state_layout(request.layout, optimizer.state_vectors()));
    if (!file) {
      return tl::unexpected(std::move(file.error()));
    }
    state_before.emplace(std::move(*file));
  }
  ThreadedSweep sweep(request.threads);
  auto open = open_cohort(request, sweep);
  if (!open) {
    return tl::unexpected(std::move(open.error()));
  }
  const auto rule = prepare_rule(request.strategy, open->cohort, sweep);
  if (!rule) {
    return tl::unexpected(rule.error());
  }
  TensorFileWriter writer(request.output, request.layout, request.metadata);
  ServerState state(request, optimizer,
                    state_before ? state_before->values : std::span<const float>());
  sweep.each(request.layout.elements(), [&](Range range) {
    std::vector<float> next(range.count);
    if (model) {
      const auto values = model->values.subspan(range.start, range.count);
      std::copy(values.begin(), values.end(), next.begin());
    }
    auto momentum = state.read(0, range);
    auto variance = state.read(1, range);
    std::array<double, kBlockValues> merged;
    for_each_block(rule->updates, range, [&](Rows rows, std::size_t start, std::size_t count) {
      rule->merge(rows, std::span(merged).first(count));
      const std::size_t at = start - range.start;
      server_step(optimizer, std::span(merged).first(count), part(next, at, count),
                  part(momentum, at, count), part(variance, at, count));
    });
    writer.write(range.start, next);
    state.write(0, range, momentum);
    state.write(1, range, variance);
  });
  MergeResult result;
  if (has_control(request.strategy)) {
    auto control = merge_control(request, *open, sweep);
    if (!control) {
      return tl::unexpected(std::move(control.error()));
    }
    result.state_bytes = *control;
  } else {
    result.state_bytes = state.close();
  }
  result.bytes = writer.close();
  return result;
}

}  // namespace entente::broker
