// Each illegal value is refused, by its name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <schemas/envelope.capnp.h>

#include <cmath>
#include <functional>
#include <limits>

#include "common/base/limits.h"
#include "common/wire/checks.h"
#include "common/wire/control_codec.h"
#include "common/wire/framing.h"
#include "common/wire/job_codec.h"
#include "common/wire/values.h"
#include "tests/unit/wire/samples.h"

namespace entente::wire {
namespace {

using samples::bytes_of;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void expect_invalid(const msg::Control& message, const std::string& what) {
  const auto decoded = decode_control(bytes_of(encode(message)));
  ASSERT_FALSE(decoded) << what;
  EXPECT_EQ(decoded.error().code, "message_invalid") << what;
  EXPECT_THAT(decoded.error().message, HasSubstr(what));
}

void expect_invalid(const msg::Data& message, const std::string& what) {
  const auto decoded = decode_data(bytes_of(encode(message)));
  ASSERT_FALSE(decoded) << what;
  EXPECT_EQ(decoded.error().code, "message_invalid") << what;
  EXPECT_THAT(decoded.error().message, HasSubstr(what));
}

// Encodes an envelope that `write` fills in by hand, for what the domain's types can't hold.
Bytes envelope(const std::function<void(schema::ControlEnvelope::Builder)>& write) {
  capnp::MallocMessageBuilder message;
  write(message.initRoot<schema::ControlEnvelope>());
  return framed_bytes(message);
}

void expect_invalid_bytes(const Bytes& bytes, const std::string& what) {
  const auto decoded = decode_control(bytes_of(bytes));
  ASSERT_FALSE(decoded) << what;
  EXPECT_EQ(decoded.error().code, "message_invalid") << what;
  EXPECT_THAT(decoded.error().message, HasSubstr(what));
}

TEST(IllegalValues, InASession) {
  auto hello = std::get<msg::Hello>(samples::control_messages()[0]);
  auto changed = hello;
  changed.protocol_min = 0;
  expect_invalid(msg::Control(changed), "hello.protocol");
  changed = hello;
  changed.protocol_max = changed.protocol_min - 1;
  expect_invalid(msg::Control(changed), "hello.protocol");
  changed = hello;
  changed.version.assign(kLabelBytesMax + 1, 'v');
  expect_invalid(msg::Control(changed), "hello.version");
  changed = hello;
  changed.version = "0.1\x1b[2J";
  expect_invalid(msg::Data(changed), "hello.version");
  changed = hello;
  changed.capabilities.assign(kCapabilitiesMax + 1, "c");
  expect_invalid(msg::Control(changed), "capabilities");
  changed = hello;
  changed.capabilities = {""};
  expect_invalid(msg::Control(changed), "capability");

  msg::Welcome welcome;
  welcome.protocol = 0;
  expect_invalid(msg::Control(welcome), "welcome.protocol");
  welcome = {};
  welcome.broker = "no name";
  expect_invalid(msg::Control(welcome), "welcome.broker");
}

TEST(IllegalValues, InARefusal) {
  for (const char* code : {"", "Not_Snake", "with space", "dash-ed"}) {
    auto refusal = samples::refusal();
    refusal.code = code;
    expect_invalid(msg::Control(msg::Refused{refusal}), "refusal.code");
  }
  auto refusal = samples::refusal();
  refusal.code.assign(kRefusalCodeBytesMax + 1, 'a');
  expect_invalid(msg::Control(msg::Refused{refusal}), "refusal.code");
  refusal = samples::refusal();
  refusal.scope = static_cast<Scope>(4);
  expect_invalid(msg::Control(msg::Refused{refusal}), "refusal.scope");
  expect_invalid(msg::Data(msg::BlobRefused{samples::blob(1), refusal}), "refusal.scope");
}

TEST(IllegalValues, InAnAdvert) {
  const auto expect = [](const std::string& what, const std::function<void(SiteAdvert&)>& change) {
    auto advert = samples::site_advert();
    change(advert);
    expect_invalid(msg::Control(msg::Advert{advert}), what);
    EXPECT_FALSE(decode_site_advert(bytes_of(encode(advert)))) << what;
  };
  expect("dataset.name", [](auto& a) { a.datasets[0].name = ""; });
  expect("dataset.name", [](auto& a) { a.datasets[0].name = "broken \xc3("; });
  expect("dataset.kind", [](auto& a) { a.datasets[0].kind = ""; });
  expect("dataset.examples", [](auto& a) { a.datasets[0].examples = limits::kExamplesMax + 1; });
  expect("dataset.exampleShape", [](auto& a) { a.datasets[0].example_shape = {0}; });
  expect("dataset.exampleShape", [](auto& a) { a.datasets[0].example_shape = {-3}; });
  expect("dataset.exampleShape",
         [](auto& a) { a.datasets[0].example_shape.assign(limits::kTensorDimensionsMax + 1, 1); });
  expect("advert.datasets", [](auto& a) { a.datasets[1].name = a.datasets[0].name; });
  expect("advert.datasets",
         [](auto& a) { a.datasets.assign(limits::kDatasetsPerSiteMax + 1, a.datasets[0]); });
  expect("advert.slots", [](auto& a) { a.slots = kSlotsMax + 1; });
  expect("dataset.classNames", [](auto& a) { a.datasets[0].class_names.pop_back(); });
  expect("dataset.classNames", [](auto& a) { a.datasets[0].class_names[1] = "shirt"; });
  expect("dataset.classNames", [](auto& a) { a.datasets[0].class_names[1] = "line\nbreak"; });
  expect("dataset.tags", [](auto& a) { a.datasets[0].tags = {"ct", "ct"}; });
  expect("dataset.tags", [](auto& a) { a.datasets[0].tags = {"not a name"}; });
  expect("dataset.features", [](auto& a) { a.datasets[0].features = {"age", "age"}; });
  expect("dataset.features", [](auto& a) { a.datasets[0].features = {""}; });
  expect("dataset.targets", [](auto& a) { a.datasets[0].targets = limits::kTargetsMax + 1; });
  expect("dataset.vocabulary",
         [](auto& a) { a.datasets[0].vocabulary = limits::kVocabularyMax + 1; });
  expect("dataset.tags",
         [](auto& a) { a.datasets[0].tags.assign(limits::kTagsPerDatasetMax + 1, "ct"); });
  expect("resources.cores", [](auto& a) { a.resources.cores = limits::kCoresMax + 1; });
  expect("resources.memoryBytes",
         [](auto& a) { a.resources.memory_bytes = limits::kMemoryBytesMax + 1; });
  expect("resources.gpus", [](auto& a) { a.resources.gpus = limits::kGpusMax + 1; });
  expect("advert.jurisdiction", [](auto& a) { a.jurisdiction = "de"; });
  expect("advert.jurisdiction",
         [](auto& a) { a.jurisdiction.assign(limits::kJurisdictionBytesMax + 1, 'A'); });
  expect("label.key", [](auto& a) { a.labels = {{"No Name", "x"}}; });
  expect("label.value", [](auto& a) { a.labels = {{"network", ""}}; });
  expect("advert.labels", [](auto& a) {
    for (std::size_t i = 0; i <= limits::kLabelsPerSiteMax; ++i) {
      a.labels.emplace(std::to_string(1000 + i), "x");
    }
  });
  expect("advert.threadsPerSlot", [](auto& a) { a.threads_per_slot = kSlotsMax + 1; });
}

TEST(IllegalValues, InAJobSpec) {
  const auto expect = [](const std::string& what, const std::function<void(JobSpec&)>& change) {
    auto spec = samples::job_spec();
    change(spec);
    expect_invalid(msg::Control(msg::Request{1, msg::SubmitJob{spec, {}}}), what);
    const auto stored = decode_job_spec(bytes_of(encode_canonical(spec)));
    ASSERT_FALSE(stored) << what;
    EXPECT_THAT(stored.error().message, HasSubstr(what));
  };
  expect("job.name", [](auto& s) { s.name = ""; });
  expect("job.name", [](auto& s) { s.name = "Lung"; });
  expect("job.name", [](auto& s) { s.name = "../lung"; });
  expect("job.rounds", [](auto& s) { s.rounds = limits::kRoundsMax + 1; });
  expect("job.deadlineMs", [](auto& s) { s.deadline = Millis(-1); });
  expect("job.deadlineMs", [](auto& s) { s.deadline = Millis(kDurationMsMax + 1); });
  expect("job.stallWindowMs", [](auto& s) { s.stall_window = Millis::max(); });
  expect("sites.min", [](auto& s) { s.sites.min = limits::kSitesPerJobMax + 1; });
  expect("sites.max", [](auto& s) { s.sites.max = limits::kSitesPerJobMax + 1; });
  expect("sites.quorum", [](auto& s) { s.sites.quorum = limits::kSitesPerJobMax + 1; });
  expect("sites.mandatory", [](auto& s) { s.sites.mandatory.emplace_back(); });
  expect("sites.exclude", [](auto& s) {
    s.sites.exclude.assign(limits::kSitesPerJobMax + 1, SiteId::literal("s"));
  });
  expect("sites.samplesMin", [](auto& s) { s.sites.samples_min = limits::kExamplesMax + 1; });
  expect("sites.require", [](auto& s) { s.sites.require = "1\x01"; });
  expect("sites.require",
         [](auto& s) { s.sites.require.assign(limits::kExpressionBytesMax + 1, '1'); });
  expect("sites.prefer", [](auto& s) { s.sites.prefer = "broken \xc3("; });
  expect("sample.by", [](auto& s) { s.sites.sample->by = static_cast<SampleBy>(3); });
  expect("sample.count", [](auto& s) { s.sites.sample->count = limits::kSitesPerJobMax + 1; });
  expect("sample.fraction", [](auto& s) { s.sites.sample->fraction = kNaN; });
  expect("sample.over", [](auto& s) { s.sites.sample->over = kInfinity; });
  expect("sample.separation", [](auto& s) { s.sites.sample->separation = limits::kRoundsMax + 1; });
  expect("stop.metric", [](auto& s) { s.stop->metric = ""; });
  expect("stop.patience", [](auto& s) { s.stop->patience = limits::kRoundsMax + 1; });
  expect("stop.minDelta", [](auto& s) { s.stop->min_delta = kNaN; });
  expect("job.keep", [](auto& s) { s.keep = static_cast<Keep>(2); });
  expect("resources.memoryBytes",
         [](auto& s) { s.resources.memory_bytes = limits::kMemoryBytesMax + 1; });
  expect("resources.threads",
         [](auto& s) { s.resources.threads = limits::kThreadsPerTaskMax + 1; });
  expect("model.input", [](auto& s) { s.model.input[1] = 0; });
  expect("model.layers", [](auto& s) {
    s.model.layers.assign(limits::kLayersMax + 1, {.kind = "relu", .name = {}, .attributes = {}});
  });
  expect("layer.kind", [](auto& s) { s.model.layers[0].kind = ""; });
  expect("layer.name", [](auto& s) { s.model.layers[0].name = "conv\n1"; });
  expect("layer.attributes", [](auto& s) {
    for (std::size_t i = 0; i <= kAttributesMax; ++i) {
      s.model.layers[1].attributes["a" + std::to_string(i)] = true;
    }
  });
  expect("attribute.name", [](auto& s) { s.model.layers[0].attributes[""] = true; });
  expect("attribute.real", [](auto& s) { s.model.layers[0].attributes["scale"] = kNaN; });
  expect("attribute.text", [](auto& s) {
    s.model.layers[0].attributes["padding_mode"] = std::string(kLabelBytesMax + 1, 'z');
  });
  expect("train.dataset", [](auto& s) { s.train.dataset = ""; });
  expect("train.localEpochs", [](auto& s) { s.train.local_epochs = limits::kLocalEpochsMax + 1; });
  expect("train.batchSize", [](auto& s) { s.train.batch_size = limits::kBatchSizeMax + 1; });
  expect("train.loss", [](auto& s) { s.train.loss = static_cast<Loss>(5); });
  expect("optimizer.kind", [](auto& s) { s.train.optimizer.kind = ""; });
  expect("optimizer.lr", [](auto& s) { s.train.optimizer.lr = kInfinity; });
  expect("optimizer.momentum", [](auto& s) { s.train.optimizer.momentum = kNaN; });
  expect("optimizer.weightDecay", [](auto& s) { s.train.optimizer.weight_decay = -kInfinity; });
  expect("optimizer.options", [](auto& s) {
    for (std::size_t i = 0; i <= kAttributesMax; ++i) {
      s.train.optimizer.options["a" + std::to_string(i)] = true;
    }
  });
  expect("schedule.kind", [](auto& s) { s.train.schedule.kind = ""; });
  expect("attribute.real", [](auto& s) { s.train.schedule.options["gamma"] = kNaN; });
  expect("train.classWeight", [](auto& s) { s.train.class_weights[0] = kInfinity; });
  expect("train.classWeights",
         [](auto& s) { s.train.class_weights.assign(limits::kClassWeightsMax + 1, 1); });
  expect("train.clipNorm", [](auto& s) { s.train.clip_norm = kNaN; });
  expect("train.clipValue", [](auto& s) { s.train.clip_value = kInfinity; });
  expect("train.freeze", [](auto& s) { s.train.freeze[0] = ""; });
  expect("train.freeze",
         [](auto& s) { s.train.freeze.assign(limits::kFreezePatternsMax + 1, "*"); });
  expect("augment.crop", [](auto& s) { s.train.augment.crop = kInfinity; });
  expect("train.trainer", [](auto& s) { s.train.trainer = "no name"; });
  expect("train.proxMu", [](auto& s) { s.train.prox_mu = kNaN; });
  expect("train.exclude", [](auto& s) { s.train.exclude[0] = ""; });
  expect("train.private",
         [](auto& s) { s.train.private_tensors.assign(limits::kFreezePatternsMax + 1, "*"); });
  expect("train.privateEpochs",
         [](auto& s) { s.train.private_epochs = limits::kLocalEpochsMax + 1; });
  expect("personal.lambda", [](auto& s) { s.train.personal->lambda = kInfinity; });
  expect("personal.localEpochs",
         [](auto& s) { s.train.personal->local_epochs = limits::kLocalEpochsMax + 1; });
  expect("layer.layers", [](auto& s) {
    for (std::size_t depth = 0; depth <= limits::kLayerDepthMax; ++depth) {
      const auto inner = s.model.layers;
      s.model.layers = {{.kind = "residual", .name = {}, .attributes = {}, .layers = inner}};
    }
  });
  expect("evaluate.dataset", [](auto& s) { s.evaluate->dataset = ""; });
  expect("evaluate.every", [](auto& s) { s.evaluate->every = limits::kRoundsMax + 1; });
  expect("strategy.kind", [](auto& s) { s.strategy.kind = ""; });
  expect("update.encoding", [](auto& s) { s.update.encoding = ""; });
}

TEST(IllegalValues, InATask) {
  const auto expect = [](const std::string& what, const std::function<void(TaskKey&)>& change) {
    auto key = samples::task_key();
    change(key);
    expect_invalid(msg::Control(msg::TaskReport{key, {}}), what);
  };
  expect("task.job", [](auto& k) { k.job = {}; });
  expect("task.site", [](auto& k) { k.site = {}; });
  expect("task.round", [](auto& k) { k.round = limits::kRoundsMax + 1; });
  expect("task.kind", [](auto& k) { k.kind = static_cast<TaskKind>(5); });
  expect("task.attempt", [](auto& k) { k.attempt = 0; });

  const auto key = samples::task_key();
  expect_invalid(
      msg::Control(msg::TaskOffer{{key, 0, samples::blob(1), limits::kBlobBytesMax + 1}}),
      "task.modelBytes");
  expect_invalid(msg::Control(msg::TaskOffer{{key, 0, {}, 0, 0, limits::kStepsMax + 1}}),
                 "task.steps");
  expect_invalid(msg::Control(msg::TaskOffer{
                     {key, 0, {}, 0, 0, 0, {}, samples::blob(1), limits::kBlobBytesMax + 1}}),
                 "task.controlBytes");
  expect_invalid(msg::Control(msg::TaskReport{key, {.done = 0, .total = 0, .unit = "by\ttes"}}),
                 "progress.unit");
}

TEST(IllegalValues, InAResult) {
  const auto expect = [](const std::string& what, const std::function<void(TaskResult&)>& change) {
    TaskResult result;
    change(result);
    expect_invalid(msg::Control(msg::ResultAnnounce{samples::task_key(), result}), what);
  };
  expect("result.blobBytes", [](auto& r) { r.blob_bytes = limits::kBlobBytesMax + 1; });
  expect("result.examples", [](auto& r) { r.examples = limits::kExamplesMax + 1; });
  expect("metric.value", [](auto& r) { r.metrics["loss"] = kNaN; });
  expect("metric.value", [](auto& r) { r.metrics["loss"] = kInfinity; });
  expect("metric.name", [](auto& r) { r.metrics[""] = 1; });
  expect("sums.value", [](auto& r) { r.sums["confusion"] = {kNaN}; });
  expect("sums.name", [](auto& r) { r.sums[""] = {1}; });
  expect("result.sums",
         [](auto& r) { r.sums["confusion"].assign(limits::kSumValuesPerResultMax + 1, 0); });
  expect("result.sums", [](auto& r) {
    for (std::size_t i = 0; i <= limits::kSumsPerResultMax; ++i) {
      r.sums["s" + std::to_string(i)] = {1};
    }
  });
  expect("metrics", [](auto& r) {
    for (std::size_t i = 0; i <= limits::kMetricsPerResultMax; ++i) {
      r.metrics["m" + std::to_string(i)] = 1;
    }
  });
}

TEST(IllegalValues, InAView) {
  const auto summary = samples::job_summary();
  const auto expect_site = [&](const std::string& what,
                               const std::function<void(JobSiteView&)>& change) {
    auto site = samples::job_site_view();
    change(site);
    expect_invalid(msg::Control(msg::JobUpdate{1, summary, {}, {site}}), what);
  };
  expect_site("jobSite.site", [](auto& s) { s.site = {}; });
  expect_site("jobSite.enrolment", [](auto& s) { s.enrolment = static_cast<Enrolment>(3); });
  expect_site("jobSite.examples", [](auto& s) { s.examples = limits::kExamplesMax + 1; });
  expect_site("jobSite.task", [](auto& s) { s.task = static_cast<TaskKind>(5); });
  expect_site("jobSite.taskState", [](auto& s) { s.task_state = static_cast<TaskState>(6); });

  const auto expect_event = [&](const std::string& what,
                                const std::function<void(JobEvent&)>& change) {
    auto event = samples::job_event();
    change(event);
    expect_invalid(msg::Control(msg::JobUpdate{1, summary, {event}, {}}), what);
  };
  expect_event("event.kind", [](auto& e) { e.kind = static_cast<JobEventKind>(22); });
  expect_event("event.round", [](auto& e) { e.round = limits::kRoundsMax + 1; });
  expect_event("event.site", [](auto& e) { e.site = "two words"; });

  auto changed = summary;
  changed.state = static_cast<JobState>(7);
  expect_invalid(msg::Control(msg::Reply{1, changed}), "job.state");
  changed = summary;
  changed.coordinator = "/etc";
  expect_invalid(msg::Control(msg::Reply{1, std::vector{changed}}), "job.coordinator");

  auto job = samples::job_view();
  job.rounds[1].state = static_cast<RoundState>(4);
  expect_invalid(msg::Control(msg::Reply{1, job}), "round.state");
}

TEST(IllegalValues, InAReceipt) {
  const auto expect = [](const std::string& what, const std::function<void(ModelView&)>& change) {
    auto model = samples::model_view();
    change(model);
    expect_invalid(msg::Control(msg::Reply{1, model}), what);
  };
  expect("model.job", [](auto& m) { m.job = {}; });
  expect("model.version", [](auto& m) { m.version = limits::kRoundsMax + 1; });
  expect("model.bytes", [](auto& m) { m.bytes = limits::kBlobBytesMax + 1; });
  expect("contribution.weight", [](auto& m) { m.contributions[0].weight = kNaN; });
  expect("contribution.examples",
         [](auto& m) { m.contributions[0].examples = limits::kExamplesMax + 1; });
  expect_invalid(
      msg::Control(msg::Request{1, msg::ShowModel{JobId::literal("j"), limits::kRoundsMax + 1}}),
      "showModel.round");
}

TEST(IllegalValues, InATransfer) {
  const auto id = samples::blob(1);
  constexpr auto kTooMany = limits::kBlobBytesMax + 1;
  expect_invalid(msg::Data(msg::BlobPut{id, kTooMany}), "blobPut.bytes");
  expect_invalid(msg::Data(msg::BlobReady{id, kTooMany, 1}), "blobReady.offset");
  expect_invalid(msg::Data(msg::BlobChunk{id, kTooMany}), "blobChunk.offset");
  expect_invalid(msg::Data(msg::BlobGet{id, kTooMany, 1}), "blobGet.offset");
  expect_invalid(msg::Data(msg::BlobSize{id, kTooMany}), "blobSize.bytes");
}

TEST(IllegalValues, ADigestThatIsNot32Bytes) {
  for (const std::size_t size : {0U, 1U, 31U, 33U, 64U}) {
    const std::string bytes(size, 'd');
    const capnp::Data::Reader digest(reinterpret_cast<const kj::byte*>(bytes.data()), size);
    expect_invalid_bytes(envelope([&](auto to) {
                           auto reply = to.initJobReply();
                           reply.setJob("lung-3");
                           reply.setSpecDigest(digest);
                         }),
                         "jobReply.specDigest");
    if (size != 0) {  // none at all is legal for the model of an order
      expect_invalid_bytes(envelope([&](auto to) {
                             auto order = to.initTaskOffer().initOrder();
                             order.initKey().setJob("lung-3");
                             order.getKey().setSite("north");
                             order.getKey().setAttempt(1);
                             order.setModel(digest);
                           }),
                           "task.model");
    }
  }
}

TEST(IllegalValues, AMetricOrAnAttributeGivenTwice) {
  expect_invalid_bytes(envelope([](auto to) {
                         auto announce = to.initResultAnnounce();
                         announce.initKey().setJob("lung-3");
                         announce.getKey().setSite("north");
                         announce.getKey().setAttempt(1);
                         auto metrics = announce.initResult().initMetrics(2);
                         metrics[0].setName("loss");
                         metrics[1].setName("loss");
                       }),
                       "metrics name \"loss\" twice");
  expect_invalid_bytes(envelope([](auto to) {
                         auto spec = to.initRequest().initBody().initSubmitJob().initSpec();
                         spec.setName("lung");
                         auto layer = spec.initModel().initLayers(1)[0];
                         layer.setKind("relu");
                         auto attributes = layer.initAttributes(2);
                         attributes[0].setName("inplace");
                         attributes[1].setName("inplace");
                       }),
                       "layer.attributes name \"inplace\" twice");
}

TEST(IllegalValues, AnEnvelopeOrABodyWithoutContent) {
  expect_invalid_bytes(envelope([](auto) {}), "the envelope has no content");
  expect_invalid_bytes(envelope([](auto to) { to.initRequest().setId(1); }), "request.body");
  expect_invalid_bytes(envelope([](auto to) { to.initReply().setId(1); }), "reply.body");
}

TEST(FreeText, IsCutBetweenCharacters) {
  std::string text(limits::kPeerTextBytesMax - 1, 'a');
  text += "é and more";
  EXPECT_EQ(prose(text), std::string(limits::kPeerTextBytesMax - 1, 'a'));
  EXPECT_EQ(prose(std::string(10'000, '\x01')), std::string(limits::kPeerTextBytesMax, '?'));
}

TEST(FreeText, LosesControlCharactersAndBrokenUtf8) {
  EXPECT_EQ(prose("plain\n\tnaïve 模型 🙂"), "plain\n\tnaïve 模型 🙂");
  EXPECT_EQ(prose("red \x1b[31m"), "red ?[31m");
  EXPECT_EQ(prose(std::string_view("nul \0 bell \a del \x7f", 18)), "nul ? bell ? del ?");
  EXPECT_EQ(prose("\xc2\x9b"), "?") << "the one-character form of escape and bracket";
  EXPECT_EQ(prose("\xff"), "?") << "no lead byte";
  EXPECT_EQ(prose("\xc3"), "?") << "cut off";
  EXPECT_EQ(prose("\xc0\xaf"), "??") << "overlong slash";
  EXPECT_EQ(prose("\xed\xa0\x80"), "???") << "surrogate";
  EXPECT_EQ(prose("\xf4\x90\x80\x80"), "????") << "above U+10FFFF";
}

TEST(FreeText, OfAPeerIsCleanedOnArrival) {
  const std::string dirty = "\x1b]0;title\a" + std::string(limits::kPeerTextBytesMax, 'x');
  const auto decoded = decode_control(bytes_of(envelope([&](auto to) {
    auto closed = to.initJobClosed();
    closed.setJob("lung-3");
    closed.setReason(text(dirty));
  })));
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& reason = std::get<msg::JobClosed>(*decoded).reason;
  EXPECT_EQ(reason.substr(0, 11), "?]0;title?x");
  EXPECT_EQ(reason.size(), limits::kPeerTextBytesMax);
}

TEST(FreeText, OfOurOwnIsCutSoThatItCanBeSent) {
  auto refusal = samples::refusal();
  refusal.message.assign(2 * limits::kControlMessageBytesMax, 'x');
  const auto bytes = encode(msg::Control(msg::TaskFailed{samples::task_key(), {refusal, true}}));
  EXPECT_LT(bytes.size(), 2 * limits::kPeerTextBytesMax);
  EXPECT_TRUE(decode_control(bytes_of(bytes)));
}

}  // namespace
}  // namespace entente::wire
