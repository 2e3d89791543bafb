// Updates on their way through each encoding, and files that pretend to be some.
#include "common/tensors/update_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "common/domain/update_encodings.h"
#include "common/tensors/update_encoder.h"

namespace entente {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Tensors that end within a block, hold one value, and hold none.
const TensorLayout kModel{{{"conv.weight", {30, 100}},
                           {"scale", {}},
                           {"nothing", {0, 7}},
                           {"fc.weight", {70, 70}},
                           {"fc.bias", {70}}}};
constexpr double kNoBound = 1e12;

UpdateSpec spec_of(std::string encoding, std::optional<double> fraction = std::nullopt) {
  return {std::move(encoding), fraction};
}

std::vector<float> some_update(unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.01F);
  std::vector<float> values(kModel.elements());
  for (float& value : values) {
    value = normal(random);
  }
  values[3000] = 2.5F;  // a tensor of another size than its neighbours
  return values;
}

class UpdateFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "entente-updates-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const fs::path& file, const TensorLayout& layout, std::span<const std::byte> data) {
    TensorFileWriter writer(file, layout, {});
    writer.append(data);
    writer.close();
  }
  void write_floats(const fs::path& file, const std::vector<float>& values) {
    write(file, kModel, std::as_bytes(std::span(values)));
  }

  // Encodes into encoded_, with the residual of the call before.
  Expected<void> encode(const std::vector<float>& update, const UpdateSpec& spec,
                        std::uint64_t seed = 1) {
    write_floats(folder_ / "update", update);
    EncodeRequest request;
    request.update = folder_ / "update";
    request.model = kModel;
    request.spec = spec;
    request.seed = seed;
    request.output = encoded_ = folder_ / "encoded";
    if (has_residual_) {
      fs::rename(folder_ / "residual", folder_ / "residual-before");
      request.residual_before = folder_ / "residual-before";
    }
    request.residual_after = folder_ / "residual";
    has_residual_ = spec.encoding == "topk";
    return encode_update(request);
  }

  std::vector<float> decode(const UpdateSpec& spec, std::size_t block = 2048) {
    const auto file = UpdateFile::open(encoded_, kModel, spec);
    EXPECT_TRUE(file) << file.error().message;
    std::vector<float> values;
    std::vector<float> scratch(block);
    for (std::size_t start = 0; start < file->size(); start += block) {
      const auto part = std::span(scratch).first(std::min(block, file->size() - start));
      const float* const read = file->read(start, part);
      values.insert(values.end(), read, read + part.size());
    }
    return values;
  }

  std::vector<float> through(const std::vector<float>& update, const UpdateSpec& spec) {
    const auto encoded = encode(update, spec);
    EXPECT_TRUE(encoded) << encoded.error().message;
    return decode(spec);
  }

  std::vector<float> residual() {
    const auto file = TensorFile::open(folder_ / "residual");
    const auto values = file->flat(kModel);
    return {values->begin(), values->end()};
  }

  std::string bytes() {
    std::ifstream stream(encoded_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  // "code: message", or "accepted".
  std::string verdict(const UpdateSpec& spec, double l2_norm_max = kNoBound) {
    const auto check = check_update(encoded_, kModel, spec, l2_norm_max);
    return check ? "accepted" : check.error().code + ": " + check.error().message;
  }

  fs::path folder_;
  fs::path encoded_;
  bool has_residual_ = false;
};

TEST_F(UpdateFileTest, HoldsExactlyTheTensorsOfItsEncoding) {
  const auto update = some_update(1);
  for (const auto& name : encoding_names()) {
    const auto spec = spec_of(name);
    ASSERT_TRUE(encode(update, spec));
    EXPECT_EQ(verdict(spec), "accepted") << name;
    const auto layout = encoded_layout(kModel, spec);
    EXPECT_GE(fs::file_size(encoded_), layout.bytes());
    EXPECT_LE(fs::file_size(encoded_), layout.bytes() + 2048) << "the header";
  }
  EXPECT_EQ(encoded_layout(kModel, spec_of("f16")).bytes(), kModel.bytes() / 2);
  EXPECT_EQ(encoded_layout(kModel, spec_of("int8")).bytes(),
            kModel.elements() + 4 * (2 + 1 + 3 + 1));
  EXPECT_EQ(encoded_layout(kModel, spec_of("topk", 0.1)).bytes(), 8 * 798);  // of 7971, rounded up
}

TEST_F(UpdateFileTest, IsReadTheSameInBlocksOfAnyLength) {
  const auto update = some_update(2);
  for (const auto& name : encoding_names()) {
    const auto spec = spec_of(name);
    ASSERT_TRUE(encode(update, spec));
    const auto whole = decode(spec, kModel.elements());
    EXPECT_EQ(decode(spec, 2048), whole) << name;
    EXPECT_EQ(decode(spec, 999), whole) << name;
    EXPECT_EQ(decode(spec, 1), whole) << name;
  }
}

TEST_F(UpdateFileTest, OfFloat32IsTheUpdate) {
  const auto update = some_update(3);
  EXPECT_EQ(through(update, spec_of("float32")), update);
}

TEST_F(UpdateFileTest, OfTwoBytesIsOffByHalfAStepAtMost) {
  const auto update = some_update(4);
  const auto f16 = through(update, spec_of("f16"));
  const auto bf16 = through(update, spec_of("bf16"));
  for (std::size_t i = 0; i < update.size(); ++i) {
    // 10 and 7 bits of fraction; below 2^-14 the steps of f16 are all 2^-24.
    EXPECT_LE(std::abs(f16[i] - update[i]), std::max(std::abs(update[i]) * 0x1p-11F, 0x1p-25F));
    EXPECT_LE(std::abs(bf16[i] - update[i]), std::abs(update[i]) * 0x1p-8F);
  }
}

TEST_F(UpdateFileTest, OfF16IsRefusedForWhatF16HasNoNumberFor) {
  auto update = some_update(5);
  update[3001] = -70'000;
  const auto encoded = encode(update, spec_of("f16"));
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().code, "value_too_large");
  EXPECT_THAT(encoded.error().message, HasSubstr("\"fc.weight\" of the update holds -70000"));
  EXPECT_FALSE(fs::exists(encoded_));
  EXPECT_TRUE(encode(update, spec_of("bf16")));
}

