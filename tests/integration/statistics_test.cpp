// Jobs that count, between real processes: sites' statistics are those of one table, small cells
// stay where they are, a dead broker loses nothing, and training is normalised by the result.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kAllowed = "[\"train\", \"statistics\"]";

struct Patient {
  double age;
  std::optional<double> weight;
  std::string ward;
  std::string outcome;
};

// So many patients, other ones for each seed. One of them is in a ward of which nobody may hear.
std::vector<Patient> patients(unsigned seed, std::size_t count) {
  std::vector<Patient> table;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 1103515245U + 12345U;
    const double age = 20 + seed / 65536U % 600U / 10.0;
    seed = seed * 1103515245U + 12345U;
    const double weight = 45 + seed / 65536U % 700U / 8.0;
    table.push_back({age, i % 9 == 4 ? std::nullopt : std::optional(weight),
                     i == 3       ? "leprosy"
                     : i % 3 == 0 ? "surgery"
                                  : "medicine",
                     age > 50 ? "ill" : "well"});
  }
  return table;
}

std::string csv(const std::vector<Patient>& table) {
  std::string text = "age,weight,ward,outcome\n";
  for (const auto& patient : table) {
    text += fmt::format("{},{},{},{}\n", patient.age,
                        patient.weight ? fmt::format("{}", *patient.weight) : "NA", patient.ward,
                        patient.outcome);
  }
  return text;
}

struct Moments {
  double count = 0;
  double mean = 0;
  double deviation = 0;
};

Moments moments(const std::vector<double>& values) {
  Moments found;
  found.count = static_cast<double>(values.size());
  for (const double value : values) {
    found.mean += value / found.count;
  }
  for (const double value : values) {
    found.deviation += (value - found.mean) * (value - found.mean) / found.count;
  }
  found.deviation = std::sqrt(found.deviation);
  return found;
}

class StatisticsJob : public testing::Test {
 protected:
  void add_site(const std::string& site, const std::vector<Patient>& table,
                const std::string& kinds = kAllowed) {
    const auto file = consortium_.folder() / (site + ".csv");
    write_text(file, csv(table));
    SiteSetup setup;
    setup.more_datasets = fmt::format(
        "[[datasets]]\nname = \"patients\"\nkind = \"csv\"\nfile = \"{}\"\n"
        "features = [\"age\", \"weight\", \"ward\"]\nlabel = \"outcome\"\n"
        "class_names = [\"well\", \"ill\"]\nmissing = \"mean\"\nmissing_words = [\"NA\"]\n"
        "standardise = [\"*\"]\n[datasets.columns.ward]\ncategories = [\"medicine\", \"surgery\", "
        "\"leprosy\"]\n",
        file.string());
    setup.policy =
        fmt::format("coordinators = [\"alice\"]\ndatasets = [\"patients\"]\nkinds = {}\n", kinds);
    consortium_.add_site(site, setup);
    tables_[site] = table;
  }

  void add_three_sites() {
    add_site("east", patients(7, 60));
    add_site("north", patients(11, 90));
    add_site("south", patients(23, 8));
    consortium_.wait_for_sites(3);
  }

  std::string write_job(const std::string& name, const std::string& toml) {
    const auto file = consortium_.folder() / (name + ".toml");
    write_text(file, "name = \"" + name + "\"\n" + toml);
    return file.string();
  }

  std::string counting_job(int sites_min = 3) {
    return write_job("count", fmt::format("kind = \"statistics\"\n[sites]\nmin = {}\n[statistics]\n"
                                          "dataset = \"patients\"\nbins = 10\n",
                                          sites_min));
  }

  std::string training_job(const std::string& normalise) {
    return write_job("learn", fmt::format("rounds = 2\n[sites]\nmin = 3\n[model]\ninput = [5]\n"
                                          "layers = [{{ type = \"linear\", out_features = 2 }}]\n"
                                          "[train]\ndataset = \"patients\"\nbatch_size = 8\n"
                                          "normalise = \"{}\"\n",
                                          normalise));
  }

  std::string submit(const std::string& file) {
    return consortium_.ask({"job", "submit", file})["job"];
  }

  json completed(const std::string& job) {
    const auto ended = consortium_.wait_for_end(job);
    EXPECT_EQ(ended["state"], "completed") << ended.dump(2);
    return ended;
  }

  json columns_of(const std::string& job) {
    return consortium_.ask({"job", "statistics", job})["columns"];
  }

  // The values of those sites, in order.
  std::vector<double> ages(const std::vector<std::string>& sites) const {
    std::vector<double> values;
    for (const auto& site : sites) {
      for (const auto& patient : tables_.at(site)) {
        values.push_back(patient.age);
      }
    }
    std::sort(values.begin(), values.end());
    return values;
  }

  std::vector<double> weights(const std::vector<std::string>& sites) const {
    std::vector<double> values;
    for (const auto& site : sites) {
      for (const auto& patient : tables_.at(site)) {
        if (patient.weight) {
          values.push_back(*patient.weight);
        }
      }
    }
    return values;
  }

  Consortium consortium_;
  std::map<std::string, std::vector<Patient>> tables_;
};

void expect_moments(const json& column, const Moments& expected) {
  EXPECT_EQ(column["count"], expected.count);
  EXPECT_NEAR(column["mean"].get<double>(), expected.mean, 1e-9);
  EXPECT_NEAR(column["deviation"].get<double>(), expected.deviation, 1e-9);
}

