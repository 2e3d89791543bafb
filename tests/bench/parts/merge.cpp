// Merging ten updates of 100 MB from mapped files in the page cache with all processors, beside
// reading the same pages in the same ranges. Each turn maps the files anew, as a merge does.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "broker/merge/merge_task.h"
#include "broker/merge/strategy.h"
#include "broker/merge/threaded_sweep.h"
#include "common/tensors/safetensors.h"
#include "tests/bench/parts/scene.h"

namespace entente::bench {
namespace {

using broker::Range;

constexpr std::size_t kSites = 10;
constexpr std::int64_t kElements = 25'000'000;
constexpr std::size_t kWriteValues = 1 << 18;

std::size_t processors() { return std::max(1U, std::thread::hardware_concurrency()); }

// The updates of ten sites as files; made once, and gone when the measurements end.
class UpdateFiles {
 public:
  static const UpdateFiles& get() {
    static const UpdateFiles files;
    return files;
  }

  [[nodiscard]] const TensorLayout& layout() const { return layout_; }
  [[nodiscard]] std::filesystem::path file(std::size_t site) const {
    return folder_.path() / std::to_string(site);
  }
  [[nodiscard]] std::filesystem::path output() const { return folder_.path() / "output"; }

 private:
  UpdateFiles() {
    for (std::size_t site = 0; site < kSites; ++site) {
      write(site);
    }
  }

  void write(std::size_t site) const {
    std::uint32_t random = static_cast<std::uint32_t>(site);
    std::vector<float> values(kWriteValues);
    TensorFileWriter writer(file(site), layout_, {{"format", "pt"}});
    for (std::int64_t left = kElements; left > 0;) {
      const auto count = std::min<std::int64_t>(left, kWriteValues);
      for (float& value : values) {
        random = random * 1664525 + 1013904223;  // Numerical Recipes, section 7.1
        value = static_cast<float>(static_cast<std::int32_t>(random)) * 0x1p-40F;
      }
      writer.append(std::span(values).first(static_cast<std::size_t>(count)));
      left -= count;
    }
    writer.close();
  }

  Folder folder_;
  TensorLayout layout_{{{"w", {kElements}}}};
};

// The files mapped, for one turn.
class MappedUpdates {
 public:
  explicit MappedUpdates(const UpdateFiles& updates) {
    for (std::size_t site = 0; site < kSites; ++site) {
      files_.push_back(TensorFile::open(updates.file(site)).value());
      values_.emplace_back(files_.back().flat(updates.layout()).value());
    }
    for (const auto& values : values_) {
      cohort_.updates.push_back(&values);
      cohort_.weights.push_back(1 + static_cast<double>(cohort_.weights.size()));
      cohort_.losses.push_back(1);
    }
  }

  [[nodiscard]] const broker::Cohort& cohort() const { return cohort_; }

 private:
  std::vector<TensorFile> files_;
  std::vector<broker::FlatValues> values_;
  broker::Cohort cohort_;
};

void count_read(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<std::int64_t>(kSites * sizeof(float)) * kElements *
                          state.iterations());
}

// All values as bits, in four sums that do not wait for each other.
std::uint64_t sum_of_bits(const float* values, std::size_t count) {
  const auto word = [values](std::size_t at) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, values + at, sizeof(bits));
    return bits;
  };
  std::uint64_t sum0 = 0;
  std::uint64_t sum1 = 0;
  std::uint64_t sum2 = 0;
  std::uint64_t sum3 = 0;
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    sum0 += word(i);
    sum1 += word(i + 2);
    sum2 += word(i + 4);
    sum3 += word(i + 6);
  }
  return sum0 + sum1 + sum2 + sum3;
}

void mapped_read(benchmark::State& state) {
  const auto& files = UpdateFiles::get();
  for (auto _ : state) {
    const MappedUpdates updates(files);
    broker::ThreadedSweep sweep(processors());
    sweep.each(kElements, [&](Range range) {
      broker::for_each_block(updates.cohort().updates, range,
                             [](broker::Rows rows, std::size_t, std::size_t count) {
                               for (const float* const row : rows) {
                                 benchmark::DoNotOptimize(sum_of_bits(row, count));
                               }
                             });
    });
  }
  count_read(state);
}
BENCHMARK(mapped_read)->Name("machine/mapped_read")->MeasureProcessCPUTime()->UseRealTime();

StrategySpec strategy(const std::string& kind) {
  StrategySpec spec;
  spec.kind = kind;
  if (kind.find("krum") != std::string::npos || kind == "bulyan") {
    spec.parameters = {{"byzantine", 1}};
  }
  return spec;
}

// The rule alone: the merged update stays in memory.
void aggregate(benchmark::State& state, const std::string& kind) {
  const auto& files = UpdateFiles::get();
  std::vector<float> output(kElements);
  for (auto _ : state) {
    const MappedUpdates updates(files);
    broker::ThreadedSweep sweep(processors());
    const auto rule = broker::prepare_rule(strategy(kind), updates.cohort(), sweep).value();
    sweep.each(kElements, [&](Range range) {
      std::array<double, broker::kBlockValues> merged;
      broker::for_each_block(
          rule.updates, range, [&](broker::Rows rows, std::size_t start, std::size_t count) {
            rule.merge(rows, std::span(merged).first(count));
            std::transform(merged.begin(), merged.begin() + count, output.begin() + start,
                           [](double value) { return static_cast<float>(value); });
          });
    });
    benchmark::DoNotOptimize(output.data());
  }
  count_read(state);
}
BENCHMARK_CAPTURE(aggregate, mean, "fedavg")
    ->Name("ours/aggregate/fedavg")
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK_CAPTURE(aggregate, median, "median")
    ->Name("ours/aggregate/median")
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK_CAPTURE(aggregate, trimmed, "trimmed_mean")
    ->Name("ours/aggregate/trimmed_mean")
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK_CAPTURE(aggregate, krum, "krum")
    ->Name("ours/aggregate/krum")
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK_CAPTURE(aggregate, bulyan, "bulyan")
    ->Name("ours/aggregate/bulyan")
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// From files to file, as at the end of a round: also reads the last model and writes the next.
void merge_files(benchmark::State& state) {
  const auto& files = UpdateFiles::get();
  broker::MergeRequest request;
  request.strategy.kind = "fedavg";
  request.model = files.file(0);
  request.layout = request.update_layout = files.layout();
  request.output = files.output();
  request.threads = processors();
  for (std::size_t site = 0; site < kSites; ++site) {
    request.updates.push_back(
        {SiteId::literal("site-" + std::to_string(site)), files.file(site), 1});
  }
  for (auto _ : state) {
    if (!broker::merge(request)) {
      state.SkipWithError("the merge was refused");
      break;
    }
  }
  count_read(state);
}
BENCHMARK(merge_files)->Name("ours/merge_files")->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace entente::bench
