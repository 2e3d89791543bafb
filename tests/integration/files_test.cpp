// Jobs whose coordinator brings a model file, between real processes: what is wrong with it is said
// first, and neither a broken line nor a killed broker costs more than the rest of the way.
#include <gmock/gmock.h>

#include <algorithm>

#include "common/config/job_file.h"
#include "common/domain/layers.h"
#include "common/tensors/safetensors.h"
#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class BroughtFiles : public testing::Test {
 protected:
  void add_sites(const std::string& trainer = "held-trainer") {
    SiteSetup setup;
    setup.trainer = trainer;
    for (const auto* site : {"north", "south"}) {
      consortium_.add_site(site, setup);
    }
    consortium_.wait_for_sites(2);
  }

  fs::path path(const std::string& name) const { return consortium_.folder() / name; }

  static JobFile job(int hidden = 16) {
    JobFile file;
    file.hidden = hidden;
    file.rounds = 1;
    file.evaluates = false;
    file.extra = "init = \"file:first.safetensors\"\n";
    return file;
  }

  // A model of the job's shape, at the place that it names; `order` changes the tensors' order.
  void write_model(const JobFile& file, bool reversed = false) {
    auto layout = resolve_model(parse_job_file(file.toml(), "job", {})->model)->layout;
    if (reversed) {
      std::reverse(layout.tensors.begin(), layout.tensors.end());
    }
    std::vector<float> values(layout.elements());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i % 17) / 100;
    }
    TensorFileWriter writer(path("first.safetensors"), layout, {{"format", "pt"}});
    writer.append(std::span<const float>(values));
    writer.close();
  }

  // What the coordinator is bringing, at the broker.
  fs::path brought() const {
    return consortium_.folder() / "broker/data/brought/coordinator/alice";
  }
  bool has_partial() const {
    std::error_code missing;
    return fs::directory_iterator(brought() / "partial", missing) != fs::directory_iterator();
  }

  json only_job() {
    const auto jobs = consortium_.ask({"job", "list"});
    EXPECT_EQ(jobs.size(), 1U);
    return jobs.empty() ? json() : jobs[0];
  }

  // The broker dies at a place of common/runtime/failpoint.h.
  void arm_broker(const std::string& failpoint) {
    EXPECT_TRUE(consortium_.stop("broker").success());
    consortium_.set_environment("broker", {{"ENTENTE_FAILPOINT", failpoint}});
    consortium_.start_broker();
    consortium_.wait_for_sites(2);
  }

  void start_broker_again(const std::string& failpoint = "") {
    consortium_.kill("broker");  // reaps the one that has died
    consortium_.set_environment("broker", {{"ENTENTE_FAILPOINT", failpoint}});
    consortium_.start_broker();
    consortium_.wait_for_sites(2);
  }

  void expect_sound() {
    EXPECT_TRUE(consortium_.stop("broker").success());
    const auto check = consortium_.run("entente-broker",
                                       {"check", (consortium_.folder() / "broker/data").string()});
    EXPECT_EQ(check.code, 0) << check.out;
    EXPECT_THAT(check.out, Not(HasSubstr("note:")));
  }

  Consortium consortium_;
};

TEST_F(BroughtFiles, AJobGoesOnFromAModelThatWasPulled) {
  add_sites();
  auto first = job();
  first.extra.clear();
  const auto trained = consortium_.complete(first);
  const auto pulled =
      consortium_.ask({"model", "pull", trained, "-o", path("first.safetensors").string()});
  auto second = job();
  second.evaluates = true;
  const auto submitted = consortium_.ask({"job", "submit", consortium_.write_job(second).string()});
  EXPECT_EQ(submitted["files"][0]["blob"], pulled["blob"]) << submitted.dump(2);
  const std::string id = submitted["job"];
  ASSERT_EQ(consortium_.wait_for_end(id)["state"], "completed");
  const auto receipt = consortium_.ask({"model", "show", id + "@0"});
  EXPECT_EQ(receipt["origin"], "file:" + std::string(pulled["blob"]));
  EXPECT_EQ(receipt["blob"], pulled["blob"]);
  EXPECT_THAT(consortium_.entente({"model", "show", id + "@0"}).out, HasSubstr("starts from"));
  EXPECT_THAT(consortium_.entente({"job", "logs", id}).out,
              HasSubstr("starts from its coordinator's file"));
  EXPECT_THAT(consortium_.entente({"audit", "show", "--job", id}).out, HasSubstr("file.accept"));
  // The same job again, from the file that the broker has.
  const auto again = consortium_.ask({"job", "clone", id});
  const std::string copy = again["job"];
  EXPECT_EQ(consortium_.ask({"job", "show", copy})["state"], "queued");
  (void)consortium_.ask({"job", "upload", copy, path("first.safetensors").string()});
  EXPECT_EQ(consortium_.wait_for_end(copy)["state"], "completed");
  expect_sound();
}