TEST_F(StatisticsJob, OfThreeSitesIsThatOfOneTableWithoutTheSmallestSite) {
  add_three_sites();
  const auto job = submit(counting_job());
  const auto ended = completed(job);
  EXPECT_EQ(ended["kind"], "statistics");
  EXPECT_EQ(ended["rounds"], 2);
  const auto columns = columns_of(job);
  // South has 8 patients, fewer than any site tells about.
  const std::vector<std::string> told{"east", "north"};
  expect_moments(columns["age"], moments(ages(told)));
  expect_moments(columns["weight"], moments(weights(told)));
  EXPECT_EQ(columns["weight"]["missing"], 7 + 10);
  EXPECT_EQ(columns["age"]["sites"], 2);
  EXPECT_EQ(columns["age"]["sites_withheld"], 1);
  const auto all = ages(told);
  for (const auto& quantile : columns["age"]["quantiles"]) {
    const auto rank = static_cast<std::size_t>(
        std::ceil(quantile["share"].get<double>() * static_cast<double>(all.size())));
    EXPECT_GE(all[rank - 1], quantile["at_least"].get<double>() - 1e-9);
    EXPECT_LE(all[rank - 1], quantile["at_most"].get<double>() + 1e-9);
  }
  EXPECT_EQ(columns["age"]["quantiles"].size(), 3U);
  EXPECT_EQ(columns["outcome"]["role"], "label");
}

TEST_F(StatisticsJob, SmallCellsDoNotLeaveTheHouse) {
  add_three_sites();
  const auto job = submit(counting_job());
  (void)completed(job);
  // One patient of each site is in the ward "leprosy". Without its count that of "surgery", the
  // smaller of the others, would give it away.
  const auto ward = columns_of(job)["ward"];
  EXPECT_EQ(ward["cells"], json({{"medicine", 40 + 60}}));
  EXPECT_EQ(ward["cells_withheld"], 4);
  EXPECT_EQ(ward["rows_withheld"], 20 + 30);
  const auto sent = consortium_.at_site("north", {"sent", "--json"});
  EXPECT_THAT(sent.out, HasSubstr("cell/ward/medicine"));
  EXPECT_THAT(sent.out, Not(HasSubstr("leprosy")));
  const auto south = consortium_.at_site("south", {"sent", "--json"});
  EXPECT_THAT(south.out, HasSubstr("number/age"));
  EXPECT_THAT(south.out, Not(HasSubstr("cell/")));
  const auto table = consortium_.entente({"job", "statistics", job});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("withheld at 1 site"));
}

TEST_F(StatisticsJob, SurvivesABrokerThatIsKilledInEachRound) {
  add_three_sites();
  consortium_.hold("south", "statistics-1");
  consortium_.hold("north", "statistics-2");
  const auto job = submit(counting_job());
  const auto has_answers = [&](int north, int south) {
    return [this, job, north, south] {
      const auto shown = consortium_.ask({"job", "show", job});
      std::map<std::string, int> answers;
      for (const auto& site : shown["sites"]) {
        answers[site["site"]] = site["updates_accepted"];
      }
      return answers["north"] == north && answers["south"] == south;
    };
  };
  (void)consortium_.wait_until_held("south", "statistics-1");
  wait_until("north's first answer", has_answers(1, 0));
  consortium_.kill("broker");
  consortium_.start_broker();
  consortium_.release("south", "statistics-1");
  (void)consortium_.wait_until_held("north", "statistics-2");
  wait_until("south's second answer", has_answers(1, 2));
  consortium_.kill("broker");
  consortium_.start_broker();
  consortium_.release("north", "statistics-2");
  for (const auto& site : completed(job)["sites"]) {
    EXPECT_EQ(site["updates_accepted"], 2);
  }
  const auto undisturbed = submit(counting_job());
  (void)completed(undisturbed);
  EXPECT_EQ(columns_of(job), columns_of(undisturbed));
}

TEST_F(StatisticsJob, IsDeclinedByASiteThatDoesNotListIt) {
  add_site("north", patients(11, 90));
  add_site("south", patients(23, 40), "[\"train\"]");
  consortium_.wait_for_sites(2);
  const auto ended = consortium_.wait_for_end(submit(counting_job(2)));
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(ended.dump(), HasSubstr("does not list \\\"statistics\\\""));
}

TEST_F(StatisticsJob, OfAColumnThatASiteLacksIsRefusedWithTheNearest) {
  add_site("north", patients(11, 90));
  consortium_.wait_for_sites(1);
  const auto file = counting_job(1);
  const auto ended = consortium_.wait_for_end(
      consortium_.ask({"job", "submit", file, "--set", "statistics.columns=[\"agee\"]"})["job"]);
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(ended.dump(), HasSubstr("did you mean \\\"age\\\"?"));
}

TEST_F(StatisticsJob, NormalisesTheTrainingThatNamesIt) {
  add_three_sites();
  consortium_.hold("south", "statistics-1");
  const auto counted = submit(counting_job());
  const auto early = consortium_.entente({"job", "submit", training_job("stats:" + counted)});
  EXPECT_EQ(early.code, 1);
  EXPECT_THAT(early.err, HasSubstr("submit when it has completed"));
  consortium_.release("south", "statistics-1");
  (void)completed(counted);
  const auto job = submit(training_job("stats:" + counted));
  (void)completed(job);
  const auto file = consortium_.entente({"job", "show", job, "--file"}).out;
  EXPECT_THAT(file, HasSubstr("stats:" + counted));
  EXPECT_THAT(file, HasSubstr("deviation"));
  const auto wrong = consortium_.entente({"job", "submit", training_job("stats:" + job)});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("which is a job of the kind \"train\""));
  // What the numbers are is part of the spec: a clone needs no other job.
  const auto again = consortium_.ask({"job", "clone", job})["job"];
  (void)completed(again);
  EXPECT_EQ(consortium_.model_hash(job), consortium_.model_hash(again));
}

}  // namespace
}  // namespace entente::integration
