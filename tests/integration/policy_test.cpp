// A site's own policy has the last word, and says which clause it was.
#include <gmock/gmock.h>

#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using testing::HasSubstr;

class SitePolicy : public testing::Test {
 protected:
  // Runs a job at one site with such a policy.
  Outcome outcome_under(const std::string& policy) {
    SiteSetup setup;
    setup.policy = policy;
    consortium_.add_site("north", setup);
    consortium_.wait_for_sites(1);
    JobFile job;
    job.sites_min = 1;
    return consortium_.entente({"job", "submit", consortium_.write_job(job).string(), "--watch"});
  }

  Consortium consortium_;
};

TEST_F(SitePolicy, ThatDoesNotListTheCoordinatorFailsTheJobWithItsClause) {
  const auto outcome =
      outcome_under("coordinators = [\"bob\"]\ndatasets = [\"*\"]\nkinds = [\"*\"]\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("policy clause \"coordinators\" does not list \"alice\""));
  const auto job = consortium_.ask({"job", "show", "stripes-1"});
  EXPECT_EQ(job["state"], "failed");
  EXPECT_THAT(job["reason"].get<std::string>(), HasSubstr("north: policy clause"));
  EXPECT_EQ(job["sites"][0]["enrolment"], "declined");
}

TEST_F(SitePolicy, ThatIsEmptyAllowsNothing) {
  const auto outcome = outcome_under("");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("policy clause"));
}

TEST_F(SitePolicy, ThatDoesNotListTheEvaluationDatasetDeclines) {
  const auto outcome =
      outcome_under("coordinators = [\"alice\"]\ndatasets = [\"stripes\"]\nkinds = [\"train\"]\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("policy clause \"datasets\" does not list \"stripes-test\""));
}

}  // namespace
}  // namespace entente::integration