TEST_F(UpdateFileTest, OfInt8IsOffByLessThanAStepOfItsOwnBlock) {
  const auto update = some_update(6);
  const auto read = through(update, spec_of("int8"));
  EXPECT_FLOAT_EQ(read[3000], 2.5F) << "alone in its block";
  for (std::size_t i = 0; i < update.size(); ++i) {
    EXPECT_LT(std::abs(read[i] - update[i]), 0.05F / 127) << i << ": the large one is not near";
  }
}

TEST_F(UpdateFileTest, OfInt8HasTheBytesOfItsUpdateAndSeed) {
  const auto update = some_update(7);
  ASSERT_TRUE(encode(update, spec_of("int8"), 20));
  const auto first = bytes();
  ASSERT_TRUE(encode(update, spec_of("int8"), 20));
  EXPECT_EQ(bytes(), first);
  ASSERT_TRUE(encode(update, spec_of("int8"), 21));
  EXPECT_NE(bytes(), first);
}

TEST_F(UpdateFileTest, OfTopKHoldsTheLargestValuesAndLeavesTheOthersForLater) {
  const auto update = some_update(8);
  const auto spec = spec_of("topk", 0.01);
  const auto sent = through(update, spec);
  const auto left = residual();
  float smallest_sent = std::numeric_limits<float>::infinity();
  float largest_left = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < update.size(); ++i) {
    EXPECT_EQ(sent[i] + left[i], update[i]) << i << ": sent or left, and never in parts";
    if (sent[i] != 0) {
      ++count;
      smallest_sent = std::min(smallest_sent, std::abs(sent[i]));
    } else {
      largest_left = std::max(largest_left, std::abs(left[i]));
    }
  }
  EXPECT_EQ(count, values_sent(spec, update.size()));
  EXPECT_GE(smallest_sent, largest_left);
}

// Everything is sent in the end: what was sent and what is left are all updates together.
TEST_F(UpdateFileTest, OfTopKAddsUpToAllUpdatesOverManyRounds) {
  constexpr unsigned kRounds = 60;
  const auto spec = spec_of("topk", 0.05);
  std::vector<double> made(kModel.elements());
  std::vector<double> sent(kModel.elements());
  std::vector<bool> was_sent(kModel.elements());
  for (unsigned round = 0; round < kRounds; ++round) {
    const auto update = some_update(100 + round);
    const auto decoded = through(update, spec);
    for (std::size_t i = 0; i < update.size(); ++i) {
      made[i] += update[i];
      sent[i] += decoded[i];
      was_sent[i] = was_sent[i] || decoded[i] != 0;
    }
  }
  const auto left = residual();
  for (std::size_t i = 0; i < made.size(); ++i) {
    EXPECT_NEAR(sent[i] + left[i], made[i], 1e-6 * kRounds) << i;
  }
  EXPECT_GT(std::ranges::count(was_sent, true), 0.7 * kModel.elements())
      << "values that are never among the largest of one round are sent too";
}

TEST_F(UpdateFileTest, IsHeldAgainstTheBoundByItsDecodedValues) {
  const std::vector<float> update(kModel.elements(), 0.5F);
  const double norm = 0.5 * std::sqrt(update.size());
  for (const auto* name : {"float32", "f16", "bf16", "int8"}) {
    ASSERT_TRUE(encode(update, spec_of(name)));
    EXPECT_EQ(verdict(spec_of(name), norm * 1.0001), "accepted") << name;
    EXPECT_THAT(verdict(spec_of(name), norm * 0.9999), HasSubstr("norm_too_large")) << name;
  }
}

