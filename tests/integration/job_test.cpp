// A job from its file to the model, as a coordinator and two sites see it.
#include <gmock/gmock.h>

#include <set>

#include "common/crypto/digest.h"
#include "common/tensors/safetensors.h"
#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Another implementation's reading of the format: prints "name dtype shape" for each tensor.
constexpr const char* kReadSafetensors = R"(
import json, struct, sys
with open(sys.argv[1], "rb") as file:
    length, = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    data = file.read()
header.pop("__metadata__", None)
end = 0
for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
    begin, stop = tensor["data_offsets"]
    assert begin == end, name
    end = stop
    values = struct.unpack("<%df" % ((stop - begin) // 4), data[begin:stop])
    assert all(value == value and abs(value) < 1e6 for value in values), name
    print(name, tensor["dtype"], tensor["shape"])
assert end == len(data)
)";

class Job : public testing::Test {
 protected:
  Job() {
    consortium_.add_site("north");
    consortium_.add_site("south");
    consortium_.wait_for_sites(2);
  }

  // What the site's own ledger says has left it as accepted updates, in bytes.
  std::uint64_t bytes_in_ledger(const std::string& site) {
    const auto ledger = consortium_.run(
        "entente-agent",
        {"sent", "--json", "--config", (consortium_.site_folder(site) / "agent.toml").string()});
    EXPECT_EQ(ledger.code, 0) << ledger.err;
    std::uint64_t bytes = 0;
    for (const auto& row : json::parse(ledger.out)) {
      EXPECT_EQ(row["coordinator"], "alice");
      bytes += row["state"] == "accepted" ? row["bytes"].get<std::uint64_t>() : 0;
    }
    return bytes;
  }

  Consortium consortium_;
};

TEST_F(Job, CompletesAndItsModelIsReadableByAnybody) {
  const auto watched =
      consortium_.entente({"job", "submit", consortium_.write_job({}).string(), "--watch"});
  ASSERT_EQ(watched.code, 0) << watched.err;
  EXPECT_THAT(watched.out, HasSubstr("round 2 merged from 2 updates"));

  const auto file = consortium_.folder() / "stripes.safetensors";
  const auto pulled = consortium_.ask({"model", "pull", "stripes-1", "-o", file.string()});
  EXPECT_EQ(sha256(read_text(file)).hex(), pulled["blob"]);
  const auto tensors = TensorFile::open(file);
  ASSERT_TRUE(tensors) << tensors.error().message;
  EXPECT_EQ(tensors->layout().tensors.size(), 4U);

  const auto python = Command("/usr/bin/python3", {"-c", kReadSafetensors, file.string()}, {},
                              file.string() + ".log")
                          .finish();
  EXPECT_EQ(python.code, 0) << python.err;
  EXPECT_EQ(python.out,
            "hidden.weight F32 [16, 64]\nhidden.bias F32 [16]\n"
            "classes.weight F32 [3, 16]\nclasses.bias F32 [3]\n");
}

TEST_F(Job, ThatIsNotEvaluatedHasNoBestModel) {
  JobFile file;
  file.evaluates = false;
  const auto id = consortium_.complete(file);
  const auto refused = consortium_.entente({"model", "pull", id + "@best", "-o", "best"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("no model of " + id + " has been evaluated"));
}

TEST_F(Job, IsShownWithItsSitesRoundsAndModels) {
  const auto id = consortium_.complete({});
  const auto job = consortium_.ask({"job", "show", id});
  EXPECT_EQ(job["round"], 2);
  ASSERT_EQ(job["sites"].size(), 2U);
  for (const auto& site : job["sites"]) {
    EXPECT_EQ(site["enrolment"], "accepted");
    EXPECT_EQ(site["updates_accepted"], 2);
    EXPECT_EQ(site["examples"], kExamples);
    EXPECT_EQ(site["bytes_out"], bytes_in_ledger(site["site"]));
  }
  ASSERT_EQ(job["rounds_done"].size(), 3U);
  const auto& last = job["rounds_done"][2];
  EXPECT_EQ(last["updates"], 2);
  EXPECT_GT(last["evaluate_metrics"]["accuracy"], 0.9) << "the stripes were not learnt";

  const auto jobs = consortium_.ask({"job", "list"});
  ASSERT_EQ(jobs.size(), 1U);
  EXPECT_EQ(jobs[0]["state"], "completed");

  const auto models = consortium_.ask({"model", "list"});
  ASSERT_EQ(models.size(), 3U);
  EXPECT_EQ(models[2]["version"], 2);
  EXPECT_EQ(models[2]["parent"], models[1]["blob"]);
  EXPECT_EQ(models[1]["parent"], models[0]["blob"]);

  int best = 0;
  for (int round = 1; round <= 2; ++round) {
    const auto accuracy = [&](int number) {
      return job["rounds_done"][number]["evaluate_metrics"].value("accuracy", -1.0);
    };
    best = accuracy(round) > accuracy(best) ? round : best;
  }
  EXPECT_EQ(consortium_.ask({"model", "show", id + "@best"})["version"], best);

  const auto receipt = consortium_.ask({"model", "show", id + "@2"});
  ASSERT_EQ(receipt["contributions"].size(), 2U);
  EXPECT_EQ(receipt["contributions"][0]["site"], "north");
  EXPECT_EQ(receipt["contributions"][0]["weight"], 0.5);
  EXPECT_EQ(receipt["spec_digest"], job["spec_digest"]);
}

TEST_F(Job, OfManyRoundsIsToldFromItsFirstToItsLastEventToWhoeverWatchesLater) {
  JobFile file;
  file.rounds = 30;  // more events than fit in one message
  const auto id = consortium_.complete(file);
  const auto watched = consortium_.entente({"job", "watch", id});
  EXPECT_EQ(watched.code, 0) << watched.err;
  EXPECT_THAT(watched.out, HasSubstr("submitted by alice"));
  EXPECT_THAT(watched.out, HasSubstr("round 30 merged from 2 updates"));
  EXPECT_THAT(watched.out, HasSubstr("job " + id + " completed\n"));
}

TEST_F(Job, CataloguesNameSitesAndDatasets) {
  const auto sites = consortium_.ask({"site", "list"});
  ASSERT_EQ(sites.size(), 2U);
  EXPECT_EQ(sites[0]["site"], "north");
  EXPECT_EQ(sites[0]["connected"], true);

  const auto datasets = consortium_.ask({"dataset", "list"});
  ASSERT_EQ(datasets.size(), 4U);
  for (const auto& dataset : datasets) {
    EXPECT_EQ(dataset["examples"], dataset["dataset"] == "stripes" ? kExamples : kTestExamples);
    EXPECT_EQ(dataset["example_shape"], json({1, 8, 8}));
    EXPECT_EQ(dataset["classes"], 3);
  }
  for (const std::vector<std::string>& list : {std::vector<std::string>{"site", "list"},
                                               {"dataset", "list"},
                                               {"job", "list"},
                                               {"model", "list"}}) {
    const auto plain = consortium_.entente(list);
    EXPECT_EQ(plain.code, 0) << plain.err;
    EXPECT_THAT(plain.out, testing::Not(testing::IsEmpty()));
  }
}

TEST_F(Job, GivesTheSameModelAgainHereAndInAnotherConsortium) {
  const auto first = consortium_.model_hash(consortium_.complete({}));
  EXPECT_EQ(consortium_.model_hash(consortium_.complete({})), first);

  Consortium another;
  another.add_site("south");  // in another order
  another.add_site("north");
  another.wait_for_sites(2);
  EXPECT_EQ(another.model_hash(another.complete({})), first);
}

TEST_F(Job, OfAnotherSeedGivesAnotherModel) {
  JobFile job;
  job.rounds = 1;
  job.extra = "seed = 1";
  const auto first = consortium_.model_hash(consortium_.complete(job));
  job.extra = "seed = 2";
  EXPECT_NE(consortium_.model_hash(consortium_.complete(job)), first);
}

}  // namespace
}  // namespace entente::integration
