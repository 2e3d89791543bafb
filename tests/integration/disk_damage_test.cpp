// A bit flips on a disk: in a blob, in a database, at the broker or at a site. It is found when the
// bytes are read, put aside, and never used.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

constexpr std::uintmax_t kDatabasePage = 4096;

void flip_bit(const fs::path& file, std::uintmax_t offset) {
  std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekg(static_cast<std::streamoff>(offset));
  const int byte = stream.get();
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(static_cast<char>(byte ^ 1));
  if (!stream) {
    throw std::runtime_error("no bit to flip in " + file.string());
  }
}

// The finished blobs below a blob store's folder.
std::vector<fs::path> blobs_in(const fs::path& folder) {
  std::vector<fs::path> blobs;
  for (const auto& shelf : fs::directory_iterator(folder)) {
    if (shelf.path().filename().string().size() == 2) {
      for (const auto& entry : fs::directory_iterator(shelf)) {
        blobs.push_back(entry.path());
      }
    }
  }
  return blobs;
}

class DiskDamage : public testing::Test {
 protected:
  DiskDamage() {
    consortium_.add_site("north");
    consortium_.add_site("south");
    consortium_.wait_for_sites(2);
  }

  static JobFile small_job() {
    JobFile job;
    job.rounds = 1;
    job.evaluates = false;
    return job;
  }

  [[nodiscard]] fs::path broker_data() const { return consortium_.folder() / "broker/data"; }
  [[nodiscard]] fs::path site_data() const { return consortium_.site_folder("north") / "data"; }

  // A bit in the middle of a blob's tensors.
  static void damage(const fs::path& blob) { flip_bit(blob, fs::file_size(blob) / 2); }

  void expect_quarantined(const fs::path& blob) const {
    EXPECT_FALSE(fs::exists(blob));
    EXPECT_TRUE(fs::exists(blob.parent_path().parent_path() / "quarantine" / blob.filename()));
  }

  Outcome check() { return consortium_.run("entente-broker", {"check", broker_data().string()}); }

  // Runs a job up to the moment when the broker has north's update for round 1 and waits for
  // south's. Returns the update's file.
  fs::path wait_for_norths_update(const std::string& job) {
    wait_until("the broker has north's update", [&] {
      const auto shown = consortium_.ask({"job", "show", job});
      return shown["sites"].size() == 2 && shown["sites"][0]["updates_accepted"] == 1;
    });
    const std::string model = consortium_.ask({"model", "show", job + "@0"})["blob"];
    for (const auto& blob : blobs_in(broker_data() / "blobs")) {
      if (blob.filename() != model) {
        return blob;
      }
    }
    throw std::runtime_error("the broker has no update");
  }

  // North has finished its update of round 1, and the broker, killed, can't take it. Returns the
  // job and the update's file.
  std::pair<std::string, fs::path> finish_while_the_broker_is_away() {
    consortium_.hold("north", "train-1");
    const auto job = consortium_.submit(small_job());
    (void)consortium_.wait_until_held("north", "train-1");
    consortium_.kill("broker");
    const auto before = blobs_in(site_data() / "blobs");
    consortium_.release("north", "train-1");
    wait_until("the update is finished",
               [&] { return count(consortium_.log("north"), "round 1: train is finished") == 1; });
    for (const auto& blob : blobs_in(site_data() / "blobs")) {
      if (std::find(before.begin(), before.end(), blob) == before.end()) {
        return {job, blob};
      }
    }
    throw std::runtime_error("north has no update");
  }

  std::size_t trainings_of_round_1(const std::string& job) const {
    return count(consortium_.log("north"), "task_started  round 1: train  job=" + job);
  }

  void expect_undisturbed(const std::string& job) {
    const auto ended = consortium_.wait_for_end(job);
    ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
    EXPECT_EQ(ended["sites"][0]["updates_accepted"], small_job().rounds);
    EXPECT_EQ(consortium_.model_hash(job),
              consortium_.model_hash(consortium_.complete(small_job())));
  }

  void expect_refused_start(const std::string& program, const fs::path& config,
                            const std::string& why) {
    const auto started = consortium_.run(program, {"serve", "--config", config.string()});
    EXPECT_EQ(started.code, 1);
    EXPECT_THAT(started.err, HasSubstr("error: "));
    EXPECT_THAT(started.err, HasSubstr(why));
  }

  Consortium consortium_;
};

TEST_F(DiskDamage, OfAnUpdateAtTheBrokerIsFoundAtItsStartAndTheSiteTrainsAgain) {
  consortium_.hold("south", "train-1");
  const auto job = consortium_.submit(small_job());
  const auto update = wait_for_norths_update(job);
  EXPECT_TRUE(consortium_.stop("broker").success());
  damage(update);
  const auto checked = check();
  EXPECT_EQ(checked.code, 1);
  EXPECT_THAT(checked.out, HasSubstr("problem: the update of north for round 1 of " + job));
  EXPECT_THAT(checked.out, HasSubstr("damaged"));

  consortium_.start_broker();
  expect_quarantined(update);
  consortium_.release("south", "train-1");
  expect_undisturbed(job);
  EXPECT_TRUE(consortium_.stop("broker").success());
  const auto sound = check();
  EXPECT_EQ(sound.code, 0) << sound.out;
  EXPECT_THAT(sound.out, HasSubstr("note: blob " + update.filename().string()));
}

