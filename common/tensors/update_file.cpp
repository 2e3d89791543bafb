#include "common/tensors/update_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/quote.h"
#include "common/domain/update_encodings.h"
#include "common/tensors/half_floats.h"
#include "common/tensors/norm_guard.h"
#include "common/tensors/scaled_block.h"

namespace entente {
namespace {

// Values that the guards decode at a time.
constexpr std::size_t kCheckedValues = 2048;

constexpr std::array kAnyDType{DType::f32, DType::f16, DType::bf16,
                               DType::i8,  DType::i32, DType::i64};

tl::unexpected<Refusal> invalid(std::string why) {
  return refuse("tensors_invalid", "the update " + std::move(why),
                "use the agent of this version; docs/encodings.md has the format", Scope::site);
}

// All data from tensor `index` on, as one vector. Its alignment has been checked.
template <class T>
const T* values_from(const TensorFile& file, std::size_t index) {
  return file.layout().tensors.empty() ? nullptr
                                       : reinterpret_cast<const T*>(file.data(index).data());
}

}  // namespace

class UpdateFile::Decoder {
 public:
  virtual ~Decoder() = default;
  [[nodiscard]] virtual const float* read(std::size_t start, std::span<float> scratch) const = 0;
};

namespace {

class Float32Decoder final : public UpdateFile::Decoder {
 public:
  explicit Float32Decoder(const TensorFile& file) : values_(values_from<float>(file, 0)) {}
  [[nodiscard]] const float* read(std::size_t start, std::span<float>) const override {
    return values_ + start;
  }

 private:
  const float* values_;
};

class HalfDecoder final : public UpdateFile::Decoder {
 public:
  using Convert = void (*)(std::span<const std::uint16_t>, std::span<float>);
  HalfDecoder(const TensorFile& file, Convert convert)
      : values_(values_from<std::uint16_t>(file, 0)), convert_(convert) {}
  [[nodiscard]] const float* read(std::size_t start, std::span<float> scratch) const override {
    convert_({values_ + start, scratch.size()}, scratch);
    return scratch.data();
  }

 private:
  const std::uint16_t* values_;
  const Convert convert_;
};

class Int8Decoder final : public UpdateFile::Decoder {
 public:
  Int8Decoder(const TensorFile& file, const TensorLayout& model)
      : scales_(values_from<float>(file, 0)),
        multiples_(values_from<std::int8_t>(file, model.tensors.size())) {
    std::size_t value = 0;
    std::size_t scale = 0;
    for (const TensorInfo& tensor : model.tensors) {
      parts_.push_back({value, scale});
      value += tensor.elements();
      scale += (tensor.elements() + kScaleBlockValues - 1) / kScaleBlockValues;
    }
    scales_in_all_ = scale;
  }

  [[nodiscard]] Expected<void> check() const {
    const std::span scales(scales_, scales_in_all_);
    const auto wrong = std::ranges::find_if(
        scales, [](float scale) { return !(std::isfinite(scale) && scale >= 0); });
    return wrong == scales.end()
               ? Expected<void>()
               : invalid(fmt::format("has a scale of {}; finite numbers from 0 are", *wrong));
  }

  [[nodiscard]] const float* read(std::size_t start, std::span<float> scratch) const override {
    auto part = std::prev(std::ranges::upper_bound(parts_, start, {}, &Part::first_value));
    for (auto rest = scratch; !rest.empty(); ++part) {
      const auto next = std::next(part);
      const std::size_t end = next == parts_.end() ? start + rest.size() : next->first_value;
      while (!rest.empty() && start < end) {
        const std::size_t in_tensor = start - part->first_value;
        const std::size_t left = kScaleBlockValues - in_tensor % kScaleBlockValues;
        const std::size_t count = std::min({rest.size(), end - start, left});
        from_multiples({multiples_ + start, count},
                       scales_[part->first_scale + in_tensor / kScaleBlockValues],
                       rest.first(count));
        rest = rest.subspan(count);
        start += count;
      }
    }
    return scratch.data();
  }

 private:
  // Where a tensor of the model begins.
  struct Part {
    std::size_t first_value = 0;
    std::size_t first_scale = 0;
  };

  const float* scales_;
  const std::int8_t* multiples_;
  std::vector<Part> parts_;
  std::size_t scales_in_all_ = 0;
};

template <class Place>
class TopKDecoder final : public UpdateFile::Decoder {
 public:
  explicit TopKDecoder(const TensorFile& file)
      : places_(values_from<Place>(file, 0), file.layout().tensors[0].elements()),
        values_(values_from<float>(file, 1)) {}

