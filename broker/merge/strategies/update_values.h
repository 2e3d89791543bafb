// The values of one update as a strategy reads them: block by block and always as float32, however
// the update is stored. A float32 file gives its own mapped pages; any other kind decodes a block
// into memory that the caller lends, so that nothing is ever inflated as a whole.
//
// Const and free of state: any number of threads may read the same update.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace entente::broker {

// Values that are worked on at a time. Part of what a merge means: partial sums end at its borders.
constexpr std::size_t kBlockValues = 2048;

class UpdateValues {
 public:
  virtual ~UpdateValues() = default;
  [[nodiscard]] virtual std::size_t size() const = 0;
  // The values [start, start + count), count <= kBlockValues: where they lie, or in `scratch`,
  // which has room for kBlockValues.
  [[nodiscard]] virtual const float* block(std::size_t start, std::size_t count,
                                           float* scratch) const = 0;
};

// Values that lie in memory, or in a mapped file, as they are.
class FlatValues final : public UpdateValues {
 public:
  explicit FlatValues(std::span<const float> values) : values_(values) {}
  [[nodiscard]] std::size_t size() const override { return values_.size(); }
  [[nodiscard]] const float* block(std::size_t start, std::size_t, float*) const override {
    return values_.data() + start;
  }

 private:
  std::span<const float> values_;
};

// The updates of a round by site id, all of the same size.
using Updates = std::span<const UpdateValues* const>;

// The same block of every update: row i is update i's.
using Rows = std::span<const float* const>;

// Reads one block of all updates after the other. One thread's own.
class RowReader {
 public:
  explicit RowReader(Updates updates)
      : updates_(updates),
        rows_(updates.size()),
        // Not initialised: pages that nobody decodes into are never touched.
        scratch_(new float[updates.size() * kBlockValues]) {}

  // Valid until the next call.
  [[nodiscard]] Rows read(std::size_t start, std::size_t count) {
    for (std::size_t i = 0; i < updates_.size(); ++i) {
      rows_[i] = updates_[i]->block(start, count, scratch_.get() + i * kBlockValues);
    }
    return rows_;
  }

 private:
  Updates updates_;
  std::vector<const float*> rows_;
  std::unique_ptr<float[]> scratch_;
};

}  // namespace entente::broker