TEST_F(DiskDamage, OfAnUpdateBeforeItsMergeAsksTheSiteAgainAndIsNeverMerged) {
  consortium_.hold("south", "train-1");
  const auto job = consortium_.submit(small_job());
  damage(wait_for_norths_update(job));
  consortium_.release("south", "train-1");
  expect_undisturbed(job);
  EXPECT_THAT(consortium_.log("broker"), HasSubstr("the update of north for round 1 is damaged"));
  EXPECT_FALSE(consortium_.process("broker").poll()) << "it went on without a stop";
}

TEST_F(DiskDamage, OfAModelIsToldToWhoAsksForIt) {
  const auto job = consortium_.complete(small_job());
  const auto hash = consortium_.model_hash(job);
  const auto blob = broker_data() / "blobs" / hash.substr(0, 2) / hash;
  damage(blob);
  const auto pulled = consortium_.entente(
      {"model", "pull", job, "--output", (consortium_.folder() / "model.safetensors").string()});
  EXPECT_EQ(pulled.code, 1) << pulled.out;
  EXPECT_THAT(pulled.err, HasSubstr("damaged"));
  EXPECT_FALSE(fs::exists(consortium_.folder() / "model.safetensors"));
  expect_quarantined(blob);
  EXPECT_TRUE(consortium_.stop("broker").success());
  const auto checked =
      consortium_.run("entente-broker", {"check", broker_data().string(), "--json"});
  EXPECT_EQ(checked.code, 1);
  const auto report = json::parse(checked.out);
  EXPECT_FALSE(report["sound"]);
  EXPECT_THAT(report["problems"].dump(), HasSubstr("model/" + job + "@1"));
}

TEST_F(DiskDamage, OfTheAuditLogOrTheDatabaseRefusesTheStart) {
  (void)consortium_.complete(small_job());
  const auto busy = check();
  EXPECT_EQ(busy.code, 1);
  EXPECT_THAT(busy.err, HasSubstr("hint: stop the broker first"));
  EXPECT_TRUE(consortium_.stop("broker").success());
  EXPECT_EQ(check().code, 0);
  const auto config = consortium_.folder() / "broker/broker.toml";
  const auto file = broker_data() / "broker.db";
  const auto published = read_text(file).find("model.publish");
  ASSERT_NE(published, std::string::npos);
  flip_bit(file, published);
  const auto checked = check();
  EXPECT_EQ(checked.code, 1);
  EXPECT_THAT(checked.out, HasSubstr("problem: audit row"));
  expect_refused_start("entente-broker", config, "audit log");
  flip_bit(file, published);
  EXPECT_EQ(check().code, 0);

  flip_bit(file, kDatabasePage);  // what kind of page it is
  EXPECT_EQ(check().code, 1);
  expect_refused_start("entente-broker", config, "broker.db is damaged");
}

TEST_F(DiskDamage, OfAFinishedResultAtASiteIsTrainedAgainAndNeverSent) {
  const auto [job, update] = finish_while_the_broker_is_away();
  consortium_.kill("north");
  damage(update);
  consortium_.start_broker();
  consortium_.start_agent("north");
  wait_until("the agent has noticed",
             [&] { return count(consortium_.log("north"), "blob_damaged") == 1; });
  expect_quarantined(update);
  expect_undisturbed(job);
  EXPECT_EQ(trainings_of_round_1(job), 2U);
}

TEST_F(DiskDamage, OfAFinishedResultIsFoundBeforeTheUploadToo) {
  const auto [job, update] = finish_while_the_broker_is_away();
  damage(update);
  consortium_.start_broker();
  expect_undisturbed(job);
  EXPECT_THAT(consortium_.log("north"), HasSubstr("result_missing"));
}

TEST_F(DiskDamage, OfAFinishedResultsNumbersAtASiteIsTrainedAgainAndNeverSent) {
  const auto [job, update] = finish_while_the_broker_is_away();
  consortium_.kill("north");
  {
    SQLite::Database journal((site_data() / "journal.db").string(), SQLite::OPEN_READWRITE);
    ASSERT_EQ(journal.exec("UPDATE outbox SET examples = examples + 1"), 1);
  }
  consortium_.start_broker();
  consortium_.start_agent("north");
  expect_undisturbed(job);
  EXPECT_THAT(consortium_.log("north"), HasSubstr("journal_damaged"));
  EXPECT_EQ(trainings_of_round_1(job), 2U);
}

TEST_F(DiskDamage, OfAnAgentsJournalRefusesTheStart) {
  (void)consortium_.complete(small_job());
  EXPECT_TRUE(consortium_.stop("north").success());
  flip_bit(site_data() / "journal.db", kDatabasePage);
  expect_refused_start("entente-agent", consortium_.site_folder("north") / "agent.toml",
                       "journal.db is damaged");
}

}  // namespace
}  // namespace entente::integration
