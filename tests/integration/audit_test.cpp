// Who may read the broker's record, and who can tell that it was tampered with.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>

#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int kNotAuthorised = 4;

class Audit : public testing::Test {
 protected:
  Audit() {
    job_.sites_min = 1;
    consortium_.add_site("north");
    consortium_.wait_for_sites(1);
    consortium_.issue(Role::auditor, "vera");
  }

  Outcome as_auditor(const std::vector<std::string>& arguments) {
    return consortium_.entente_as("vera", arguments);
  }

  std::string mark() {
    const auto verified = as_auditor({"audit", "verify", "--json"});
    EXPECT_EQ(verified.code, 0) << verified.err;
    return json::parse(verified.out)["mark"];
  }

  // What a broker's operator could do with the database at hand.
  void tamper(const std::string& sql) {
    SQLite::Database database((consortium_.folder() / "broker/data/broker.db").string(),
                              SQLite::OPEN_READWRITE, 5000);
    database.exec(sql);
  }

  Consortium consortium_;
  JobFile job_;
};

TEST_F(Audit, IsReadByAuditorsAndByCoordinatorsForTheirOwnJobs) {
  const auto job = consortium_.complete(job_);
  const auto all = as_auditor({"audit", "show"});
  ASSERT_EQ(all.code, 0) << all.err;
  EXPECT_THAT(all.out, HasSubstr("job.submit"));
  EXPECT_THAT(all.out, HasSubstr("coordinator/alice"));

  const auto whole = as_auditor({"audit", "show", "--all", "--json"});
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(json::parse(whole.out)[0]["seq"], 1);

  const auto own = consortium_.ask({"audit", "show", "--job", job, "--last", "500"});
  std::set<std::string> actions;
  for (const auto& entry : own) {
    EXPECT_THAT(entry["object"].get<std::string>(), HasSubstr(job));
    actions.insert(entry["action"]);
  }
  EXPECT_THAT(actions, testing::IsSupersetOf({"job.submit", "job.accept", "update.accept",
                                              "model.publish", "job.complete"}));
  EXPECT_EQ(consortium_.ask({"audit", "show", "--job", job, "--last", "1"})[0]["action"],
            "job.complete");

  for (const auto* verb : {"show", "verify"}) {
    const auto denied = consortium_.entente({"audit", verb});
    EXPECT_EQ(denied.code, kNotAuthorised);
    EXPECT_THAT(denied.err, HasSubstr("coordinator/alice may not read the whole audit log"));
  }
  EXPECT_THAT(as_auditor({"audit", "show", "--last", "1"}).out, HasSubstr("request.deny"));

  const auto unknown = as_auditor({"audit", "show", "--job", "nope"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("there is no job \"nope\""));
}

TEST_F(Audit, IsVerifiedByWhoeverReadsItUpToTheFirstBadEntry) {
  consortium_.complete(job_);
  const auto before = mark();
  consortium_.complete(job_);
  const auto grown = as_auditor({"audit", "verify", "--from", before});
  EXPECT_EQ(grown.code, 0) << grown.err;
  EXPECT_THAT(grown.out, HasSubstr("each follows from the one before"));

  tamper("UPDATE audit SET detail = 'nothing' WHERE seq = 3");
  const auto changed = as_auditor({"audit", "verify"});
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.err, HasSubstr("audit entry 3 does not follow from entry 2"));
}

TEST_F(Audit, ThatWasCutShortIsFoundByWhoeverKeptAMark) {
  consortium_.complete(job_);
  const auto before = mark();
  tamper("DELETE FROM audit WHERE seq > 2");
  EXPECT_EQ(as_auditor({"audit", "verify"}).code, 0) << "what is left is whole";
  const auto cut = as_auditor({"audit", "verify", "--from", before});
  EXPECT_EQ(cut.code, 1);
  EXPECT_THAT(cut.err, HasSubstr("the audit log ends at entry 2"));
}

TEST_F(Audit, AMarkOfAnotherLogIsNotTakenForThisOne) {
  consortium_.complete(job_);
  auto other = mark();
  other.back() = other.back() == '0' ? '1' : '0';
  const auto rewritten = as_auditor({"audit", "verify", "--from", other});
  EXPECT_EQ(rewritten.code, 1);
  EXPECT_THAT(rewritten.err, HasSubstr("is not the one that was verified before"));
  const auto garbage = as_auditor({"audit", "verify", "--from", "yesterday"});
  EXPECT_EQ(garbage.code, 1);
  EXPECT_THAT(garbage.err, HasSubstr("NUMBER:HASH"));
}

}  // namespace
}  // namespace entente::integration