TEST_F(UpdateFileTest, OfAnotherEncodingIsRefused) {
  for (const auto& made : encoding_names()) {
    ASSERT_TRUE(encode(some_update(9), spec_of(made)));
    for (const auto& asked : encoding_names()) {
      if (made != asked) {
        EXPECT_THAT(verdict(spec_of(asked)),
                    testing::AnyOf(HasSubstr("layout_mismatch"), HasSubstr("only F32")))
            << made << " for " << asked;
      }
    }
  }
  ASSERT_TRUE(encode(some_update(9), spec_of("topk", 0.1)));
  EXPECT_THAT(verdict(spec_of("topk", 0.2)), HasSubstr("layout_mismatch"))
      << "fewer than asked for";
}

TEST_F(UpdateFileTest, WithScalesThatAreNoneIsRefused) {
  const auto layout = encoded_layout(kModel, spec_of("int8"));
  encoded_ = folder_ / "hostile";
  for (const float scale :
       {-1.0F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<std::byte> data(layout.bytes(), std::byte{1});
    std::memcpy(data.data() + 4 * sizeof(float), &scale, sizeof(scale));
    write(encoded_, layout, data);
    EXPECT_THAT(verdict(spec_of("int8")), HasSubstr("tensors_invalid: the update has a scale of"));
  }
  std::vector<std::byte> data(layout.bytes(), std::byte{0x7f});
  const float scale = 3e38F;
  for (std::size_t i = 0; i < 7; ++i) {
    std::memcpy(data.data() + i * sizeof(float), &scale, sizeof(scale));
  }
  write(encoded_, layout, data);
  EXPECT_THAT(verdict(spec_of("int8")), HasSubstr("not_finite: tensor \"conv.weight\""));
}

TEST_F(UpdateFileTest, WithValuesThatAreNotFiniteIsRefused) {
  encoded_ = folder_ / "hostile";
  const auto halves = encoded_layout(kModel, spec_of("f16"));
  std::vector<std::uint16_t> data(kModel.elements());
  data.back() = 0x7c01;
  write(encoded_, halves, std::as_bytes(std::span(data)));
  EXPECT_THAT(verdict(spec_of("f16")), HasSubstr("not_finite: tensor \"fc.bias\""));
  data.back() = 0x7f80;
  write(encoded_, encoded_layout(kModel, spec_of("bf16")), std::as_bytes(std::span(data)));
  EXPECT_THAT(verdict(spec_of("bf16")), HasSubstr("not_finite: tensor \"fc.bias\""));
}

TEST_F(UpdateFileTest, WithPlacesOutOfOrderOrRangeIsRefused) {
  const auto spec = spec_of("topk", 4.0 / 7971);
  const auto layout = encoded_layout(kModel, spec);
  ASSERT_EQ(layout.bytes(), 4 * 8U);
  encoded_ = folder_ / "hostile";
  const auto verdict_of = [&](std::array<std::int32_t, 4> places, float last = 1) {
    const std::array<float, 4> values{1, 1, 1, last};
    std::vector<std::byte> data(layout.bytes());
    std::memcpy(data.data(), places.data(), sizeof(places));
    std::memcpy(data.data() + sizeof(places), values.data(), sizeof(values));
    write(encoded_, layout, data);
    return verdict(spec);
  };
  EXPECT_EQ(verdict_of({0, 1, 2, 7970}), "accepted");
  for (const auto& places : std::vector<std::array<std::int32_t, 4>>{
           {0, 1, 1, 2},
           {2, 1, 3, 4},
           {-1, 1, 2, 3},
           {0, 1, 2, 7971},
           {0, 1, 2, std::numeric_limits<std::int32_t>::max()},
           {std::numeric_limits<std::int32_t>::min(), 1, 2, 3}}) {
    EXPECT_THAT(verdict_of(places), HasSubstr("tensors_invalid: the update names the place"));
  }
  EXPECT_THAT(verdict_of({0, 1, 2, 3}, std::numeric_limits<float>::quiet_NaN()),
              HasSubstr("not_finite"));
}

// One byte in five of a sound file, in turn: refused, or read within its bounds; never anything
// else.
TEST_F(UpdateFileTest, WithAnyByteChangedIsRefusedOrRead) {
  for (const auto* name : {"f16", "int8", "topk"}) {
    const auto spec =
        spec_of(name, std::string(name) == "topk" ? std::optional(0.001) : std::nullopt);
    has_residual_ = false;
    ASSERT_TRUE(encode(some_update(10), spec));
    const auto sound = bytes();
    const std::size_t header = 8 + static_cast<unsigned char>(sound[0]) +
                               256 * static_cast<std::size_t>(static_cast<unsigned char>(sound[1]));
    for (std::size_t i = 0; i < std::min(sound.size(), header + 64); i += 5) {
      auto changed = sound;
      changed[i] = static_cast<char>(changed[i] ^ 0x55);
      std::ofstream(encoded_, std::ios::binary) << changed;
      (void)verdict(spec);
    }
    for (std::size_t length = 0; length < sound.size(); length += 499) {
      std::ofstream(encoded_, std::ios::binary) << sound.substr(0, length);
      EXPECT_NE(verdict(spec), "accepted") << name << " of " << length << " bytes";
    }
  }
}

}  // namespace
}  // namespace entente
