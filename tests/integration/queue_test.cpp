// Jobs that wait for sites: whose turn it is, and what they are told meanwhile.
#include <gmock/gmock.h>

#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Sites of one slot; the first job to come to north is held there in its first round.
class QueueOfJobs : public testing::Test {
 protected:
  void add_sites(const std::vector<std::string>& sites) {
    for (const auto& site : sites) {
      consortium_.add_site(site);
    }
    consortium_.wait_for_sites(sites.size());
    consortium_.hold("north", "train-1");
  }

  static JobFile job_at(const std::string& sites_extra, int min = 1) {
    JobFile job;
    job.sites_min = min;
    job.sites_extra = sites_extra;
    job.evaluates = false;
    return job;
  }

  std::string submit_and_hold(const JobFile& file) {
    const auto job = consortium_.submit(file);
    (void)consortium_.wait_until_held("north", "train-1");
    return job;
  }

  std::string explain(const std::string& job) {
    const auto outcome = consortium_.entente({"job", "explain", job});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
  }
  std::string state(const std::string& job) {
    return consortium_.ask({"job", "show", job})["state"];
  }

  Consortium consortium_;
};

TEST_F(QueueOfJobs, RunOneAfterTheOtherOnSitesOfOneSlotAndExplainSaysWhy) {
  add_sites({"north", "south"});
  const auto first = submit_and_hold({});
  const auto second = consortium_.submit({});
  EXPECT_EQ(explain(second),
            "stripes-2: waits, 1st in the queue: needs 2 sites at once; 0 of those that are there "
            "have a free slot\n"
            "  needed       north and south must have a slot free, or submit it with a lower "
            "sites.min than 2\n"
            "  reserved     the next free slots of north, south are kept for it\n"
            "  busy         north  its slot is held by stripes-1\n"
            "  busy         south  its slot is held by stripes-1\n");
  EXPECT_EQ(explain(first),
            "stripes-1: runs at north and south\n"
            "  taking part  north\n"
            "  taking part  south\n");
  const auto json = consortium_.ask({"job", "explain", second});
  EXPECT_EQ(json["place"], 1);
  EXPECT_EQ(json["sites"][0]["standing"], "busy");
  consortium_.release("north", "train-1");
  EXPECT_EQ(consortium_.wait_for_end(first)["state"], "completed");
  EXPECT_EQ(consortium_.wait_for_end(second)["state"], "completed");
}

TEST_F(QueueOfJobs, FillBackAroundTheReservationOfALargeOne) {
  add_sites({"east", "north", "south"});
  const auto first = submit_and_hold(job_at("max = 1\nmandatory = [\"north\"]"));
  const auto large = consortium_.submit(job_at("max = 2\nmandatory = [\"north\", \"south\"]", 2));
  const auto beside = consortium_.submit(job_at("max = 1"));
  const auto behind = consortium_.submit(job_at("max = 1\nmandatory = [\"south\"]"));
  EXPECT_THAT(consortium_.ask({"job", "explain", large})["reserved"],
              ElementsAre("north", "south"));
  EXPECT_EQ(consortium_.wait_for_end(beside)["state"], "completed") << "east is not reserved";
  EXPECT_EQ(state(large), "queued");
  EXPECT_THAT(explain(behind), HasSubstr("a job ahead needs some of those with a free slot"));
  EXPECT_THAT(explain(behind),
              HasSubstr("stripes-2 must start, which has reserved north and south"));
  consortium_.release("north", "train-1");
  for (const auto& job : {first, large, behind}) {
    EXPECT_EQ(consortium_.wait_for_end(job)["state"], "completed") << job;
  }
}

TEST_F(QueueOfJobs, SayBeforeTheyAreSubmittedWhatWouldHappen) {
  add_sites({"north", "south"});
  auto file = consortium_.write_job({}).string();
  EXPECT_EQ(consortium_.entente({"job", "submit", "--dry-run", file}).out,
            "the job: starts at once: it asks north and south, and each site's own policy decides\n"
            "  free         north\n"
            "  free         south\n");
  EXPECT_THAT(consortium_.ask({"job", "list"}), IsEmpty());
  const auto first = submit_and_hold({});
  const auto rehearsed = consortium_.ask({"job", "submit", "--dry-run", file});
  EXPECT_EQ(rehearsed["place"], 1);
  EXPECT_EQ(rehearsed["job"], nullptr);
  consortium_.release("north", "train-1");
  (void)consortium_.wait_for_end(first);
}

TEST_F(QueueOfJobs, OfOneCoordinatorKeepToItsQuota) {
  consortium_.configure_broker("[quotas]\njobs = 1\nslots = 2\n");
  EXPECT_TRUE(consortium_.stop("broker").success());
  consortium_.start_broker();
  add_sites({"east", "north", "south"});
  const auto first = submit_and_hold(job_at("max = 1\nmandatory = [\"north\"]"));
  const auto second = consortium_.submit(job_at("max = 1\nmandatory = [\"south\"]"));
  EXPECT_THAT(explain(second), HasSubstr("its coordinator's quota is 1 job at once"));
  EXPECT_THAT(explain(second), HasSubstr("one of stripes-1 must end"));
  const auto refused =
      consortium_.entente({"job", "submit", consortium_.write_job(job_at("", 3)).string()});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("the job needs 3 sites at once; a coordinator's quota is 2"));
  consortium_.release("north", "train-1");
  EXPECT_EQ(consortium_.wait_for_end(first)["state"], "completed");
  EXPECT_EQ(consortium_.wait_for_end(second)["state"], "completed");
}

}  // namespace
}  // namespace entente::integration
