#include "site-agent/training/prediction.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/domain/brought_files.h"
#include "common/tensors/safetensors.h"
#include "site-agent/training/tensor_files.h"

namespace entente::agent {
namespace {

// Rows that are computed at once: what is asked for does not change a bit with it, since no layer
// compares examples outside of training.
constexpr std::int64_t kBatchRows = 256;

tl::unexpected<Refusal> invalid(std::string message) {
  return refuse("inputs_invalid", std::move(message),
                "the job's coordinator brings them; docs/job-file.md says what they hold",
                Scope::job);
}

Expected<torch::Tensor> tokens_of(const torch::Tensor& numbers, std::int64_t vocabulary) {
  const auto known = numbers.ge(0) & numbers.lt(vocabulary) & numbers.eq(numbers.floor());
  if (!known.all().item<bool>()) {
    return invalid(
        fmt::format("the inputs hold numbers that are no token from 0 to {}", vocabulary - 1));
  }
  return numbers.to(torch::kInt64);
}

torch::Tensor said_of(const torch::Tensor& outputs, Loss loss) {
  switch (loss) {
    case Loss::cross_entropy:
      return outputs.softmax(1);
    case Loss::bce:
      return outputs.sigmoid();
    case Loss::mse:
    case Loss::l1:
    case Loss::hinge:
      return outputs;
  }
  return outputs;
}

// Rows first to first + count of the file's one tensor.
torch::Tensor rows_of(const TensorFile& file, std::int64_t first, std::int64_t count) {
  Shape shape = file.layout().tensors.front().shape;
  const auto row_bytes = file.data(0).size() / static_cast<std::size_t>(shape.front());
  shape.front() = count;
  return tensor_of(file.data(0).subspan(static_cast<std::size_t>(first) * row_bytes,
                                        static_cast<std::size_t>(count) * row_bytes),
                   shape);
}

// How many rows the file has.
Expected<std::int64_t> check_inputs(const TensorFile& file, const ResolvedModel& model) {
  const auto& tensors = file.layout().tensors;
  const Shape& wanted = model.layers.front().input;
  if (tensors.size() != 1 || tensors.front().name != kInputsTensor) {
    return invalid(fmt::format("the inputs are a file with the one tensor \"{}\"", kInputsTensor));
  }
  const Shape& shape = tensors.front().shape;
  if (shape.size() != wanted.size() + 1 || shape.front() < 1 ||
      !std::equal(wanted.begin(), wanted.end(), shape.begin() + 1)) {
    return invalid(fmt::format("the inputs have the shape {}, the model takes rows of {}",
                               to_string(shape), to_string(wanted)));
  }
  const auto rows = static_cast<std::uint64_t>(shape.front());
  const auto outputs = static_cast<std::uint64_t>(model.output.front());
  if (rows > limits::kPredictionRowsMax || rows > limits::kModelParametersMax / outputs) {
    return invalid(fmt::format("the inputs have {} rows, more than may be asked for", rows));
  }
  return shape.front();
}

}  // namespace

Expected<void> predict_inputs(Model& model, torch::Device device, Loss loss,
                              const std::string& inputs, const std::string& output,
                              const ReportProgress& report) {
  const auto file = TensorFile::open(inputs);
  if (!file) {
    return tl::unexpected(file.error());
  }
  const auto rows = check_inputs(*file, model.spec());
  if (!rows) {
    return tl::unexpected(rows.error());
  }
  torch::NoGradGuard no_grad;
  model.set_training(false);
  ProgressMeter progress(report, static_cast<std::uint64_t>(*rows));
  TensorInfo outputs{std::string(kOutputsTensor), {*rows, model.spec().output.front()}};
  TensorFileWriter writer(output, TensorLayout{{std::move(outputs)}}, {{"format", "pt"}});
  for (std::int64_t first = 0; first < *rows; first += kBatchRows) {
    const auto count = std::min(kBatchRows, *rows - first);
    auto features = rows_of(*file, first, count);
    if (const auto vocabulary = model.spec().vocabulary()) {
      auto tokens = tokens_of(features, *vocabulary);
      if (!tokens) {
        return tl::unexpected(tokens.error());
      }
      features = *std::move(tokens);
    }
    const auto said = on_host(said_of(model.forward(features.to(device)), loss));
    if (!said.isfinite().all().item<bool>()) {
      return refuse("prediction_not_finite",
                    "the model's outputs are not finite numbers for some of the inputs",
                    "see whether the model has diverged, or the inputs are scaled otherwise than "
                    "what it was trained on",
                    Scope::job);
    }
    writer.append(values_of(said));
    progress.add(static_cast<std::uint64_t>(count));
  }
  writer.close();
  return {};
}

}  // namespace entente::agent
