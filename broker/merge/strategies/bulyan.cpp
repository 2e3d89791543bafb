#include "broker/merge/strategies/bulyan.h"

#include <algorithm>
#include <numeric>

#include "broker/merge/strategies/krum.h"
#include "common/base/check.h"

namespace entente::broker {
namespace {

// The mean of the `keep` values nearest to the median of `sorted`: neighbours of each other, so a
// window that moves up while that brings it nearer.
double mean_around_median(std::span<const float> sorted, std::size_t keep) {
  const std::size_t n = sorted.size();
  const double median = (double{sorted[(n - 1) / 2]} + double{sorted[n / 2]}) / 2;
  std::size_t first = 0;
  while (first + keep < n &&
         double{sorted[first + keep]} - median < median - double{sorted[first]}) {
    ++first;
  }
  double sum = 0;
  for (const float value : sorted.subspan(first, keep)) {
    sum += double{value};
  }
  return sum / static_cast<double>(keep);
}

}  // namespace

std::vector<std::size_t> bulyan_picks(const PairDistances& distances, std::size_t byzantine) {
  ENTENTE_CHECK(distances.size() >= 4 * byzantine + 3);
  std::vector<std::size_t> left(distances.size());
  std::iota(left.begin(), left.end(), 0);
  std::vector<std::size_t> picks;
  while (picks.size() < distances.size() - 2 * byzantine) {
    const auto scores = krum_scores(distances, left, byzantine);
    const auto best = std::min_element(scores.begin(), scores.end()) - scores.begin();
    picks.push_back(left[static_cast<std::size_t>(best)]);
    left.erase(left.begin() + best);
  }
  std::sort(picks.begin(), picks.end());
  return picks;
}

void bulyan(Rows rows, std::size_t byzantine, std::span<double> merged) {
  ENTENTE_CHECK(rows.size() > 2 * byzantine);
  std::vector<float> column(rows.size());
  for (std::size_t i = 0; i < merged.size(); ++i) {
    for (std::size_t row = 0; row < rows.size(); ++row) {
      column[row] = rows[row][i];
    }
    std::sort(column.begin(), column.end());
    merged[i] = mean_around_median(column, rows.size() - 2 * byzantine);
  }
}

}  // namespace entente::broker
