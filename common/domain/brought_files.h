// Files that a job's coordinator brings along: a model to start from, inputs to predict on. A job
// file names them by path ("file:lung.safetensors"), the spec by digest and size: so what a broker
// takes is what was submitted, whoever brings it and however often.
//
// Both are safetensors files of float32 with exactly the tensors of file_layout().
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/refusal.h"
#include "common/domain/job_spec.h"
#include "common/domain/tensor_layout.h"

namespace entente {

enum class FileUse : std::uint8_t { initial_model, inputs };

struct BroughtFile {
  FileUse use = FileUse::initial_model;
  BlobId blob{};
  std::uint64_t bytes = 0;

  bool operator==(const BroughtFile&) const = default;
};

// The names of the tensors of predictions.
constexpr std::string_view kInputsTensor = "inputs";
constexpr std::string_view kOutputsTensor = "outputs";

// The key of a job file that names such a file: "init", "predict.inputs".
[[nodiscard]] std::string_view key_of(FileUse use);

// Whether digests and sizes of all files are in the spec. Between a job file that was read and its
// submission they are not.
[[nodiscard]] bool has_its_files(const JobSpec& spec);

// Of a spec that has_its_files().
[[nodiscard]] std::vector<BroughtFile> brought_files(const JobSpec& spec);

// What the file must hold, of a spec that was checked.
[[nodiscard]] TensorLayout file_layout(FileUse use, const JobSpec& spec);

// What a site sends of a job that predicts: a row of outputs for each row of inputs.
[[nodiscard]] TensorLayout outputs_layout(const JobSpec& spec);

// Refuses with "job_invalid" what can't be the size of such a file, and too many rows: a part of
// validate().
[[nodiscard]] Expected<void> check_brought_files(const JobSpec& spec, const ResolvedModel& model);

}  // namespace entente
