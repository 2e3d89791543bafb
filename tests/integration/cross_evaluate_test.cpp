// Jobs that judge every site's model at every site: the matrix tells whose data is like whose, and
// is the same when the broker dies in between.
#include <gmock/gmock.h>

#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kLabelsHeaderBytes = 8;

// The site's people call every class by the name of the next one.
void shift_labels(const std::filesystem::path& labels) {
  auto bytes = read_text(labels);
  for (std::size_t i = kLabelsHeaderBytes; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>((bytes[i] + 1) % 3);
  }
  write_text(labels, bytes);
}

class CrossEvaluation : public testing::Test {
 protected:
  static SiteSetup setup() {
    SiteSetup setup;
    setup.policy = "coordinators = [\"alice\"]\ndatasets = [\"*\"]\nkinds = [\"cross_evaluate\"]\n";
    return setup;
  }
  // East and north have the same labels, south has others.
  void add_sites() {
    consortium_.add_site("east", setup());
    consortium_.add_site("north", setup());
    consortium_.make_site("south", setup());
    for (const auto* labels : {"train.labels", "test.labels"}) {
      shift_labels(consortium_.site_folder("south") / labels);
    }
    consortium_.start_agent("south");
    consortium_.wait_for_sites(3);
  }
  static JobFile job() {
    JobFile file;
    file.name = "likeness";
    file.rounds = 1;
    file.sites_min = 3;
    file.extra = "kind = \"cross_evaluate\"\nseed = 5";
    return file;
  }
  json matrix(const std::string& id) { return consortium_.ask({"job", "matrix", id}); }
  std::string logs(const std::string& id) { return consortium_.entente({"job", "logs", id}).out; }
  void restart_broker() {
    consortium_.kill("broker");
    consortium_.start_broker();
    consortium_.wait_for_sites(3);
  }
  // The parts of it that say nothing of a job's id.
  static json content(const json& matrix) {
    return {matrix["sites"], matrix["matrix"], matrix["all"], matrix["models"]};
  }

  Consortium consortium_;
};

std::size_t times(const std::string& text, const std::string& words) {
  std::size_t count = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    ++count;
  }
  return count;
}

TEST_F(CrossEvaluation, ShowsWhichSiteHasOtherLabels) {
  add_sites();
  const auto id = consortium_.complete(job());
  const auto found = matrix(id);
  EXPECT_EQ(found["sites"], json({"east", "north", "south"}));
  EXPECT_EQ(found["metric"], "accuracy");
  const auto cell = [&](int row, int column) { return found["matrix"][row][column].get<double>(); };
  for (int own = 0; own < 3; ++own) {
    EXPECT_GT(cell(own, own), 0.9) << found["matrix"];
  }
  EXPECT_GT(cell(0, 1), 0.9);
  EXPECT_GT(cell(1, 0), 0.9);
  for (int other = 0; other < 2; ++other) {
    EXPECT_LT(cell(other, 2), 0.3) << found["matrix"];
    EXPECT_LT(cell(2, other), 0.3) << found["matrix"];
  }
  EXPECT_NEAR(found["all"][2].get<double>(), (cell(2, 0) + cell(2, 1) + cell(2, 2)) / 3, 1e-12);

  const auto initial = consortium_.ask({"model", "show", id + "@0"});
  const auto north = consortium_.ask({"model", "show", id + "@2"});
  EXPECT_EQ(north["parent"], initial["blob"]);
  ASSERT_EQ(north["contributions"].size(), 1U);
  EXPECT_EQ(north["contributions"][0]["site"], "north");
  EXPECT_EQ(north["strategy"], "single");
  EXPECT_EQ(north["contributions"][0]["started_from"], 0);
  EXPECT_EQ(north["contributions"][0]["staleness"], 0) << "nothing came before it";
  EXPECT_EQ(north["evaluate_metrics"], found["models"][1]["evaluate_metrics"]);

  const auto table = consortium_.entente({"job", "matrix", id, "--metric", "loss"}).out;
  EXPECT_THAT(table, HasSubstr("loss of each site's model"));
  EXPECT_THAT(table, HasSubstr("\neast"));
  EXPECT_THAT(consortium_.entente({"job", "matrix", id, "--metric", "los"}).err,
              HasSubstr("did you mean \"loss\"?"));

  std::vector<int> judged;
  for (const auto& row : json::parse(consortium_.at_site("south", {"sent", "--json"}).out)) {
    if (row["kind"] == "evaluate") {
      judged.push_back(row["round"]);
    }
  }
  EXPECT_THAT(judged, testing::UnorderedElementsAre(2, 3, 4));
  ASSERT_TRUE(consortium_.stop("broker").success());
  const auto data = (consortium_.folder() / "broker/data").string();
  const auto check = consortium_.run("entente-broker", {"check", data});
  EXPECT_EQ(check.code, 0) << check.out;
}