  [[nodiscard]] Expected<void> check(std::size_t size) const {
    Place least = 0;
    for (const Place place : places_) {
      if (place < least || static_cast<std::uint64_t>(place) >= size) {
        return invalid(fmt::format("names the place {} where one from {} to below {} belongs",
                                   place, least, size));
      }
      least = place + 1;
    }
    return {};
  }

  [[nodiscard]] const float* read(std::size_t start, std::span<float> scratch) const override {
    std::ranges::fill(scratch, 0.0F);
    const std::size_t end = start + scratch.size();
    for (auto place = std::ranges::lower_bound(places_, static_cast<Place>(start));
         place != places_.end() && static_cast<std::size_t>(*place) < end; ++place) {
      scratch[static_cast<std::size_t>(*place) - start] = values_[place - places_.begin()];
    }
    return scratch.data();
  }

 private:
  std::span<const Place> places_;
  const float* values_;
};

using Made = Expected<std::unique_ptr<const UpdateFile::Decoder>>;

Made make_int8(const TensorFile& file, const TensorLayout& model) {
  auto decoder = std::make_unique<const Int8Decoder>(file, model);
  if (auto sound = decoder->check(); !sound) {
    return tl::unexpected(std::move(sound.error()));
  }
  return decoder;
}

template <class Place>
Made make_topk(const TensorFile& file, const TensorLayout& model) {
  auto decoder = std::make_unique<const TopKDecoder<Place>>(file);
  if (auto sound = decoder->check(model.elements()); !sound) {
    return tl::unexpected(std::move(sound.error()));
  }
  return decoder;
}

Made make_decoder(const TensorFile& file, const TensorLayout& model, Encoding encoding) {
  switch (encoding) {
    case Encoding::float32:
      return std::make_unique<const Float32Decoder>(file);
    case Encoding::f16:
      return std::make_unique<const HalfDecoder>(file, &from_f16);
    case Encoding::bf16:
      return std::make_unique<const HalfDecoder>(file, &from_bf16);
    case Encoding::int8:
      return make_int8(file, model);
    case Encoding::topk:
      return file.layout().tensors[0].dtype == DType::i32 ? make_topk<std::int32_t>(file, model)
                                                          : make_topk<std::int64_t>(file, model);
  }
  return invalid("is in an unknown encoding");
}

}  // namespace

Expected<UpdateFile> UpdateFile::open(const std::filesystem::path& path, const TensorLayout& model,
                                      const UpdateSpec& spec) {
  const Encoding encoding = encoding_of(spec);
  auto file =
      encoding == Encoding::float32 ? TensorFile::open(path) : TensorFile::open(path, kAnyDType);
  if (!file) {
    return tl::unexpected(std::move(file.error()));
  }
  if (auto same = file->check_layout(encoded_layout(model, spec)); !same) {
    return tl::unexpected(std::move(same.error()));
  }
  auto decoder = make_decoder(*file, model, encoding);
  if (!decoder) {
    return tl::unexpected(std::move(decoder.error()));
  }
  return UpdateFile(std::move(*file), model.elements(), std::move(*decoder));
}

UpdateFile::UpdateFile(TensorFile file, std::size_t size, std::unique_ptr<const Decoder> decoder)
    : file_(std::move(file)), size_(size), decoder_(std::move(decoder)) {}
UpdateFile::UpdateFile(UpdateFile&&) noexcept = default;
UpdateFile& UpdateFile::operator=(UpdateFile&&) noexcept = default;
UpdateFile::~UpdateFile() = default;

const float* UpdateFile::read(std::size_t start, std::span<float> scratch) const {
  ENTENTE_CHECK(start + scratch.size() <= size_);
  return decoder_->read(start, scratch);
}

Expected<TensorCheck> check_update(const std::filesystem::path& file, const TensorLayout& model,
                                   const UpdateSpec& spec, double l2_norm_max) {
  const auto update = UpdateFile::open(file, model, spec);
  if (!update) {
    return tl::unexpected(update.error());
  }
  NormGuard guard(l2_norm_max);
  std::array<float, kCheckedValues> scratch;
  std::size_t start = 0;
  for (const TensorInfo& tensor : model.tensors) {
    double squares = 0;
    for (std::size_t left = tensor.elements(); left > 0;) {
      const std::size_t count = std::min(left, kCheckedValues);
      const float* const values = update->read(start, std::span(scratch).first(count));
      squares += sum_of_squares({values, count});
      start += count;
      left -= count;
    }
    if (auto sound = guard.add(tensor, squares); !sound) {
      return tl::unexpected(std::move(sound.error()));
    }
  }
  return guard.finish();
}

}  // namespace entente
