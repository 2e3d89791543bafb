// A dataset that cannot be read takes only itself away: the agent runs, says so in its log, and its
// other datasets work.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using testing::HasSubstr;

class BadData : public testing::Test {
 protected:
  // A second dataset, "broken", whose files the test writes.
  void add_north(const std::string& extra = "") {
    SiteSetup setup;
    setup.policy = "coordinators = [\"*\"]\ndatasets = [\"*\"]\nkinds = [\"*\"]\n";
    setup.more_datasets = fmt::format(R"([[datasets]]
name = "broken"
images = "broken.images"
labels = "broken.labels"
{}
)",
                                      extra);
    consortium_.make_site("north", setup);
    const auto folder = consortium_.site_folder("north");
    images_ = read_text(folder / "train.images");
    labels_ = read_text(folder / "train.labels");
  }

  void start(const std::string& images, const std::string& labels) {
    const auto folder = consortium_.site_folder("north");
    write_text(folder / "broken.images", images);
    write_text(folder / "broken.labels", labels);
    start();
  }
  void start() {
    consortium_.start_agent("north");
    consortium_.wait_for_sites(1);
  }

  Outcome run_broken() {
    JobFile job;
    job.sites_min = 1;
    job.dataset = "broken";
    return consortium_.entente({"job", "submit", consortium_.write_job(job).string(), "--watch"});
  }

  void expect_that_the_rest_works() {
    JobFile job;
    job.sites_min = 1;
    job.rounds = 1;
    (void)consortium_.complete(job);
  }

  Consortium consortium_;
  std::string images_;
  std::string labels_;
};

TEST_F(BadData, ThatIsMissingIsNotAdvertised) {
  add_north();
  start();
  EXPECT_THAT(consortium_.log("north"), HasSubstr("dataset_left_out  cannot open"));
  const auto outcome = run_broken();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no site offers the dataset \"broken\""));
  expect_that_the_rest_works();
}

TEST_F(BadData, WithTruncatedLabelsIsNotAdvertised) {
  add_north();
  start(images_, labels_.substr(0, labels_.size() - 1));
  EXPECT_THAT(consortium_.log("north"), HasSubstr("broken.labels: truncated"));
  EXPECT_EQ(run_broken().code, 1);
  expect_that_the_rest_works();
}

TEST_F(BadData, WithLabelsBeyondItsClassesIsNotAdvertised) {
  add_north("classes = 2");
  start(images_, labels_);
  EXPECT_THAT(consortium_.log("north"), HasSubstr("label 2 is out of range"));
  EXPECT_EQ(run_broken().code, 1);
}

TEST_F(BadData, WithTruncatedImagesIsDeclinedByTheDataCheck) {
  add_north();
  start(images_.substr(0, images_.size() - 100), labels_);
  const auto outcome = run_broken();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("north declined: "));
  EXPECT_THAT(outcome.out, HasSubstr("truncated"));
  expect_that_the_rest_works();
}

TEST_F(BadData, ThatVanishesLaterIsDeclinedByTheDataCheck) {
  add_north();
  start(images_, labels_);
  std::filesystem::remove(consortium_.site_folder("north") / "broken.images");
  const auto outcome = run_broken();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("north declined: "));
  EXPECT_THAT(outcome.out, HasSubstr("cannot open"));
  expect_that_the_rest_works();
}

TEST_F(BadData, ThatChangesItsLabelsLaterIsDeclinedByTheDataCheck) {
  add_north();
  start(images_, labels_);
  auto changed = labels_;
  changed.back() = 9;
  write_text(consortium_.site_folder("north") / "broken.labels", changed);
  const auto outcome = run_broken();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("has labels up to 9, the model has 3 outputs"));
}

TEST_F(BadData, IsShownAtTheSiteItself) {
  add_north();
  const auto shown = consortium_.run(
      "entente-agent",
      {"datasets", "--config", (consortium_.site_folder("north") / "agent.toml").string()});
  EXPECT_EQ(shown.code, 1) << "one of the datasets is not usable";
  EXPECT_THAT(shown.out, HasSubstr("stripes: 240 examples of shape [1, 8, 8], 3 classes"));
  EXPECT_THAT(shown.out, HasSubstr("broken: not usable: cannot open"));
}

}  // namespace
}  // namespace entente::integration
