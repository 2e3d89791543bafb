// Updates in each encoding, between real processes: what is sent, merged and learnt.
#include <gmock/gmock.h>

#include <vector>

#include "broker/merge/strategies/server_optimizer.h"
#include "broker/merge/strategies/weighted_mean.h"
#include "common/config/job_file.h"
#include "common/domain/seeds.h"
#include "common/domain/update_encodings.h"
#include "common/tensors/safetensors.h"
#include "common/tensors/update_encoder.h"
#include "common/tensors/update_file.h"
#include "tests/support/consortium.h"
#include "tests/support/killed_job.h"
#include "tests/support/quick_trainer.h"
#include "tests/support/sent_updates.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Another implementation's reading of docs/encodings.md: writes the flat vector as float32.
constexpr const char* kReadUpdate = R"(
import json, math, struct, sys
encoding, source, target, total = *sys.argv[1:4], int(sys.argv[4])
with open(source, "rb") as file:
    length, = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    data = file.read()
header.pop("__metadata__", None)
def read(name):
    begin, end = header[name]["data_offsets"]
    dtype = header[name]["dtype"]
    if dtype == "BF16":
        words = struct.unpack("<%dH" % ((end - begin) // 2), data[begin:end])
        return [struct.unpack("<f", struct.pack("<I", word << 16))[0] for word in words]
    letter = {"F32": "f", "F16": "e", "I8": "b", "I32": "i"}[dtype]
    return struct.unpack("<%d%s" % ((end - begin) // struct.calcsize(letter), letter),
                         data[begin:end])
flat = []
if encoding == "topk":
    flat = [0.0] * total
    for place, value in zip(read("indices"), read("values")):
        flat[place] = value
else:
    for name in header:
        if name.endswith(":scale"):
            continue
        values = read(name)
        if encoding == "int8":
            scales = read(name + ":scale")
            values = [value * scales[i // 2048] for i, value in enumerate(values)]
        flat += values
assert len(flat) == total
with open(target, "wb") as file:
    file.write(struct.pack("<%df" % total, *flat))
)";

JobFile job_with(const std::string& encoding) {
  JobFile file;
  file.extra = "seed = 5\nupdate.encoding = \"" + encoding + "\"\n";
  return file;
}

JobSpec spec_of(const JobFile& file) { return parse_job_file(file.toml(), "job", {}).value(); }

class Encodings : public testing::Test {
 protected:
  void add_sites(const std::string& trainer) {
    SiteSetup setup;
    setup.trainer = trainer;
    for (const auto* site : {"north", "south"}) {
      consortium_.add_site(site, setup);
    }
    consortium_.wait_for_sites(2);
  }

  // Bytes of each accepted update of training, as the site's own ledger says.
  std::vector<std::uint64_t> sent_by(const std::string& site) {
    const auto ledger = consortium_.run(
        "entente-agent",
        {"sent", "--json", "--config", (consortium_.site_folder(site) / "agent.toml").string()});
    EXPECT_EQ(ledger.code, 0) << ledger.err;
    std::vector<std::uint64_t> bytes;
    for (const auto& row : json::parse(ledger.out)) {
      if (row["kind"] == "train" && row["state"] == "accepted") {
        bytes.push_back(row["bytes"]);
      }
    }
    return bytes;
  }

  std::vector<float> published(const std::string& job, const TensorLayout& layout) {
    const auto file = consortium_.folder() / "model.safetensors";
    (void)consortium_.ask({"model", "pull", job, "-o", file.string()});
    const auto tensors = TensorFile::open(file);
    const auto values = tensors->flat(layout);
    return {values->begin(), values->end()};
  }

  Consortium consortium_;
};

class EachEncoding : public Encodings, public testing::WithParamInterface<std::string> {};

// Two sites of the same weight; the mean of what the broker could read of their updates.
std::vector<float> recomputed(const JobSpec& spec) {
  const auto layout = resolve_model(spec.model)->layout;
  SentUpdates sent(layout, spec.update);
  auto model = quick_update(std::vector<float>(layout.elements()), task_seed(*spec.seed, 0, ""));
  for (Round round = 1; round <= spec.rounds; ++round) {
    std::vector<std::vector<float>> updates;
    for (const auto* site : {"north", "south"}) {
      const auto seed = task_seed(*spec.seed, round, site);
      updates.push_back(sent.send(site, quick_update(model, seed), seed));
    }
    const std::vector<const float*> rows{updates[0].data(), updates[1].data()};
    const std::vector<double> weights(2, static_cast<double>(kQuickExamples));
    std::vector<double> mean(model.size());
    broker::weighted_mean(rows, weights, 2.0 * kQuickExamples, mean);
    broker::server_step(broker::ServerOptimizer(), mean, model, {}, {});
  }
  return model;
}

TEST_P(EachEncoding, GivesTheModelThatItsReceiptSaysAndSendsTheBytesOfTheLedger) {
  add_sites("quick-trainer");
  auto file = job_with(GetParam());
  file.rounds = 4;
  file.evaluates = false;
  const auto id = consortium_.complete(file);
  const auto spec = spec_of(file);
  const auto layout = resolve_model(spec.model)->layout;
  EXPECT_EQ(published(id, layout), recomputed(spec));

  constexpr std::uint64_t kHeaderMax = 1024;
  const auto bytes = encoded_layout(layout, spec.update).bytes();
  for (const auto* site : {"north", "south"}) {
    const auto sent = sent_by(site);
    EXPECT_EQ(sent.size(), 4U);
    EXPECT_THAT(sent,
                testing::Each(testing::AllOf(testing::Gt(bytes), testing::Lt(bytes + kHeaderMax))));
  }
  EXPECT_FALSE(fs::exists(consortium_.site_folder("north") / "data/work" / id))
      << "files left over";
}

TEST_P(EachEncoding, IsReadByAnybodyWhoKnowsTheFormat) {
  const auto spec = spec_of(job_with(GetParam()));
  const auto layout = resolve_model(spec.model)->layout;
  EncodeRequest request;
  request.update = consortium_.folder() / "update";
  request.model = layout;
  request.spec = spec.update;
  request.output = consortium_.folder() / "encoded";
  request.residual_after = consortium_.folder() / "residual";
  TensorFileWriter writer(request.update, layout, {});
  writer.append(quick_update(std::vector<float>(layout.elements()), 3));
  writer.close();
  ASSERT_TRUE(encode_update(request));
  const auto file = UpdateFile::open(request.output, layout, spec.update);
  ASSERT_TRUE(file) << file.error().message;
  std::vector<float> scratch(file->size());
  const auto* const ours = reinterpret_cast<const char*>(file->read(0, scratch));

  const auto theirs = consortium_.folder() / "flat";
  const auto python = Command("/usr/bin/python3",
                              {"-c", kReadUpdate, GetParam(), request.output.string(),
                               theirs.string(), std::to_string(file->size())},
                              {}, theirs.string() + ".log")
                          .finish();
  EXPECT_EQ(python.code, 0) << python.err;
  EXPECT_TRUE(read_text(theirs) == std::string(ours, file->size() * sizeof(float)));
}

TEST_P(EachEncoding, LearnsTheStripes) {
  add_sites("held-trainer");
  auto file = job_with(GetParam());
  // A twentieth of the values a round: it takes a few rounds more.
  file.rounds = GetParam() == "topk" ? 12 : 3;
  const auto job = consortium_.ask({"job", "show", consortium_.complete(file)});
  EXPECT_GT(job["rounds_done"].back()["evaluate_metrics"]["accuracy"], 0.9);
}

INSTANTIATE_TEST_SUITE_P(Of, EachEncoding, testing::ValuesIn(encoding_names()),
                         [](const auto& encoding) { return encoding.param; });

// Training, and with a finished update that cannot leave: the residual is neither lost nor counted
// twice.
TEST_F(Encodings, OfTopKSurviveTheDeathOfTheAgent) {
  add_sites("held-trainer");
  auto file = job_with("topk");
  file.rounds = 4;
  const auto undisturbed = consortium_.model_hash(consortium_.complete(file));

  const auto job = end_though_killed(consortium_, file);
  EXPECT_EQ(consortium_.model_hash(job), undisturbed);
}

// The residual goes with the job: nothing but the last model's copy may stay.
TEST_F(Encodings, OfTopKLeaveNoResidualBehindTheirJob) {
  add_sites("quick-trainer");
  auto file = job_with("topk");
  file.rounds = 5;
  file.evaluates = false;
  (void)consortium_.complete(file);
  const auto blobs = consortium_.site_folder("north") / "data/blobs";
  wait_until("the job's files are gone from the site", [&] {
    std::size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(blobs)) {
      files += entry.is_regular_file() ? 1 : 0;
    }
    return files == 0;
  });
}

}  // namespace
}  // namespace entente::integration
