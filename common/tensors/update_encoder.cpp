#include "common/tensors/update_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "common/base/quote.h"
#include "common/domain/update_encodings.h"
#include "common/tensors/half_floats.h"
#include "common/tensors/safetensors.h"
#include "common/tensors/scaled_block.h"
#include "common/tensors/top_values.h"

namespace entente {
namespace {

constexpr std::size_t kBlockValues = kScaleBlockValues;

// The update as a flat vector, and where the encoded one goes.
struct Job {
  const EncodeRequest& request;
  std::span<const float> values;
  TensorFileWriter& writer;
};

// Calls `work` with each block of each tensor, and with its place in the flat vector.
template <class Work>
void for_each_block(const Job& job, Work work) {
  std::size_t start = 0;
  for (const TensorInfo& tensor : job.request.model.tensors) {
    const std::size_t end = start + tensor.elements();
    while (start < end) {
      const std::size_t count = std::min(kBlockValues, end - start);
      work(job.values.subspan(start, count), start);
      start += count;
    }
  }
}

std::string_view tensor_at(const TensorLayout& model, std::size_t place) {
  for (const TensorInfo& tensor : model.tensors) {
    if (place < tensor.elements()) {
      return tensor.name;
    }
    place -= tensor.elements();
  }
  return {};
}

Expected<void> write_f16(const Job& job) {
  constexpr std::uint16_t kInfinity = 0x7c00;
  constexpr std::uint16_t kSizeMask = 0x7fff;
  std::optional<std::size_t> too_large;
  std::array<std::uint16_t, kBlockValues> scratch;
  for_each_block(job, [&](std::span<const float> values, std::size_t start) {
    const auto halves = std::span(scratch).first(values.size());
    to_f16(values, halves);
    job.writer.append(std::as_bytes(halves));
    const auto infinite = std::ranges::find_if(
        halves, [](std::uint16_t bits) { return (bits & kSizeMask) >= kInfinity; });
    if (infinite != halves.end() && !too_large) {
      too_large = start + static_cast<std::size_t>(infinite - halves.begin());
    }
  });
  if (too_large) {
    return refuse(
        "value_too_large",
        fmt::format("tensor {} of the update holds {:.6g}; f16 ends at 65504",
                    quote(tensor_at(job.request.model, *too_large)), job.values[*too_large]),
        "set update.encoding to \"bf16\", or train with a smaller learning rate", Scope::job);
  }
  return {};
}

Expected<void> write_bf16(const Job& job) {
  std::array<std::uint16_t, kBlockValues> scratch;
  for_each_block(job, [&](std::span<const float> values, std::size_t) {
    const auto halves = std::span(scratch).first(values.size());
    to_bf16(values, halves);
    job.writer.append(std::as_bytes(halves));
  });
  return {};
}

Expected<void> write_int8(const Job& job) {
  for_each_block(job, [&](std::span<const float> values, std::size_t) {
    const float scale = scale_of(values);
    job.writer.append(std::span(&scale, 1));
  });
  std::array<std::int8_t, kBlockValues> scratch;
  for_each_block(job, [&](std::span<const float> values, std::size_t start) {
    const auto multiples = std::span(scratch).first(values.size());
    round_to_scale(values, scale_of(values), job.request.seed, start, multiples);
    job.writer.append(std::as_bytes(multiples));
  });
  return {};
}

// The values that topk has to choose from: the update, and on top of it what is still owed.
class Owed {
 public:
  Owed(std::span<const float> update, std::span<const float> residual)
      : update_(update), residual_(residual) {}

  [[nodiscard]] std::size_t size() const { return update_.size(); }
  const float* read(std::size_t start, std::span<float> scratch) const {
    if (residual_.empty()) {
      return update_.data() + start;
    }
    for (std::size_t i = 0; i < scratch.size(); ++i) {
      scratch[i] = update_[start + i] + residual_[start + i];
    }
    return scratch.data();
  }

 private:
  std::span<const float> update_;
  std::span<const float> residual_;
};

template <class Work>
void for_each_block(const Owed& owed, Work work) {
  std::array<float, kBlockValues> scratch;
  for (std::size_t start = 0; start < owed.size(); start += kBlockValues) {
    const std::size_t count = std::min(kBlockValues, owed.size() - start);
    work(std::span(owed.read(start, std::span(scratch).first(count)), count), start);
  }
}

template <class Place>
void write_places(TensorFileWriter& writer, const Owed& owed, TopValues& top) {
  top.restart();
  std::vector<Place> places;
  for_each_block(owed, [&](std::span<const float> values, std::size_t start) {
    places.clear();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (top.takes(values[i])) {
        places.push_back(static_cast<Place>(start + i));
      }
    }
    writer.append(std::as_bytes(std::span(places)));
  });
}

// What is sent, and what is left out: zero where a value is sent.
void write_values(TensorFileWriter& writer, TensorFileWriter& left_out, const Owed& owed,
                  TopValues& top) {
  top.restart();
  std::vector<float> sent;
  std::array<float, kBlockValues> rest;
  for_each_block(owed, [&](std::span<const float> values, std::size_t) {
    sent.clear();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool is_sent = top.takes(values[i]);
      rest[i] = is_sent ? 0 : values[i];
      if (is_sent) {
        sent.push_back(values[i]);
      }
    }
    writer.append(sent);
    left_out.append(std::span(rest).first(values.size()));
  });
}

Expected<void> write_topk(const Job& job) {
  const auto& request = job.request;
  std::optional<TensorFile> before;
  std::span<const float> residual;
  if (request.residual_before) {
    auto file = TensorFile::open(*request.residual_before);
    auto values = file ? file->flat(request.model) : tl::unexpected(file.error());
    if (!values) {
      return tl::unexpected(std::move(values.error()));
    }
    before.emplace(std::move(*file));
    residual = *values;
  }
  const Owed owed(job.values, residual);
  TopValues top(
      owed.size(), values_sent(request.spec, owed.size()),
      [&](std::size_t start, std::span<float> scratch) { return owed.read(start, scratch); });
  if (encoded_layout(request.model, request.spec).tensors[0].dtype == DType::i32) {
    write_places<std::int32_t>(job.writer, owed, top);
  } else {
    write_places<std::int64_t>(job.writer, owed, top);
  }
  TensorFileWriter left_out(request.residual_after, request.model, {});
  write_values(job.writer, left_out, owed, top);
  left_out.close();
  return {};
}

Expected<void> write(const Job& job) {
  switch (encoding_of(job.request.spec)) {
    case Encoding::float32:
      job.writer.append(job.values);
      return {};
    case Encoding::f16:
      return write_f16(job);
    case Encoding::bf16:
      return write_bf16(job);
    case Encoding::int8:
      return write_int8(job);
    case Encoding::topk:
      return write_topk(job);
  }
  return {};
}

}  // namespace

Expected<void> encode_update(const EncodeRequest& request) {
  const auto file = TensorFile::open(request.update);
  const auto values = file ? file->flat(request.model) : tl::unexpected(file.error());
  if (!values) {
    return tl::unexpected(values.error());
  }
  TensorFileWriter writer(request.output, encoded_layout(request.model, request.spec),
                          {{"format", "pt"}, {"entente.encoding", request.spec.encoding}});
  if (auto written = write({request, *values, writer}); !written) {
    return written;
  }
  writer.close();
  return {};
}

}  // namespace entente
