#include "coordinator/matrix_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace entente::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Every site's model has the accuracy 0.9 at home, and elsewhere less the farther the site is.
JobView job_of(const std::vector<std::string>& sites) {
  JobView job;
  job.summary.id = JobId::literal("cross-1");
  job.summary.kind = JobKind::cross_evaluate;
  job.summary.state = JobState::completed;
  job.rounds.push_back({0, RoundState::done});
  for (std::size_t i = 0; i < sites.size(); ++i) {
    RoundView round{static_cast<Round>(i + 1), RoundState::done};
    round.model_of = sites[i];
    for (std::size_t j = 0; j < sites.size(); ++j) {
      const auto distance = static_cast<double>(i > j ? i - j : j - i);
      round.at_sites[SiteId::literal(sites[j])] = {
          {{"accuracy", 0.9 - 0.0625 * distance}, {"loss", distance}}, 100 * (j + 1)};
    }
    round.evaluate_metrics = {{"accuracy", 0.5}, {"loss", 1}};
    job.rounds.push_back(round);
  }
  job.rounds.push_back({static_cast<Round>(sites.size() + 1), RoundState::done});
  return job;
}

std::string text_of(const JobView& job, std::optional<std::size_t> width = std::nullopt,
                    const std::string& metric = {}) {
  const auto matrix = matrix_of(job, metric);
  return matrix ? matrix_text(job, *matrix, width) : matrix.error().message;
}

std::size_t longest_line(const std::string& text) {
  std::istringstream lines(text.substr(text.find("\n\n")));  // below the sentence at its head
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) {
    longest = std::max(longest, line.size());
  }
  return longest;
}

std::vector<std::string> many_sites(std::size_t count) {
  std::vector<std::string> sites;
  for (std::size_t i = 0; i < count; ++i) {
    sites.push_back("clinic-" + std::string(1, static_cast<char>('a' + i)));
  }
  return sites;
}

TEST(Matrix, HasARowForEachModelAndAColumnForEachSite) {
  EXPECT_EQ(text_of(job_of({"east", "north", "south"}), 80),
            "cross-1: accuracy of each site's model (rows) on each site's data (columns)\n"
            "\n"
            "MODEL OF    east   north   south     all\n"
            "east      0.9000  0.8375  0.7750  0.5000\n"
            "north     0.8375  0.9000  0.8375  0.5000\n"
            "south     0.7750  0.8375  0.9000  0.5000\n"
            "examples     100     200     300     600\n");
}

TEST(Matrix, ShowsWhatIsMissingAsSuch) {
  auto job = job_of({"east", "north", "south"});
  job.rounds[1].at_sites.erase(SiteId::literal("north"));
  job.rounds[3].model_of.clear();
  job.rounds[3].at_sites.clear();
  const auto text = text_of(job, 80);
  EXPECT_THAT(text, HasSubstr("\neast      0.9000       -  0.7750  0.5000\n"));
  EXPECT_THAT(text, HasSubstr("\nsouth          -       -       -       -\n"))
      << "it sent no model";
  EXPECT_THAT(text, HasSubstr("Why a cell is empty is in: entente job logs cross-1"));
  EXPECT_THAT(text_of(job_of({"east"})), Not(HasSubstr("empty")));
}

TEST(Matrix, OfTwelveSitesFitsIntoEightyColumns) {
  const auto text = text_of(job_of(many_sites(12)), 80);
  EXPECT_LE(longest_line(text), 80U) << text;
  EXPECT_THAT(
      text,
      HasSubstr("MODEL OF       1    2    3    4    5    6    7    8    9   10   11   12 all\n"));
  EXPECT_THAT(text, HasSubstr("\n 1 clinic-a   .9 .838 .775 .713  .65 .588"));
}

TEST(Matrix, PartsWaysWhereEvenNumbersDoNotFit) {
  const auto text = text_of(job_of(many_sites(20)), 60);
  EXPECT_LE(longest_line(text), 60U) << text;
  EXPECT_THAT(text, HasSubstr("\n\nMODEL OF")) << "a second block";
}

TEST(Matrix, IsWholeWhereNobodySaysHowWideALineMayBe) {
  EXPECT_THAT(text_of(job_of(many_sites(20))), HasSubstr("clinic-s  clinic-t"));
}

TEST(Matrix, ShowsTheMetricThatIsAskedFor) {
  EXPECT_THAT(text_of(job_of({"east", "north"}), 80, "loss"),
              HasSubstr("east      0.0000  1.0000  1.0000"));
  EXPECT_THAT(text_of(job_of({"east"}), 80, "acuracy"),
              HasSubstr("no cell of cross-1 has a metric \"acuracy\"; did you mean \"accuracy\"?"));
}

TEST(Matrix, OfAnotherKindOfJobThereIsNone) {
  auto job = job_of({"east"});
  job.summary.kind = JobKind::train;
  EXPECT_EQ(matrix_of(job, "").error().message,
            "cross-1 is a job of the kind \"train\", which has no matrix");
}

TEST(Matrix, OfAJobThatHasJudgedNothingYetIsNotThereYet) {
  auto job = job_of({});
  job.summary.state = JobState::running;
  const auto refusal = matrix_of(job, "").error();
  EXPECT_EQ(refusal.message, "cross-1 has no cell of its matrix yet");
  EXPECT_EQ(refusal.hint, "follow it with: entente job watch cross-1");
}

TEST(Matrix, IsTwoListsInTheSameOrderAsJson) {
  auto job = job_of({"east", "north"});
  job.rounds[1].at_sites.erase(SiteId::literal("north"));
  const auto json = matrix_json(job, *matrix_of(job, ""));
  EXPECT_EQ(json["metric"], "accuracy");
  EXPECT_EQ(json["metrics"], nlohmann::json({"accuracy", "loss"}));
  EXPECT_EQ(json["sites"], nlohmann::json({"east", "north"}));
  EXPECT_EQ(json["matrix"][0][0], 0.9);
  EXPECT_EQ(json["matrix"][0][1], nullptr);
  EXPECT_EQ(json["all"][1], 0.5);
  EXPECT_EQ(json["models"][1]["site"], "north");
  EXPECT_EQ(json["models"][1]["version"], 2);
  EXPECT_EQ(json["models"][1]["at_sites"]["east"]["examples"], 100);
}

}  // namespace
}  // namespace entente::cli
