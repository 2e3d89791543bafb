#include "tests/soak/promises.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>

#include <cstring>
#include <numeric>
#include <regex>
#include <set>
#include <sstream>
#include <utility>

#include "broker/merge/strategies/server_optimizer.h"
#include "broker/merge/strategies/weighted_mean.h"
#include "common/base/blob_id.h"
#include "common/domain/layers.h"
#include "common/domain/seeds.h"
#include "common/tensors/safetensors.h"
#include "tests/support/quick_trainer.h"
#include "tests/support/sent_updates.h"

namespace entente::soak {
namespace {

namespace fs = std::filesystem;
using integration::quick_update;

struct Contribution {
  std::string site;
  double examples = 0;  // its weight
};

struct Model {
  Round version = 0;
  std::string blob;  // hexadecimal
};

std::vector<Model> models_of(SQLite::Database& database, const std::string& job) {
  SQLite::Statement query(
      database, "SELECT version, lower(hex(blob)) FROM models WHERE job = ? ORDER BY version");
  query.bind(1, job);
  std::vector<Model> models;
  while (query.executeStep()) {
    models.push_back({query.getColumn(0).getUInt(), query.getColumn(1).getString()});
  }
  return models;
}

std::vector<Contribution> contributions_to(SQLite::Database& database, const std::string& job,
                                           Round version) {
  SQLite::Statement query(database,
                          "SELECT site, examples FROM contributions"
                          " WHERE job = ? AND version = ? ORDER BY site");
  query.bind(1, job);
  query.bind(2, static_cast<std::int64_t>(version));
  std::vector<Contribution> all;
  while (query.executeStep()) {
    all.push_back({query.getColumn(0).getString(), query.getColumn(1).getDouble()});
  }
  return all;
}

class Recomputation {
 public:
  Recomputation(SQLite::Database& database, const fs::path& blobs, std::string job,
                const JobSpec& spec, Examined& examined)
      : database_(database),
        blobs_(blobs),
        job_(std::move(job)),
        seed_(spec.seed.value()),
        layout_(resolve_model(spec.model).value().layout),
        sent_(layout_, spec.update),
        examined_(examined) {}

  void run() {
    std::vector<float> model;
    Round expected = 0;
    for (const auto& published : models_of(database_, job_)) {
      if (published.version != expected++) {
        violation("P3", fmt::format("version {} follows {}", published.version, expected - 2));
        return;
      }
      model = published.version == 0 ? quick_update(std::vector<float>(layout_.elements(), 0.0F),
                                                    task_seed(seed_, 0, ""))
                                     : merged(model, published.version);
      compare(model, published);
      ++examined_.models;
    }
  }

 private:
  std::vector<float> merged(const std::vector<float>& model, Round round) {
    const auto contributions = contributions_to(database_, job_, round);
    if (contributions.size() < kQuorum) {
      violation("P4", fmt::format("version {} has {} updates", round, contributions.size()));
    }
    std::vector<std::vector<float>> updates;
    std::vector<const float*> rows;
    std::vector<double> weights;
    updates.reserve(contributions.size());
    for (const auto& [site, examples] : contributions) {
      const auto seed = task_seed(seed_, round, site);
      if (site == kPoisoner && integration::is_poisoned(seed)) {
        violation("P6", fmt::format("version {} has an update of NaN", round));
      }
      updates.push_back(sent_.send(site, quick_update(model, seed), seed));
      rows.push_back(updates.back().data());
      weights.push_back(examples);
      ++examined_.updates;
    }
    std::vector<double> mean(model.size());
    broker::weighted_mean(rows, weights, std::accumulate(weights.begin(), weights.end(), 0.0),
                          mean);
    auto next = model;
    broker::server_step(broker::ServerOptimizer(), mean, next, {}, {});
    return next;
  }

  void compare(const std::vector<float>& model, const Model& published) {
    const auto file = TensorFile::open(blobs_ / published.blob.substr(0, 2) / published.blob);
    const auto values = file ? file->flat(layout_) : tl::unexpected(file.error());
    if (!values) {
      violation("P1", fmt::format("version {}: {}", published.version, values.error().message));
    } else if (std::memcmp(values->data(), model.data(), model.size() * sizeof(float)) != 0) {
      violation("P3", fmt::format("version {} is not the merge of its updates", published.version));
    }
  }

  void violation(const char* promise, const std::string& what) {
    examined_.violations.push_back(fmt::format("{}: {}, {}", promise, job_, what));
  }

  SQLite::Database& database_;
  const fs::path blobs_;
  const std::string job_;
  const std::uint64_t seed_;
  const TensorLayout layout_;
  integration::SentUpdates sent_;
  Examined& examined_;
};

}  // namespace

void examine_models(const fs::path& broker_data, const std::map<std::string, SoakedJob>& jobs,
                    Examined& examined) {
  SQLite::Database database((broker_data / "broker.db").string(), SQLite::OPEN_READWRITE);
  for (const auto& [id, job] : jobs) {
    Recomputation(database, broker_data / "blobs", id, job.spec, examined).run();
    if (job.state == "completed" &&
        models_of(database, id).size() != static_cast<std::size_t>(job.spec.rounds) + 1) {
      examined.violations.push_back("P1: " + id + " has completed without all of its models");
    }
  }
  SQLite::Statement twice(database,
                          "SELECT job, round, site FROM tasks WHERE state = 'done'"
                          " GROUP BY job, round, kind, site HAVING count(*) > 1");
  while (twice.executeStep()) {
    examined.violations.push_back(
        fmt::format("P2: {} counted twice in round {} of {}", twice.getColumn(2).getString(),
                    twice.getColumn(1).getInt(), twice.getColumn(0).getString()));
  }
}

void check_data_directory(integration::Consortium& consortium, Examined& examined) {
  const auto outcome = consortium.run(
      "entente-broker", {"check", (consortium.folder() / "broker/data").string(), "--json"});
  ++examined.checks;
  if (outcome.code != 0) {
    examined.violations.push_back("P7: the data directory is not sound: " + outcome.out +
                                  outcome.err);
  }
}

void examine_trainings(const integration::Consortium& consortium, Examined& examined) {
  static const std::regex kLine("task_(started|finished)  round ([0-9]+): train.* job=([^ ]+)");
  for (const std::string site : kSites) {
    std::set<std::pair<std::string, std::string>> finished;
    std::istringstream log(consortium.log(site));
    for (std::string line; std::getline(log, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, kLine)) {
        continue;
      }
      const std::pair<std::string, std::string> training{match[3], match[2]};
      if (match[1] == "finished") {
        finished.insert(training);
        ++examined.trainings;
      } else if (finished.contains(training) && site != kPoisoner) {
        examined.violations.push_back(
            fmt::format("{} trained round {} of {} again", site, training.second, training.first));
      }
    }
  }
}

}  // namespace entente::soak
