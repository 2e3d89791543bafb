// What a coordinator can get wrong in a job file: each mistake is named, with a way out, and the
// exit code is always the same.
#include <gmock/gmock.h>

#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class BadJob : public testing::Test {
 protected:
  BadJob() {
    consortium_.add_site("north");
    consortium_.wait_for_sites(1);
  }

  Outcome submit(const JobFile& job) {
    return consortium_.entente({"job", "submit", consortium_.write_job(job).string()});
  }
  Outcome submit_text(const std::string& text) {
    const auto file = consortium_.folder() / "job.toml";
    write_text(file, text);
    return consortium_.entente({"job", "submit", file.string()});
  }

  JobFile job_ = [] {
    JobFile job;
    job.sites_min = 1;
    return job;
  }();
  Consortium consortium_;
};

TEST_F(BadJob, WithAnUnknownDatasetIsShownTheNearestOne) {
  job_.dataset = "stripse";
  const auto outcome = submit(job_);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("error: no site offers the dataset \"stripse\" (train.dataset)"),
                    HasSubstr("hint: did you mean \"stripes\"?")));
}

TEST_F(BadJob, WhoseModelDoesNotFitTheDataNamesTheSites) {
  job_.input = "[1, 28, 28]";
  const auto outcome = submit(job_);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("north: needs examples of shape [1, 28, 28], has [1, 8, 8]"));
}

TEST_F(BadJob, WithTooFewOutputsNamesTheSites) {
  job_.classes = 2;
  const auto outcome = submit(job_);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("north: needs at most 2 classes"));
}

TEST_F(BadJob, WhoseLayersDoNotFitNamesTheLayer) {
  auto text = job_.toml();
  text.replace(text.find("{ type = \"flatten\" }"), 20,
               "{ type = \"conv2d\", out_channels = 2, kernel_size = 9 }");
  const auto outcome = submit_text(text);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("layer 1 \"conv2d\""));
}

TEST_F(BadJob, OfZeroRoundsIsToldTheRange) {
  job_.rounds = 0;
  const auto outcome = submit(job_);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(":2: "), HasSubstr("rounds is 0, must be from 1 to")));
}

TEST_F(BadJob, WithAnUnknownSiteIsShownTheNearestOne) {
  job_.sites_extra = "mandatory = [\"nroth\"]";
  const auto outcome = submit(job_);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("no site \"nroth\" has ever joined"),
                                 HasSubstr("did you mean \"north\"?")));
}

TEST_F(BadJob, WithAnUnknownKeyNamesLineAndNearestKey) {
  const auto outcome = submit_text("name = \"x\"\nround = 3\n" + job_.toml().substr(17 + 2));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("job.toml:2: unknown key \"round\""),
                                 HasSubstr("did you mean \"rounds\"?")));
}

TEST_F(BadJob, ThatIsNoTomlNamesTheLine) {
  const auto outcome = submit_text("name = \"x\"\nrounds = = 3\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("job.toml:2: not valid TOML"));
}

TEST_F(BadJob, ThatIsMissingNamesTheFile) {
  const auto outcome = consortium_.entente({"job", "submit", "no-such-file.toml"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cannot read no-such-file.toml"));
}

TEST_F(BadJob, WithJsonIsAnObjectWithACode) {
  job_.dataset = "nothing-like-it";
  const auto outcome =
      consortium_.entente({"job", "submit", consortium_.write_job(job_).string(), "--json"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(nlohmann::json::parse(outcome.err)["error"], "dataset_unknown");
  EXPECT_EQ(outcome.out, "");
}

TEST_F(BadJob, IdOfNoJobIsShownTheNearestOne) {
  consortium_.hold("north", "prepare");
  (void)consortium_.submit(job_);
  for (const auto* command : {"show", "watch", "abort"}) {
    const auto outcome = consortium_.entente({"job", command, "stripes-2"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("there is no job \"stripes-2\""),
                                   HasSubstr("did you mean \"stripes-1\"?")));
  }
  const auto model = consortium_.entente({"model", "show", "stripes-1"});
  EXPECT_EQ(model.code, 1);
  EXPECT_THAT(model.err, HasSubstr("stripes-1 has no model yet"));
}

TEST_F(BadJob, CommandLineThatIsWrongGivesExitCode2) {
  EXPECT_EQ(consortium_.entente({"job", "sumbit", "x"}).code, 2);
  EXPECT_EQ(consortium_.entente({"job", "submit"}).code, 2);
  EXPECT_EQ(consortium_.entente({}).code, 2);
}

}  // namespace
}  // namespace entente::integration