TEST_F(BroughtFiles, AFileInAnotherOrderIsTakenAndOneOfOtherShapesIsNoSubmission) {
  add_sites("quick-trainer");
  write_model(job(), true);
  EXPECT_EQ(consortium_.wait_for_end(consortium_.submit(job()))["state"], "completed");
  write_model(job(9));
  const auto refused =
      consortium_.entente({"job", "submit", consortium_.write_job(job()).string()});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("tensor \"hidden.weight\" of shape [16, 64] was expected"));
  EXPECT_EQ(consortium_.ask({"job", "list"}).size(), 1U);
}

TEST_F(BroughtFiles, ADryRunSubmitsAndSendsNothing) {
  add_sites("quick-trainer");
  write_model(job());
  const auto file = consortium_.write_job(job()).string();
  EXPECT_THAT(consortium_.entente({"job", "submit", file, "--dry-run"}).out,
              HasSubstr("waits for its coordinator's file"));
  EXPECT_EQ(consortium_.ask({"job", "list"}).size(), 0U);
  EXPECT_FALSE(has_partial());
  EXPECT_THAT(consortium_.entente({"audit", "show"}).out, Not(HasSubstr("file.accept")));
}

#ifdef ENTENTE_FAILPOINTS

TEST_F(BroughtFiles, AnUploadThatTheBrokersDeathHasBrokenOffGoesOn) {
  add_sites("quick-trainer");
  const auto large = job(150);  // about ten of the smallest chunks, with which a transfer begins
  write_model(large);
  arm_broker("blob.chunk.written:6");
  const auto file = consortium_.write_job(large).string();
  const auto cut = consortium_.entente({"job", "submit", file});
  EXPECT_NE(cut.code, 0);
  EXPECT_THAT(cut.err, HasSubstr("stripes-1 is submitted and waits for its file"));
  EXPECT_THAT(cut.err, HasSubstr("go on with: entente job upload stripes-1 FILE"));
  const auto partial = brought() / "partial";
  ASSERT_FALSE(fs::is_empty(partial));
  const auto arrived = fs::file_size(fs::directory_iterator(partial)->path());
  EXPECT_GT(arrived, 0U);
  // As many chunks again would be its end: what is there is not sent again.
  EXPECT_GT(arrived, fs::file_size(path("first.safetensors")) / 2);
  start_broker_again("blob.chunk.written:6");
  EXPECT_EQ(only_job()["state"], "queued");
  EXPECT_THAT(std::string(only_job()["reason"]), HasSubstr("waits for its coordinator's file"));
  const auto wrong = consortium_.entente({"job", "upload", "stripes-1", file});
  EXPECT_NE(wrong.code, 0) << "the job file is not the file";
  const auto sent =
      consortium_.entente({"job", "upload", "stripes-1", path("first.safetensors").string()});
  EXPECT_EQ(sent.code, 0) << sent.err;
  start_broker_again();
  EXPECT_EQ(consortium_.wait_for_end("stripes-1")["state"], "completed");
  EXPECT_TRUE(fs::is_empty(partial));
  const auto late =
      consortium_.entente({"job", "upload", "stripes-1", path("first.safetensors").string()});
  EXPECT_EQ(late.code, 1);
  EXPECT_THAT(late.err, HasSubstr("does not wait for this file"));
  expect_sound();
}

// The coordinator may be gone by then.
TEST_F(BroughtFiles, AFileThatWasStoredWhenTheBrokerDiedNeedNotBeBroughtAgain) {
  add_sites("quick-trainer");
  write_model(job());
  arm_broker("blob.published");
  EXPECT_NE(consortium_.entente({"job", "submit", consortium_.write_job(job()).string()}).code, 0);
  start_broker_again();
  EXPECT_EQ(consortium_.wait_for_end("stripes-1")["state"], "completed");
  expect_sound();
}

#endif

TEST_F(BroughtFiles, AnAbortedJobTakesNoFileAndLeavesNothing) {
  add_sites("quick-trainer");
  auto first = job();
  write_model(first);
  const std::string id = consortium_.submit(first);
  ASSERT_EQ(consortium_.wait_for_end(id)["state"], "completed");
  // Its clone waits, since nobody has brought the file for it.
  write_model(job(12));
  auto other = job(12);
  const std::string waiting = consortium_.ask({"job", "clone", consortium_.submit(other)})["job"];
  EXPECT_EQ(consortium_.entente({"job", "abort", waiting}).code, 0);
  const auto late =
      consortium_.entente({"job", "upload", waiting, path("first.safetensors").string()});
  EXPECT_EQ(late.code, 1);
  EXPECT_THAT(late.err, HasSubstr("aborted"));
  EXPECT_FALSE(has_partial());
  EXPECT_EQ(consortium_.wait_for_end("stripes-2")["state"], "completed");
  expect_sound();
}

}  // namespace
}  // namespace entente::integration
