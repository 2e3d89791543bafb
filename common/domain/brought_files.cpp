#include "common/domain/brought_files.h"

#include <fmt/format.h>

#include "common/base/check.h"
#include "common/base/figures.h"
#include "common/base/limits.h"

namespace entente {
namespace {

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

TensorLayout rows_of(std::string_view name, std::uint64_t rows, const Shape& each) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.shape.push_back(static_cast<std::int64_t>(rows));
  tensor.shape.insert(tensor.shape.end(), each.begin(), each.end());
  return {{std::move(tensor)}};
}

bool starts_from_file(const JobSpec& spec) {
  return spec.init && spec.init->which == InitialModel::Which::file;
}

// A file is its tensors and a header.
Expected<void> check_size(FileUse use, std::uint64_t bytes, const TensorLayout& layout) {
  const auto tensors = layout.bytes();
  if (bytes > tensors && bytes <= tensors + limits::kTensorHeaderBytesMax) {
    return {};
  }
  return invalid(fmt::format("{} names a file of {}, its tensors come to {}", key_of(use),
                             human_bytes(bytes), human_bytes(tensors)),
                 "submit with: entente job submit, which reads the file");
}

}  // namespace

std::string_view key_of(FileUse use) {
  switch (use) {
    case FileUse::initial_model:
      return "init";
    case FileUse::inputs:
      return "predict.inputs";
  }
  return {};
}

bool has_its_files(const JobSpec& spec) {
  const bool lacks_model = starts_from_file(spec) && !spec.init->file;
  return !lacks_model && (!spec.predict || spec.predict->inputs != BlobId{});
}

std::vector<BroughtFile> brought_files(const JobSpec& spec) {
  ENTENTE_CHECK(has_its_files(spec));
  std::vector<BroughtFile> files;
  if (starts_from_file(spec)) {
    files.push_back({FileUse::initial_model, *spec.init->file, spec.init->bytes});
  }
  if (spec.predict) {
    files.push_back({FileUse::inputs, spec.predict->inputs, spec.predict->inputs_bytes});
  }
  return files;
}

TensorLayout file_layout(FileUse use, const JobSpec& spec) {
  if (use == FileUse::inputs) {
    return rows_of(kInputsTensor, spec.predict->examples, spec.model.input);
  }
  const auto model = resolve_model(spec.model);
  ENTENTE_CHECK(model.has_value());
  return model->layout;
}

TensorLayout outputs_layout(const JobSpec& spec) {
  const auto model = resolve_model(spec.model);
  ENTENTE_CHECK(model.has_value() && spec.predict);
  return rows_of(kOutputsTensor, spec.predict->examples, model->output);
}

Expected<void> check_brought_files(const JobSpec& spec, const ResolvedModel& model) {
  if (!has_its_files(spec)) {
    return {};  // a job file that was read; the broker takes none like it
  }
  if (starts_from_file(spec)) {
    if (auto fits = check_size(FileUse::initial_model, spec.init->bytes, model.layout); !fits) {
      return fits;
    }
  }
  if (!spec.predict) {
    return {};
  }
  if (starts_from_file(spec) && *spec.init->file == spec.predict->inputs) {
    return invalid("init and predict.inputs name the same file, and one cannot be both",
                   "name a model in init, and in predict.inputs the inputs for it");
  }
  const auto rows = spec.predict->examples;
  if (rows == 0 || rows > limits::kPredictionRowsMax) {
    return invalid(fmt::format("predict.inputs has {} rows, may have 1 to {}", with_commas(rows),
                               with_commas(limits::kPredictionRowsMax)),
                   "predict on fewer inputs at once, in several jobs");
  }
  for (const auto& layout : {file_layout(FileUse::inputs, spec), outputs_layout(spec)}) {
    if (layout.elements() > limits::kModelParametersMax) {
      return invalid(fmt::format("predict.inputs comes to {} values in {}, at most {} are possible",
                                 with_commas(layout.elements()), layout.tensors.front().name,
                                 with_commas(limits::kModelParametersMax)),
                     "predict on fewer inputs at once, in several jobs");
    }
  }
  return check_size(FileUse::inputs, spec.predict->inputs_bytes,
                    file_layout(FileUse::inputs, spec));
}

}  // namespace entente
