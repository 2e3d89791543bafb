// Every TOML example of the pages for institutions and coordinators is one that the programs take.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "broker/expressions/sqlite_evaluator.h"
#include "common/config/job_file.h"
#include "site-agent/service/agent_config.h"

namespace entente {
namespace {

using broker::Evaluator;

std::string page(const std::string& name) {
  std::ifstream file(std::string(ENTENTE_DOCS_FOLDER "/") + name);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> examples(const std::string& name) {
  const std::string text = page(name);
  constexpr std::string_view kOpen = "```toml\n";
  std::vector<std::string> blocks;
  for (auto at = text.find(kOpen); at != std::string::npos; at = text.find(kOpen, at)) {
    at += kOpen.size();
    blocks.push_back(text.substr(at, text.find("```", at) - at));
  }
  EXPECT_FALSE(blocks.empty()) << name;
  return blocks;
}

// Whether the example is all of a job file, and no part of one.
bool is_whole(const std::string& example) {
  return ("\n" + example).find("\nname = ") != std::string::npos;
}

Expected<JobSpec> job_with(const std::string& example) {
  if (is_whole(example)) {
    return parse_job_file(example, "example.toml", {});
  }
  return parse_job_file(
      "name = \"lung\"\nrounds = 3\n" + example +
          "\n[model]\ninput = [4]\nlayers = [{ type = \"linear\", out_features = 2 }]\n"
          "[train]\ndataset = \"lung-scans\"\n",
      "example.toml", {});
}

void expect_usable(const broker::SqliteEvaluator& evaluator, const std::string& expression,
                   Evaluator::Use use) {
  if (!expression.empty()) {
    const auto problem = evaluator.check(expression, use, "the example");
    EXPECT_FALSE(problem) << problem->message;
  }
}

TEST(JobFileExamples, ThatAreWholeAreTaken) {
  std::size_t whole = 0;
  for (const auto& example : examples("job-file.md")) {
    if (is_whole(example)) {
      const auto job = job_with(example);
      EXPECT_TRUE(job) << job.error().message << "\n" << example;
      ++whole;
    }
  }
  EXPECT_GE(whole, 3U);
}

class JobExamples : public testing::TestWithParam<const char*> {};

TEST_P(JobExamples, AreJobsWhoseExpressionsCanBeUsed) {
  const broker::SqliteEvaluator evaluator;
  for (const auto& example : examples(GetParam())) {
    const auto job = job_with(example);
    ASSERT_TRUE(job) << job.error().message << "\n" << example;
    expect_usable(evaluator, job->sites.require, Evaluator::Use::require);
    expect_usable(evaluator, job->sites.prefer, Evaluator::Use::prefer);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, JobExamples, testing::Values("for-coordinators.md", "expressions.md"),
                         [](const auto& instance) {
                           return std::string(instance.param).substr(0, 3);
                         });

TEST(InstitutionExamples, AreConfigurationsThatAllowWhatTheyShow) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "institution-examples";
  std::filesystem::create_directories(folder);
  for (const auto& example : examples("for-institutions.md")) {
    const auto file = folder / "agent.toml";
    std::ofstream(file) << "kit = \"kit\"\ndata_dir = \"data\"\n" << example;
    const auto config = agent::read_agent_config(file);
    ASSERT_TRUE(config) << config.error().message << "\n" << example;
    agent::OfferFacts facts{"alice", {"lung-scans"}, "train"};
    facts.layers = {"linear"};
    facts.parameters = 10;
    facts.update_bytes = 40;
    facts.cohort = 5;
    const auto refusal = decide(config->policy, facts);
    EXPECT_FALSE(refusal) << refusal->message << "\n" << example;
    facts.coordinator = "mallory";
    facts.cohort = 1;
    EXPECT_TRUE(decide(config->policy, facts)) << example;
  }
  std::filesystem::remove_all(folder);
}

TEST(DatasetExamples, AreConfigurations) {
  const auto file = std::filesystem::path(testing::TempDir()) / "dataset-example.toml";
  for (const auto& example : examples("datasets.md")) {
    std::ofstream(file) << "kit = \"kit\"\ndata_dir = \"data\"\n" << example;
    const auto config = agent::read_agent_config(file);
    ASSERT_TRUE(config) << config.error().message << "\n" << example;
    EXPECT_FALSE(config->datasets.empty()) << example;
  }
  std::filesystem::remove(file);
}

// The sentences that the page promises are those that the policy says.
TEST(CoordinatorPage, QuotesThePolicyWordForWord) {
  const std::string text = page("for-coordinators.md");
  agent::Policy policy{{"alice"}, {"*"}, {"*"}};
  agent::OfferFacts facts{"bob", {"lung-scans"}, "train"};
  facts.cohort = 2;
  const auto quotes = [&](const std::string& sentence) {
    EXPECT_NE(text.find("`" + sentence + "`"), std::string::npos) << sentence;
  };
  quotes(decide(policy, facts)->message);
  policy.coordinators = {"*"};
  policy.cohort_min = 5;
  quotes(decide(policy, facts)->message);
  quotes(agent::check_evaluation(policy, 7)->message);
  policy.rounds_per_day = 4;
  agent::Circumstances moment;
  moment.rounds_today = 4;
  moment.starts_round = true;
  quotes(must_wait(policy, "bob", moment)->sentence);
  policy.hours = agent::Hours::parse("22:00-06:00");
  moment.now = 12 * 3'600'000;
  quotes(must_wait(policy, "bob", moment)->sentence);
  policy.approve = agent::Approval::manual;
  quotes(must_wait(policy, "bob", moment)->sentence);
}

}  // namespace
}  // namespace entente
