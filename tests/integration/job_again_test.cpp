// A job looked at afterwards, and submitted again: logs, watch --after, show --file, clone,
// --token.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class JobAgain : public testing::Test {
 protected:
  JobAgain() {
    consortium_.add_site("north");
    consortium_.wait_for_sites(1);
    job_.sites_min = 1;
    job_.evaluates = false;
  }

  static std::vector<json> lines(const std::string& text) {
    std::vector<json> all;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      all.push_back(json::parse(line));
    }
    return all;
  }

  Consortium consortium_;
  JobFile job_;
};

TEST_F(JobAgain, LogsAreWhatWatchHasShownFromAnyEventOn) {
  const auto id = consortium_.complete(job_);
  const auto watched = consortium_.events(id);
  const auto logged = lines(consortium_.entente({"job", "logs", id, "--json"}).out);
  EXPECT_EQ(logged, watched);
  const std::vector<json> rest(watched.begin() + 3, watched.end());
  for (const auto* verb : {"logs", "watch"}) {
    EXPECT_EQ(lines(consortium_.entente({"job", verb, id, "--after", "3", "--json"}).out), rest);
  }
  const auto of_north =
      lines(consortium_.entente({"job", "logs", id, "--site", "north", "--json"}).out);
  EXPECT_FALSE(of_north.empty());
  for (const auto& event : of_north) {
    EXPECT_EQ(event["site"], "north");
  }
}

TEST_F(JobAgain, AFileOfAJobIsTheSameJob) {
  const auto id = consortium_.complete(job_);
  const auto file = consortium_.folder() / "again.toml";
  std::ofstream(file) << consortium_.entente({"job", "show", id, "--file"}).out;
  const auto again = consortium_.ask({"job", "submit", file.string()})["job"].get<std::string>();
  ASSERT_EQ(consortium_.wait_for_end(again)["state"], "completed");
  EXPECT_EQ(consortium_.model_hash(again), consortium_.model_hash(id));
  EXPECT_EQ(consortium_.ask({"job", "show", again})["spec_digest"],
            consortium_.ask({"job", "show", id})["spec_digest"]);
}

TEST_F(JobAgain, ACloneHasTheChangesAndNothingElse) {
  const auto id = consortium_.complete(job_);
  const auto longer =
      consortium_.ask({"job", "clone", id, "--set", "rounds=3"})["job"].get<std::string>();
  const auto ended = consortium_.wait_for_end(longer);
  EXPECT_EQ(ended["state"], "completed");
  EXPECT_EQ(ended["round"], 3);
  const auto refused = consortium_.entente({"job", "clone", id, "--set", "rounds=0"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("rounds"));
}

TEST_F(JobAgain, ATokenMakesOneJobHoweverOftenItIsSubmitted) {
  const auto file = consortium_.write_job(job_).string();
  const std::vector<std::string> submit{"job", "submit", file, "--token", "night-1"};
  const auto id = consortium_.ask(submit)["job"];
  EXPECT_EQ(consortium_.ask(submit)["job"], id);
  EXPECT_EQ(consortium_.ask({"job", "list"}).size(), 1U);
  auto other = submit;
  other.insert(other.end(), {"--set", "rounds=5"});
  const auto refused = consortium_.entente(other);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("has been used for " + id.get<std::string>()));
  EXPECT_THAT(consortium_.ask({"job", "submit", file})["job"], Not(id));
  const auto empty = consortium_.entente({"job", "submit", file, "--token", ""});
  EXPECT_EQ(empty.code, 2);
  EXPECT_THAT(empty.err, HasSubstr("it is empty; choose a word, or leave it out"));
}

}  // namespace
}  // namespace entente::integration