TEST_F(CrossEvaluation, IsTheSameMatrixWhenTheBrokerIsKilledInItsMiddle) {
  add_sites();
  const auto undisturbed = consortium_.complete(job());
  consortium_.hold("south", "train-1");
  const std::string id = consortium_.submit(job());
  (void)consortium_.wait_until_held("south", "train-1");
  wait_until("two sites to have sent their models",
             [&] { return times(logs(id), "for round 1: 240 examples") == 2; });
  restart_broker();
  consortium_.hold("south", "evaluate");
  consortium_.release("south", "train-1");
  (void)consortium_.wait_until_held("south", "evaluate");
  wait_until("two sites to have judged the first model",
             [&] { return times(logs(id), "evaluated the model of east on 120") == 2; });
  restart_broker();
  consortium_.release("south", "evaluate");
  const auto ended = consortium_.wait_for_end(id);
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_EQ(content(matrix(id)), content(matrix(undisturbed)));
}

TEST_F(CrossEvaluation, IsDeclinedByASiteThatShowsNobodyItsOwnModel) {
  auto careful = setup();
  careful.policy += "cohort_min = 2\n";
  consortium_.add_site("north", careful);
  consortium_.wait_for_sites(1);
  auto file = job();
  file.sites_min = 1;
  const auto ended = consortium_.wait_for_end(consortium_.submit(file));
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(std::string(ended["reason"]),
              HasSubstr("policy clause \"cohort_min\" asks for 2 sites behind what others see, and "
                        "a job of the kind \"cross_evaluate\" shows them each site's own model"));
  const auto matrix = consortium_.entente({"job", "matrix", ended["job"]});
  EXPECT_EQ(matrix.code, 1);
  EXPECT_THAT(matrix.err, HasSubstr("has no cell of its matrix yet"));
}

TEST_F(CrossEvaluation, LeavesTheCellsOfASiteEmptyThatTellsNothingOfFewExamples) {
  auto careful = setup();
  careful.policy += "evaluation_examples_min = 1000\n";
  consortium_.add_site("east", setup());
  consortium_.add_site("north", careful);
  consortium_.wait_for_sites(2);
  auto file = job();
  file.sites_min = 2;
  const auto id = consortium_.complete(file);
  const auto found = matrix(id);
  EXPECT_EQ(found["sites"], json({"east", "north"}));
  for (int row = 0; row < 2; ++row) {
    EXPECT_GT(found["matrix"][row][0].get<double>(), 0.9) << "also of north's model";
    EXPECT_EQ(found["matrix"][row][1], nullptr);
  }
  EXPECT_THAT(consortium_.entente({"job", "matrix", id}).out,
              HasSubstr("Why a cell is empty is in: entente job logs"));
  EXPECT_THAT(logs(id), HasSubstr("not counted  north: policy clause \"evaluation_examples_min\""));
}

}  // namespace
}  // namespace entente::integration
