// The server's step, q-FedAvg and norm clipping against numbers worked out by hand.
#include "broker/merge/strategies/server_optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "broker/merge/strategies/norm_clipping.h"
#include "broker/merge/strategies/q_fedavg.h"
#include "broker/merge/strategy.h"
#include "broker/merge/threaded_sweep.h"
#include "tests/unit/merge/cohorts.h"

namespace entente::broker {
namespace {

// One coordinate through several rounds.
struct Server {
  ServerOptimizer optimizer;
  std::vector<float> model{1};
  std::vector<float> momentum{};
  std::vector<float> variance{};

  explicit Server(const StrategySpec& spec) : optimizer(server_optimizer(spec)) {
    if (optimizer.state_vectors() > 0) {
      momentum = {0};
    }
    if (optimizer.state_vectors() > 1) {
      variance = {static_cast<float>(optimizer.tau * optimizer.tau)};
    }
  }
  float step(double merged) {
    server_step(optimizer, std::vector<double>{merged}, model, momentum, variance);
    return model[0];
  }
};

TEST(ServerOptimizer, OfFedAvgAddsTheMergedUpdate) {
  Server server(strategy("fedavg"));
  EXPECT_EQ(server.step(0.5), 1.5F);
  EXPECT_EQ(server.optimizer.state_vectors(), 0U);
}

TEST(ServerOptimizer, OfFedAvgMGathersMomentum) {
  Server server(strategy("fedavgm", {{"beta1", 0.5}, {"server_lr", 0.25}}));
  // m = 1, then 0.5 + 1 = 1.5: x = 1 + 0.25, then + 0.375.
  EXPECT_EQ(server.step(1), 1.25F);
  EXPECT_EQ(server.step(1), 1.625F);
}

TEST(ServerOptimizer, OfFedAdamIsReddisWithoutBiasCorrection) {
  Server server(
      strategy("fedadam", {{"beta1", 0.5}, {"beta2", 0.75}, {"tau", 0.5}, {"server_lr", 0.5}}));
  // m = 0.5 * 2 = 1; v = 0.75 * 0.25 + 0.25 * 4 = 1.1875; x = 1 + 0.5 / (sqrt(1.1875) + 0.5).
  EXPECT_FLOAT_EQ(server.step(2), static_cast<float>(1 + 0.5 / (std::sqrt(1.1875) + 0.5)));
  EXPECT_FLOAT_EQ(server.momentum[0], 1.0F);
  EXPECT_FLOAT_EQ(server.variance[0], 1.1875F);
}

TEST(ServerOptimizer, OfFedAdagradOnlyEverSlowsDown) {
  Server server(strategy("fedadagrad", {{"beta1", 0}, {"tau", 0.5}, {"server_lr", 1}}));
  // v = 0.25 + 4 = 4.25, then 8.25.
  server.step(2);
  EXPECT_FLOAT_EQ(server.variance[0], 4.25F);
  const float before = server.model[0];
  EXPECT_FLOAT_EQ(server.step(2), static_cast<float>(double{before} + 2 / (std::sqrt(8.25) + 0.5)));
}

TEST(ServerOptimizer, OfFedYogiMovesItsVarianceByTheSquareWhateverItWas) {
  Server server(strategy("fedyogi", {{"beta1", 0}, {"beta2", 0.75}, {"tau", 2}, {"server_lr", 1}}));
  // v = 4 - 0.25 * 1 (4 > 1), then 3.75 + 0.25 * 16 (3.75 < 16).
  server.step(1);
  EXPECT_FLOAT_EQ(server.variance[0], 3.75F);
  server.step(-4);
  EXPECT_FLOAT_EQ(server.variance[0], 7.75F);
}

TEST(ServerOptimizer, HasTheDefaultsOfThePaper) {
  const auto adam = server_optimizer(strategy("fedadam"));
  EXPECT_EQ(adam.lr, 0.1);
  EXPECT_EQ(adam.beta1, 0.9);
  EXPECT_EQ(adam.beta2, 0.99);
  EXPECT_EQ(adam.tau, 1e-3);
  EXPECT_EQ(server_optimizer(strategy("fedyogi")).lr, 0.01);
}

TEST(QFedAvg, WeighsByLossAndDividesByTheEstimateOfTheStep) {
  // q = 1, L = 2; losses 1 and 3, |x|^2 = 4 and 1:
  // weights 2 and 6; divisor (4 * 4 + 2) + (4 * 1 + 6) = 28.
  const auto combined =
      q_fedavg(std::vector<double>{1, 3}, std::vector<double>{4, 1}, {.q = 1, .lr = 0.5});
  EXPECT_NEAR(combined.weights[0], 2, 1e-8);
  EXPECT_NEAR(combined.weights[1], 6, 1e-8);
  EXPECT_NEAR(combined.divisor, 28, 1e-8);
}

TEST(QFedAvg, WithQ0IsThePlainMean) {
  const TestCohort cohort{{{1, 2}, {3, 6}}, {1, 1}};
  const auto mean = merged(strategy("qfedavg", {{"q", 0}}), cohort);
  EXPECT_NEAR(mean[0], 2, 1e-12);
  EXPECT_NEAR(mean[1], 4, 1e-12);
}

TEST(NormClipping, ShortensOnlyWhatIsTooLong) {
  const Vector unit{0.6F, 0.8F};
  const Vector five{3, 4};
  const FlatValues a(unit);
  const FlatValues b(five);
  ThreadedSweep sweep(1);
  const auto factors = clipping_factors(std::vector<const UpdateValues*>{&a, &b}, 2.5, sweep);
  EXPECT_EQ(factors, (std::vector<double>{1, 0.5}));
  Vector scratch(kBlockValues);
  const float* const clipped = ScaledValues(b, factors[1]).block(0, 2, scratch.data());
  EXPECT_EQ(clipped[0], 1.5F);
  EXPECT_EQ(clipped[1], 2.0F);
  EXPECT_EQ(ScaledValues(a, 1).block(0, 2, scratch.data()), unit.data());
}

}  // namespace
}  // namespace entente::broker
