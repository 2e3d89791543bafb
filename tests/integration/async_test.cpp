// Asynchronous training with real processes: sites of very different speeds, kill -9 of all of
// them, and a model that anybody can compute again from what the broker has recorded.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>

#include "broker/merge/strategies/weighted_mean.h"
#include "common/config/job_file.h"
#include "common/domain/seeds.h"
#include "common/tensors/safetensors.h"
#include "tests/support/consortium.h"
#include "tests/support/quick_trainer.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

constexpr double kExponent = 0.5;

// One site makes its 30 steps in a moment, the other takes a second for them.
class AsyncJob : public testing::Test {
 protected:
  AsyncJob() {
    SiteSetup setup;
    setup.trainer = "quick-trainer";
    for (const auto& [site, pace_ms] : std::map<std::string, int>{{"fast", 1}, {"slow", 33}}) {
      consortium_.add_site(site, setup);
      std::ofstream(consortium_.site_folder(site) / "pace") << pace_ms;
    }
    consortium_.wait_for_sites(2);
  }

  static JobFile job(int rounds) {
    JobFile file;
    file.rounds = rounds;
    file.evaluates = false;
    file.extra = "seed = 11";
    return file;
  }

  std::string submit(const JobFile& file, const std::vector<std::string>& settings) {
    job_file_ = consortium_.write_job(file);
    std::vector<std::string> arguments{"job", "submit", job_file_.string()};
    for (const auto& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    return consortium_.ask(arguments)["job"];
  }

  // Computes every version from the rows and holds it against its file. The broker must have ended.
  // How many updates came late.
  int expect_exact(const std::string& job) {
    SQLite::Database database((consortium_.folder() / "broker/data/broker.db").string());
    SQLite::Statement versions(
        database, "SELECT version, lower(hex(blob)) FROM models WHERE job = ? ORDER BY version");
    versions.bind(1, job);
    const auto spec = read_job_file(job_file_, {}).value();
    const auto layout = resolve_model(spec.model).value().layout;
    std::map<Round, std::vector<float>> models;
    int late = 0;
    while (versions.executeStep()) {
      const auto version = static_cast<Round>(versions.getColumn(0).getUInt());
      models[version] = version == 0 ? quick_update(std::vector<float>(layout.elements(), 0.0F),
                                                    task_seed(*spec.seed, 0, ""))
                                     : merged(database, job, *spec.seed, version, models, late);
      const auto name = versions.getColumn(1).getString();
      const auto file =
          TensorFile::open(consortium_.folder() / "broker/data/blobs" / name.substr(0, 2) / name);
      EXPECT_TRUE(file.has_value()) << version;
      const auto published = file->flat(layout).value();
      EXPECT_EQ(
          std::memcmp(published.data(), models[version].data(), published.size() * sizeof(float)),
          0)
          << "version " << version << " is not the merge of its updates";
    }
    EXPECT_EQ(models.size(), spec.rounds + 1U);
    return late;
  }

  // Nguyen et al. (2022): the mean of the updates, each lessened by its staleness.
  static std::vector<float> merged(SQLite::Database& database, const std::string& job,
                                   std::uint64_t seed, Round version,
                                   const std::map<Round, std::vector<float>>& models, int& late) {
    SQLite::Statement parts(
        database,
        "SELECT c.site, c.started_from, c.examples, (SELECT count(*) FROM tasks b WHERE"
        "   b.job = t.job AND b.round = t.round AND b.kind = t.kind AND b.site = t.site"
        "   AND b.attempt < t.attempt AND b.accepted_seq > 0)"
        " FROM contributions c JOIN tasks t ON t.job = c.job AND t.merged_in = c.version"
        "   AND t.site = c.site AND t.round = c.started_from + 1 AND t.blob = c.blob"
        "   AND t.kind = 'train' AND t.state = 'done'"
        " WHERE c.job = ? AND c.version = ? ORDER BY c.place");
    parts.bind(1, job);
    parts.bind(2, static_cast<std::int64_t>(version));
    std::vector<std::vector<float>> updates;
    std::vector<double> weights;
    double total = 0;
    while (parts.executeStep()) {
      const auto from = static_cast<Round>(parts.getColumn(1).getUInt());
      const auto task = repeated_seed(task_seed(seed, from + 1, parts.getColumn(0).getString()),
                                      parts.getColumn(3).getUInt());
      updates.push_back(quick_update(models.at(from), task));
      const auto staleness = version - 1 - from;
      late += staleness > 0 ? 1 : 0;
      const auto examples = parts.getColumn(2).getDouble();
      total += examples;
      weights.push_back(examples * std::pow(1.0 + staleness, -kExponent));
    }
    std::vector<const float*> rows;
    for (const auto& update : updates) {
      rows.push_back(update.data());
    }
    auto model = models.at(version - 1);
    std::vector<double> mean(model.size());
    broker::weighted_mean(rows, weights, total, mean);
    for (std::size_t i = 0; i < model.size(); ++i) {
      model[i] = static_cast<float>(double{model[i]} + mean[i]);
    }
    return model;
  }

  void expect_receipts_name_late_updates(const std::string& job) {
    bool was_late = false;
    for (int version = 1; version <= 14 && !was_late; ++version) {
      const auto model = job + "@" + std::to_string(version);
      const auto receipt = consortium_.ask({"model", "show", model});
      for (const auto& part : receipt["contributions"]) {
        const int staleness = part["staleness"];
        EXPECT_EQ(staleness, version - 1 - part["started_from"].get<int>());
        was_late = was_late || staleness > 0;
        if (staleness > 0) {
          EXPECT_THAT(consortium_.entente({"model", "show", model}).out,
                      HasSubstr("(" + std::to_string(staleness) + " late)"));
        }
      }
    }
    EXPECT_TRUE(was_late);
  }

  int updates_of(const json& shown, const std::string& site) {
    for (const auto& one : shown["sites"]) {
      if (one["site"] == site) {
        return one["updates_accepted"];
      }
    }
    return 0;
  }

  Consortium consortium_;
  fs::path job_file_;
};

TEST_F(AsyncJob, UsesTheFastSiteFullyAndTheModelFollowsFromWhatWasAcceptedWhoeverIsKilled) {
  const auto id = submit(job(14), {"async.buffer=3", "async.staleness_max=50"});
  std::size_t seen = 0;
  for (const std::string victim : {"broker", "slow", "fast", "broker"}) {
    auto watch = consortium_.begin({"job", "watch", id, "--json"});
    wait_until("an update is accepted", [&] {
      return count(watch.output(), "\"kind\":\"update_accepted\"") > seen ||
             consortium_.ask({"job", "show", id})["state"] == "completed";
    });
    consortium_.kill(victim);
    consortium_.start(victim);
    seen = count(watch.output(), "\"kind\":\"update_accepted\"");
  }
  const auto ended = consortium_.wait_for_end(id);
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_LT(seen, 3U * 14U) << "the job was over before it could be disturbed";
  EXPECT_EQ(updates_of(ended, "fast") + updates_of(ended, "slow"), 3 * 14);
  EXPECT_GT(updates_of(ended, "fast"), updates_of(ended, "slow"));
  EXPECT_GT(updates_of(ended, "slow"), 0);

  expect_receipts_name_late_updates(id);
  EXPECT_TRUE(consortium_.stop("broker").success());
  EXPECT_GT(expect_exact(id), 0) << "nobody was late";
  const auto check =
      consortium_.run("entente-broker", {"check", (consortium_.folder() / "broker/data").string()});
  EXPECT_EQ(check.code, 0) << check.out << check.err;
  consortium_.start_broker();
}

TEST_F(AsyncJob, TellsPeopleHowFullItsBufferIsAndHowLateAnUpdateCame) {
  std::ofstream(consortium_.site_folder("slow") / "pace") << 1000;  // out of the way
  const auto id = submit(job(2), {"async.buffer=4", "sites.quorum=2"});
  wait_until("the fast site waits for the other", [&] {
    return updates_of(consortium_.ask({"job", "show", id}), "fast") == 4;
  });
  const auto shown = consortium_.entente({"job", "show", id}).out;
  EXPECT_THAT(shown, HasSubstr("a round takes 4 updates, at most 10 versions late"));
  EXPECT_THAT(shown, HasSubstr("4 of 4"));
  EXPECT_THAT(shown, HasSubstr("sits out"));
  EXPECT_THAT(consortium_.entente({"job", "explain", id}).out,
              HasSubstr("round 1 has its updates and waits for other sites' (sites.quorum is 2)"));
  EXPECT_EQ(consortium_.ask({"job", "show", id})["async"]["buffer"], 4);
  EXPECT_EQ(consortium_.entente({"job", "abort", id}).code, 0);
}

TEST_F(AsyncJob, IsRefusedWithWhatDoesNotGoWithIt) {
  const auto file = consortium_.write_job(job(2)).string();
  const auto refused = consortium_.entente(
      {"job", "submit", file, "--set", "async.buffer=2", "--set", "strategy.kind=median"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err,
              HasSubstr("strategy.kind is \"median\", which has no sense for updates"));
}

}  // namespace
}  // namespace entente::integration
