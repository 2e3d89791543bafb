#include "common/tensors/top_values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace entente {
namespace {

std::vector<std::size_t> top_of(const std::vector<float>& values, std::uint64_t count) {
  TopValues top(values.size(), count,
                [&](std::size_t start, std::span<float>) { return values.data() + start; });
  std::vector<std::size_t> taken;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (top.takes(values[i])) {
      taken.push_back(i);
    }
  }
  return taken;
}

std::vector<std::size_t> sorted_top_of(const std::vector<float>& values, std::uint64_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return std::abs(values[a]) > std::abs(values[b]);
  });
  order.resize(count);
  std::ranges::sort(order);
  return order;
}

TEST(TopValues, AreTheLargestWithoutTheirSign) {
  EXPECT_EQ(top_of({1, -5, 3, 0, 4}, 2), (std::vector<std::size_t>{1, 4}));
}

TEST(TopValues, OfEqualOnesTakesTheFirst) {
  EXPECT_EQ(top_of({2, -2, 7, 2, -2}, 3), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(top_of({0, -0.0F, 0}, 2), (std::vector<std::size_t>{0, 1}));
}

TEST(TopValues, AreThoseThatSortingFinds) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> few(-3, 3);
  for (const bool many_equal : {false, true}) {
    std::vector<float> values(5000);  // more than two blocks
    for (float& value : values) {
      value = many_equal ? static_cast<float>(few(random)) : std::exp(8 * normal(random));
    }
    for (const std::uint64_t count : {1, 2, 50, 2500, 4999, 5000}) {
      EXPECT_EQ(top_of(values, count), sorted_top_of(values, count)) << count;
    }
  }
}

}  // namespace
}  // namespace entente
