#include "common/tensors/pruning.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

namespace entente {
namespace {

constexpr std::size_t kBlockValues = 1 << 16;
constexpr std::size_t kBuckets = 1 << 16;

bool holds_weights(const TensorInfo& tensor) { return tensor.shape.size() >= 2; }

// As an integer that orders like the magnitude.
std::uint32_t magnitude(float value) { return std::bit_cast<std::uint32_t>(value) & 0x7fff'ffffU; }

// Calls `use` with one block of values after the other; the bytes of a file may be unaligned.
void for_each_block(std::span<const std::byte> bytes,
                    const std::function<void(std::span<float>)>& use) {
  std::vector<float> block(kBlockValues);
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), block.size() * sizeof(float)));
    std::memcpy(block.data(), part.data(), part.size());
    use(std::span(block).first(part.size() / sizeof(float)));
    bytes = bytes.subspan(part.size());
  }
}

void for_each_weight(const TensorFile& file, const std::function<void(std::uint32_t)>& use) {
  const auto& tensors = file.layout().tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (holds_weights(tensors[i])) {
      for_each_block(file.data(i), [&](std::span<float> values) {
        for (const float value : values) {
          use(magnitude(value));
        }
      });
    }
  }
}

// Where the smallest end: all magnitudes below `threshold`, and so many that equal it.
struct Cut {
  std::uint32_t threshold = 0;
  std::uint64_t equal = 0;
};

// The bucket in which the `rank`-th value lies, counted from 0; `rank` is then within it.
std::uint32_t bucket_of(const std::vector<std::uint64_t>& buckets, std::uint64_t& rank) {
  std::uint32_t bucket = 0;
  while (rank >= buckets[bucket]) {
    rank -= buckets[bucket++];
  }
  return bucket;
}

// Two passes over the file, by the upper and then the lower half of the magnitude's bits, find the
// `count` smallest, which are at least one, without sorting.
Cut find_cut(const TensorFile& file, std::uint64_t count) {
  auto rank = count - 1;
  std::vector<std::uint64_t> buckets(kBuckets);
  for_each_weight(file, [&](std::uint32_t bits) { ++buckets[bits >> 16]; });
  const auto upper = bucket_of(buckets, rank);
  buckets.assign(kBuckets, 0);
  for_each_weight(
      file, [&](std::uint32_t bits) { buckets[bits & 0xffffU] += bits >> 16 == upper ? 1 : 0; });
  const auto lower = bucket_of(buckets, rank);
  return {upper << 16 | lower, rank + 1};
}

}  // namespace

Expected<Pruned> prune_tensors(const TensorFile& from, double sparsity,
                               const std::filesystem::path& to) {
  // Written so that a NaN fails.
  if (!(sparsity >= 0 && sparsity < 1)) {
    return refuse("sparsity_invalid",
                  fmt::format("a sparsity of {} is not at least 0 and below 1", sparsity),
                  "0.8 sets four of five weights to zero");
  }
  const auto& tensors = from.layout().tensors;
  Pruned pruned;
  for (const auto& tensor : tensors) {
    pruned.weights += holds_weights(tensor) ? tensor.elements() : 0;
  }
  if (pruned.weights == 0) {
    return refuse("nothing_to_prune", "the file has no tensor of two or more dimensions",
                  "name a model file, for example one that entente model pull has written");
  }
  const auto count =
      static_cast<std::uint64_t>(std::floor(sparsity * static_cast<double>(pruned.weights)));
  auto cut = count == 0 ? Cut{} : find_cut(from, count);
  TensorFileWriter writer(to, from.layout(), from.metadata());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const bool is_pruned = holds_weights(tensors[i]);
    for_each_block(from.data(i), [&](std::span<float> values) {
      for (float& value : values) {
        if (!is_pruned) {
          continue;
        }
        const auto bits = magnitude(value);
        if (bits < cut.threshold || (bits == cut.threshold && cut.equal > 0)) {
          cut.equal -= bits == cut.threshold ? 1 : 0;
          value = 0;
        }
        pruned.zeros += value == 0 ? 1 : 0;
      }
      writer.append(std::span<const float>(values));
    });
  }
  writer.close();
  return pruned;
}

}  // namespace entente
