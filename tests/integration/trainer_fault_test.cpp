// A trainer that fails at a site: the coordinator reads, in `job show` and in `job watch`, which
// site failed at which task and why, in the words of the cause, within seconds; and the next job at
// the same agent is as if nothing had been.
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Fault {
  const char* name;  // quick_trainer_main.cpp
  const char* cause;
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class TrainerFault : public testing::Test {
 protected:
  void add_sites(const std::string& trainer) {
    SiteSetup setup;
    setup.trainer = trainer;
    consortium_.add_site("north", setup);
    consortium_.add_site("south", setup);
    consortium_.wait_for_sites(2);
  }

  static JobFile job_file() {
    JobFile job;
    job.evaluates = false;
    return job;
  }

  // Follows the job to its end, as a person would.
  void expect_told(const std::string& job, const std::string& task, const std::string& cause) {
    const auto watched = consortium_.entente({"job", "watch", job});
    EXPECT_EQ(watched.code, 1);
    EXPECT_THAT(watched.out, HasSubstr("north, " + task + ": "));
    EXPECT_THAT(watched.out, HasSubstr(cause));
    const auto shown = consortium_.entente({"job", "show", job});
    EXPECT_THAT(shown.out, HasSubstr("north"));
    EXPECT_THAT(shown.out, HasSubstr(cause));
    const std::string reason = consortium_.ask({"job", "show", job})["reason"];
    EXPECT_THAT(reason, HasSubstr("round"));
    EXPECT_THAT(reason, HasSubstr("north: "));
    EXPECT_THAT(reason, HasSubstr(cause));
  }

  Consortium consortium_;
};

class FaultyTrainer : public TrainerFault, public testing::WithParamInterface<Fault> {};

TEST_P(FaultyTrainer, IsNamedWithSiteTaskAndCauseAndTheNextJobIsFine) {
  add_sites("quick-trainer");
  const auto model = consortium_.model_hash(consortium_.complete(job_file()));
  const auto fault = consortium_.site_folder("north") / "fault";
  write_text(fault, GetParam().name);
  expect_told(consortium_.submit(job_file()), "training round 1", GetParam().cause);
  fs::remove(fault);
  EXPECT_EQ(consortium_.model_hash(consortium_.complete(job_file())), model);
}

INSTANTIATE_TEST_SUITE_P(
    That, FaultyTrainer,
    testing::Values(Fault{"error", "ZeroDivisionError: division by zero"},
                    Fault{"killed",
                          "the trainer was killed by signal 9 (Killed): the machine ran out of "
                          "memory, most likely"},
                    Fault{"garbage", "the trainer broke its contract: "}),
    [](const testing::TestParamInfo<Fault>& fault) { return std::string(fault.param.name); });

// It is no failure before the stall window is over, and then the others go on without the site.
TEST_F(TrainerFault, OfOneThatHangsIsToldAndTheOthersGoOn) {
  add_sites("quick-trainer");
  const auto model = consortium_.model_hash(consortium_.complete(job_file()));
  const auto fault = consortium_.site_folder("north") / "fault";
  write_text(fault, "hang");
  auto stalling = job_file();
  stalling.sites_extra = "quorum = 1";
  stalling.extra = "stall_window = \"2s\"";
  const auto watched = consortium_.entente({"job", "watch", consortium_.submit(stalling)});
  EXPECT_EQ(watched.code, 0) << watched.err;
  EXPECT_THAT(watched.out, HasSubstr("north, training round 1: no progress for 2 s"));
  fs::remove(fault);
  EXPECT_EQ(consortium_.model_hash(consortium_.complete(job_file())), model);
}

// A trainer that lives on keeps its data in memory; the one that comes after it has none.
TEST_F(TrainerFault, OfAFileThatVanishedBetweenRoundsNamesTheFile) {
  add_sites("held-trainer");
  consortium_.hold("north", "train-2");
  const auto job = consortium_.submit(job_file());
  const auto trainer = consortium_.wait_until_held("north", "train-2");
  const auto images = consortium_.site_folder("north") / "train.images";
  const auto kept = read_text(images);
  fs::remove(images);
  ASSERT_EQ(::kill(trainer, SIGKILL), 0);
  consortium_.release("north", "train-2");
  expect_told(job, "training round 2", "cannot open");
  EXPECT_THAT(consortium_.entente({"job", "show", job}).out, HasSubstr("train.images"));
  write_text(images, kept);
  (void)consortium_.complete(job_file());
}

}  // namespace
}  // namespace entente::integration
