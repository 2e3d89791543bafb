#include "broker/merge/strategies/krum.h"

#include <algorithm>
#include <numeric>

#include "common/base/check.h"

namespace entente::broker {

std::vector<double> krum_scores(const PairDistances& distances,
                                const std::vector<std::size_t>& among, std::size_t byzantine) {
  const std::size_t n = among.size();
  // Bulyan's last picks are among so few that none of them has a neighbour to be judged by.
  const std::size_t neighbours = n > byzantine + 2 ? n - byzantine - 2 : 0;
  std::vector<double> scores;
  std::vector<double> squares;
  for (const std::size_t i : among) {
    squares.clear();
    for (const std::size_t j : among) {
      if (j != i) {
        squares.push_back(distances.squared(i, j));
      }
    }
    // Added up in ascending order: the score does not depend on the order of the sites.
    const auto end = squares.begin() + static_cast<std::ptrdiff_t>(neighbours);
    std::partial_sort(squares.begin(), end, squares.end());
    scores.push_back(std::accumulate(squares.begin(), end, 0.0));
  }
  return scores;
}

std::vector<std::size_t> multi_krum(const PairDistances& distances, std::size_t byzantine,
                                    std::size_t picks) {
  ENTENTE_CHECK(distances.size() >= 2 * byzantine + 3);
  ENTENTE_CHECK(picks >= 1 && picks <= distances.size());
  std::vector<std::size_t> sites(distances.size());
  std::iota(sites.begin(), sites.end(), 0);
  const auto scores = krum_scores(distances, sites, byzantine);
  std::stable_sort(sites.begin(), sites.end(),
                   [&scores](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  sites.resize(picks);
  std::sort(sites.begin(), sites.end());
  return sites;
}

}  // namespace entente::broker
