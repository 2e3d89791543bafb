// Three institutions under different laws and policies, two coordinators: who works for whom, who
// has to be asked, who says no and in what words (tests/golden/placement_refusals.txt).
#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Institutions : public testing::Test {
 protected:
  Institutions() {
    bob_ = consortium_.issue(Role::coordinator, "bob");
    add("berlin", "jurisdiction = \"DE\"\nlabels = { network = \"university\" }\n",
        "coordinators = [\"alice\", \"bob\"]\ndatasets = [\"*\"]\nkinds = [\"train\"]\n"
        "approve = \"manual\"\n");
    add("boston", "jurisdiction = \"US-MA\"\nmemory = \"4GB\"\n",
        "coordinators = [\"alice\", \"bob\"]\ndatasets = [\"*\"]\nkinds = [\"train\"]\n"
        "cohort_min = 3\n");
    add("lyon", "jurisdiction = \"FR\"\n",
        "coordinators = [\"alice\"]\ndatasets = [\"*\"]\nkinds = [\"train\"]\n");
    consortium_.wait_for_sites(3);
  }

  void add(const std::string& site, const std::string& about, const std::string& policy) {
    SiteSetup setup;
    setup.about = about;
    setup.policy = policy;
    setup.trainer = "quick-trainer";
    consortium_.add_site(site, setup);
  }

  JobFile job(int sites_min, const std::string& sites_extra) {
    JobFile file;
    file.sites_min = sites_min;
    file.sites_extra = sites_extra;
    file.evaluates = false;
    return file;
  }

  // What `entente job submit` says, as a transcript.
  std::string refusal_of(const std::string& who, const JobFile& file) {
    const auto path = consortium_.write_job(file);
    const auto outcome = consortium_.entente_as(who, {"job", "submit", path.string(), "--watch"});
    EXPECT_EQ(outcome.code, 1) << outcome.out;
    auto said = outcome.err;
    if (said.empty()) {
      said = outcome.out.substr(outcome.out.rfind("job stripes-"));
    }
    return who + ": " + file.sites_extra + "\n" + said + "\n";
  }

  void wait_until_pending(const std::string& site, const std::string& id) {
    wait_until("the job to wait for approval", [&] {
      return consortium_.at_site(site, {"pending"}).out.find(id) != std::string::npos;
    });
  }

  Consortium consortium_;
  std::filesystem::path bob_;
};

TEST_F(Institutions, WorkForWhomTheirLawPolicyAndPeopleAllow) {
  const auto id = consortium_.submit(job(2, "require = \"jurisdiction IN ('DE', 'FR')\""));
  wait_until_pending("berlin", id);
  EXPECT_EQ(consortium_.ask({"job", "show", id})["state"], "queued") << "no slot idles meanwhile";
  ASSERT_EQ(consortium_.at_site("berlin", {"approve", id, "--reason", "vote 17"}).code, 0);
  ASSERT_EQ(consortium_.wait_for_end(id)["state"], "completed");
  std::vector<std::string> contributors;
  const auto receipt = consortium_.ask({"model", "show", id});
  for (const auto& one : receipt["contributions"]) {
    contributors.push_back(one["site"]);
  }
  EXPECT_THAT(contributors, ElementsAre("berlin", "lyon"));

  // bob's job needs all three; lyon does not know him.
  auto three = job(3, "quorum = 3");
  three.name = "wide";
  const auto path = consortium_.write_job(three);
  const auto declined = consortium_.entente_as("bob", {"job", "submit", path.string(), "--watch"});
  EXPECT_EQ(declined.code, 1);
  EXPECT_THAT(declined.out,
              HasSubstr("lyon declined: policy clause \"coordinators\" does not list \"bob\""));
}

TEST_F(Institutions, ArePreferredAsTheJobSaysAndByNameAmongEqualOnes) {
  auto file = job(1, "max = 1\nprefer = \"jurisdiction = 'FR'\"");
  const auto id = consortium_.complete(file);
  EXPECT_EQ(consortium_.ask({"model", "show", id})["contributions"][0]["site"], "lyon");
}

TEST_F(Institutions, AreRefusedInWordsThatSayWhatToChange) {
  std::string said;
  for (const char* extra : {
           "require = \"jurisdicton = 'DE'\"",
           "require = \"jurisdiction = 'IT'\"",
           "require = \"label('network') = 'city'\"",
           "require = \"(SELECT examples FROM dataset WHERE name = 'stripes') > 1000\"",
           "require = \"version\"",
           "require = \"length(hex(zeroblob(400000000))) > 1\"",
           "require = \"(SELECT count(*) FROM sqlite_master) > 0\"",
           "require = \"1; DROP TABLE site\"",
           "prefer = \"jurisdiction\"",
           "samples_min = 241",
           "mandatory = [\"boston\"]\nrequire = \"memory_bytes >= 8000000000\"",
       }) {
    said += refusal_of("alice", job(1, extra));
  }
  // A site's own word, in the events of the job.
  said += refusal_of("bob", job(1, "require = \"jurisdiction = 'FR'\""));
  said += refusal_of("bob", job(1, "require = \"jurisdiction = 'US-MA'\""));

  std::ifstream file(ENTENTE_GOLDEN_FOLDER "/placement_refusals.txt");
  const std::string golden{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(said, golden);
}

}  // namespace
}  // namespace entente::integration
