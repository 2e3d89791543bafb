// The canonical form of a job's spec and its digest.
#include "common/wire/job_codec.h"

#include <capnp/any.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>

#include "common/wire/framing.h"
#include "tests/unit/wire/samples.h"

namespace entente::wire {
namespace {

using samples::bytes_of;

TEST(CanonicalSpec, ComesBackUnchanged) {
  auto spec = samples::job_spec();
  auto decoded = decode_job_spec(bytes_of(encode_canonical(spec)));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*decoded, spec);

  spec = JobSpec{};
  spec.name = "j";
  spec.train.dataset = "d";
  decoded = decode_job_spec(bytes_of(encode_canonical(spec)));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*decoded, spec);
}

TEST(CanonicalSpec, IsTheSameAfterAWayOverTheWire) {
  const auto spec = samples::job_spec();
  const auto decoded = decode_job_spec(bytes_of(encode_canonical(spec)));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(encode_canonical(*decoded), encode_canonical(spec));
}

// Their defaults leave no trace.
JobSpec without_later_fields(JobSpec spec) {
  spec.priority = 0;
  spec.sites.replace = true;
  spec.sites.samples_min = 0;
  spec.sites.require.clear();
  spec.sites.prefer.clear();
  spec.sites.sample.reset();
  spec.train.balanced = false;
  spec.stop.reset();
  spec.keep = Keep::all;
  spec.update = {};
  spec.resources = {};
  spec.preemptible = false;
  spec.after.clear();
  spec.init.reset();
  spec.model.layers.pop_back();  // a block
  spec.train.optimizer.options.clear();
  spec.train.class_weights.clear();
  spec.train.schedule = {};
  spec.train.clip_norm = 0;
  spec.train.clip_value = 0;
  spec.train.freeze.clear();
  spec.train.augment = {};
  spec.train.trainer.clear();
  spec.train.normalise.reset();
  spec.statistics.reset();
  spec.async.reset();
  spec.predict.reset();
  spec.train.prox_mu = 0;
  spec.train.exclude.clear();
  spec.train.private_tensors.clear();
  spec.train.private_epochs = 0;
  spec.train.personal.reset();
  spec.evaluate->personal = false;
  return spec;
}

// Computed from the same spec written as text, without this code:
//   capnp convert text:canonical schemas/job.capnp JobSpec < spec.txt | sha256sum
// When it changes, the digest of every job has changed: see rule 8 of schemas/README.md.
TEST(CanonicalSpec, HasAPinnedDigest) {
  auto spec = without_later_fields(samples::job_spec());
  EXPECT_EQ(spec_digest(spec).hex(),
            "c15458f987a7eb7a3d0f3468b78b2bcbe29305b8294577c549da8f7ae2c1ef24");
}

TEST(CanonicalSpec, WithoutWhatWasAddedLaterKeepsItsDigest) {
  // Pinned before strategies had parameters and weights, and places were given to others.
  auto spec = without_later_fields(samples::job_spec());
  spec.strategy = StrategySpec();
  spec.strategy.kind = "trimmed_mean";
  EXPECT_EQ(spec_digest(spec).hex(),
            "02200a3d3d8e237f2608684aab2baa729d878380d76766e8bbfc2b1c79051922");
}

TEST(CanonicalSpec, DigestDoesNotDependOnTheOrderOfAttributes) {
  auto forward = samples::job_spec();
  auto backward = samples::job_spec();
  auto& attributes = backward.model.layers[0].attributes;
  const auto original = attributes;
  attributes.clear();
  for (auto it = original.rbegin(); it != original.rend(); ++it) {
    attributes.insert(*it);
  }
  EXPECT_EQ(spec_digest(forward), spec_digest(backward));
}

TEST(CanonicalSpec, DigestDoesNotDependOnTheSignOfZero) {
  auto positive = samples::job_spec();
  positive.train.optimizer.momentum = 0.0;
  positive.model.layers[0].attributes["scale"] = 0.0;
  auto negative = positive;
  negative.train.optimizer.momentum = -0.0;
  negative.model.layers[0].attributes["scale"] = -0.0;
  ASSERT_EQ(positive, negative);
  EXPECT_EQ(encode_canonical(positive), encode_canonical(negative));
}

TEST(CanonicalSpec, EveryFieldChangesTheDigest) {
  using Change = std::function<void(JobSpec&)>;
  const std::map<std::string, Change> changes{
      {"nothing", [](JobSpec&) {}},
      {"name", [](JobSpec& s) { s.name = "heart"; }},
      {"rounds", [](JobSpec& s) { ++s.rounds; }},
      {"seed", [](JobSpec& s) { ++*s.seed; }},
      {"seed zero", [](JobSpec& s) { s.seed = 0; }},
      {"no seed", [](JobSpec& s) { s.seed.reset(); }},
      {"deadline", [](JobSpec& s) { ++s.deadline; }},
      {"stall_window", [](JobSpec& s) { ++s.stall_window; }},
      {"sites.min", [](JobSpec& s) { ++s.sites.min; }},
      {"sites.max", [](JobSpec& s) { ++s.sites.max; }},
      {"sites.quorum", [](JobSpec& s) { ++s.sites.quorum; }},
      {"sites.mandatory", [](JobSpec& s) { s.sites.mandatory.pop_back(); }},
      {"order of sites.mandatory",
       [](JobSpec& s) { std::swap(s.sites.mandatory[0], s.sites.mandatory[1]); }},
      {"sites.exclude", [](JobSpec& s) { s.sites.exclude.clear(); }},
      {"sites.replace", [](JobSpec& s) { s.sites.replace = true; }},
      {"sites.samples_min", [](JobSpec& s) { ++s.sites.samples_min; }},
      {"sites.require", [](JobSpec& s) { s.sites.require.clear(); }},
      {"sites.prefer", [](JobSpec& s) { s.sites.prefer = "slots"; }},
      {"sample.by", [](JobSpec& s) { s.sites.sample->by = SampleBy::samples; }},
      {"sample.count", [](JobSpec& s) { ++s.sites.sample->count; }},
      {"sample.fraction", [](JobSpec& s) { s.sites.sample->fraction = 0.5; }},
      {"sample.over", [](JobSpec& s) { s.sites.sample->over = 2; }},
      {"sample.separation", [](JobSpec& s) { ++s.sites.sample->separation; }},
      {"no sample", [](JobSpec& s) { s.sites.sample.reset(); }},
      {"stop.metric", [](JobSpec& s) { s.stop->metric = "loss"; }},
      {"stop.patience", [](JobSpec& s) { ++s.stop->patience; }},
      {"stop.min_delta", [](JobSpec& s) { s.stop->min_delta = 0; }},
      {"no stop", [](JobSpec& s) { s.stop.reset(); }},
      {"keep", [](JobSpec& s) { s.keep = Keep::all; }},
      {"train.local_steps", [](JobSpec& s) { s.train.balanced = false; }},
      {"resources.memory", [](JobSpec& s) { ++s.resources.memory_bytes; }},
      {"resources.threads", [](JobSpec& s) { ++s.resources.threads; }},
      {"resources", [](JobSpec& s) { s.resources = {}; }},
      {"preemptible", [](JobSpec& s) { s.preemptible = false; }},
      {"after", [](JobSpec& s) { s.after.pop_back(); }},
      {"order of after", [](JobSpec& s) { std::swap(s.after[0], s.after[1]); }},
      {"no init", [](JobSpec& s) { s.init.reset(); }},
      {"init.job", [](JobSpec& s) { s.init->job = JobId::literal("heart-1"); }},
      {"init's round", [](JobSpec& s) { ++s.init->round; }},
      {"init.which",
       [](JobSpec& s) {
         *s.init = {s.init->job, InitialModel::Which::best, 0};
       }},
      {"model.input", [](JobSpec& s) { s.model.input[0] = 3; }},
      {"model.layers", [](JobSpec& s) { s.model.layers.pop_back(); }},
      {"layer.kind", [](JobSpec& s) { s.model.layers[1].kind = "tanh"; }},
      {"layer.name", [](JobSpec& s) { s.model.layers[1].name.clear(); }},
      {"attribute's name",
       [](JobSpec& s) {
         auto node = s.model.layers[0].attributes.extract("bias");
         node.key() = "bias2";
         s.model.layers[0].attributes.insert(std::move(node));
       }},
      {"attribute's value", [](JobSpec& s) { s.model.layers[0].attributes["bias"] = false; }},
      {"attribute's type", [](JobSpec& s) { s.model.layers[0].attributes["out_channels"] = 16.0; }},
      {"attributes", [](JobSpec& s) { s.model.layers[1].attributes.clear(); }},
      {"train.dataset", [](JobSpec& s) { s.train.dataset = "mnist"; }},
      {"train.local_epochs", [](JobSpec& s) { ++s.train.local_epochs; }},
      {"train.batch_size", [](JobSpec& s) { ++s.train.batch_size; }},
      {"optimizer.kind", [](JobSpec& s) { s.train.optimizer.kind = "sgd"; }},
      {"optimizer.lr", [](JobSpec& s) { s.train.optimizer.lr = 0.06; }},
      {"optimizer.momentum", [](JobSpec& s) { s.train.optimizer.momentum = 0; }},
      {"optimizer.weight_decay", [](JobSpec& s) { s.train.optimizer.weight_decay = 0; }},
      {"block's layers", [](JobSpec& s) { s.model.layers[2].layers[0].kind = "gelu"; }},
      {"block's shortcut", [](JobSpec& s) { s.model.layers[2].shortcut.clear(); }},
      {"train.loss", [](JobSpec& s) { s.train.loss = Loss::hinge; }},
      {"optimizer.options", [](JobSpec& s) { s.train.optimizer.options["beta1"] = 0.9; }},
      {"no optimizer.options", [](JobSpec& s) { s.train.optimizer.options.clear(); }},
      {"train.class_weights", [](JobSpec& s) { s.train.class_weights[1] = 3; }},
      {"train.schedule", [](JobSpec& s) { s.train.schedule.kind = "cosine"; }},
      {"no train.schedule", [](JobSpec& s) { s.train.schedule = {}; }},
      {"train.clip_norm", [](JobSpec& s) { s.train.clip_norm = 1; }},
      {"train.clip_value", [](JobSpec& s) { s.train.clip_value = 1; }},
      {"train.freeze", [](JobSpec& s) { s.train.freeze[0] = "conv2.*"; }},
      {"augment.flip", [](JobSpec& s) { s.train.augment.flip_horizontal = false; }},
      {"augment.vertical flip", [](JobSpec& s) { s.train.augment.flip_vertical = true; }},
      {"augment.crop", [](JobSpec& s) { s.train.augment.crop = 0.9; }},
      {"augment.shift", [](JobSpec& s) { ++s.train.augment.shift; }},
      {"no augment", [](JobSpec& s) { s.train.augment = {}; }},
      {"trainer", [](JobSpec& s) { s.train.trainer = "jax"; }},
      {"no trainer", [](JobSpec& s) { s.train.trainer.clear(); }},
      {"train.prox_mu", [](JobSpec& s) { s.train.prox_mu = 1; }},
      {"train.exclude", [](JobSpec& s) { s.train.exclude[0] = "bn.*"; }},
      {"no train.exclude", [](JobSpec& s) { s.train.exclude.clear(); }},
      {"train.private", [](JobSpec& s) { s.train.private_tensors[0] = "tail.*"; }},
      {"train.private_epochs", [](JobSpec& s) { ++s.train.private_epochs; }},
      {"personal.lambda", [](JobSpec& s) { s.train.personal->lambda = 1; }},
      {"personal.local_epochs", [](JobSpec& s) { ++s.train.personal->local_epochs; }},
      {"no train.personal", [](JobSpec& s) { s.train.personal.reset(); }},
      {"evaluate.personal", [](JobSpec& s) { s.evaluate->personal = false; }},
      {"evaluate.dataset", [](JobSpec& s) { s.evaluate->dataset = "mnist"; }},
      {"evaluate.every", [](JobSpec& s) { ++s.evaluate->every; }},
      {"no evaluate", [](JobSpec& s) { s.evaluate.reset(); }},
      {"strategy", [](JobSpec& s) { s.strategy.kind = "fedavg"; }},
      {"strategy's parameter", [](JobSpec& s) { s.strategy.parameters["byzantine"] = 3; }},
      {"strategy's parameters", [](JobSpec& s) { s.strategy.parameters.clear(); }},
      {"weights", [](JobSpec& s) { s.strategy.weights = Weighting::steps; }},
      {"update.encoding", [](JobSpec& s) { s.update.encoding = "int8"; }},
      {"update.fraction", [](JobSpec& s) { s.update.fraction = 0.1; }},
      {"no update.fraction", [](JobSpec& s) { s.update.fraction.reset(); }},
      {"float32", [](JobSpec& s) { s.update = UpdateSpec(); }},
      {"normalise.from", [](JobSpec& s) { s.train.normalise->from.reset(); }},
      {"normalise.columns", [](JobSpec& s) { s.train.normalise->columns[0].mean = 48; }},
      {"no normalise", [](JobSpec& s) { s.train.normalise.reset(); }},
      {"statistics.columns", [](JobSpec& s) { s.statistics->columns.pop_back(); }},
      {"statistics.bins", [](JobSpec& s) { ++s.statistics->bins; }},
      {"statistics.quantiles", [](JobSpec& s) { s.statistics->quantiles.clear(); }},
      {"no statistics", [](JobSpec& s) { s.statistics.reset(); }},
      {"async.buffer", [](JobSpec& s) { ++s.async->buffer; }},
      {"async.staleness_exponent", [](JobSpec& s) { s.async->staleness_exponent = 1; }},
      {"async.staleness_max", [](JobSpec& s) { ++s.async->staleness_max; }},
      {"async.concurrency", [](JobSpec& s) { ++s.async->concurrency; }},
      {"no async", [](JobSpec& s) { s.async.reset(); }},
      {"predict.inputs", [](JobSpec& s) { ++s.predict->inputs.bytes[3]; }},
      {"predict.inputs_bytes", [](JobSpec& s) { ++s.predict->inputs_bytes; }},
      {"predict.examples", [](JobSpec& s) { ++s.predict->examples; }},
      {"predict.own", [](JobSpec& s) { s.predict->own.reset(); }},
      {"no predict", [](JobSpec& s) { s.predict.reset(); }},
      {"init from a file",
       [](JobSpec& s) {
         s.init = InitialModel{{}, InitialModel::Which::file, 0, samples::blob(15), 99};
       }},
      {"init from another file",
       [](JobSpec& s) {
         s.init = InitialModel{{}, InitialModel::Which::file, 0, samples::blob(16), 99};
       }},
      {"a site's weight", [](JobSpec& s) { s.strategy.site_weights.begin()->second = 3; }},
  };
  std::map<Digest, std::string> digests;
  for (const auto& [name, change] : changes) {
    auto spec = samples::job_spec();
    change(spec);
    const auto [place, inserted] = digests.emplace(spec_digest(spec), name);
    EXPECT_TRUE(inserted) << name << " has the digest of " << place->second;
  }
}

// Rule 8 of schemas/README.md rests on this: a build whose JobSpec has one more number and one more
// object, both absent, finds the same bytes.
TEST(CanonicalSpec, FieldsOfALaterVersionLeaveNoTraceWhileAbsent) {
  const Bytes today = encode_canonical(samples::job_spec());
  const auto words = aligned_words(bytes_of(today), today.size());
  const kj::ArrayPtr<const capnp::word> segments[] = {words};
  capnp::SegmentArrayMessageReader reader(segments);
  const auto spec = reader.getRoot<capnp::AnyStruct>();

  capnp::MallocMessageBuilder message;
  auto later = message.getRoot<capnp::AnyPointer>().initAsAnyStruct(
      static_cast<std::uint16_t>(spec.getDataSection().size() / sizeof(capnp::word) + 1),
      static_cast<std::uint16_t>(spec.getPointerSection().size() + 1));
  std::memcpy(later.getDataSection().begin(), spec.getDataSection().begin(),
              spec.getDataSection().size());
  for (unsigned i = 0; i < spec.getPointerSection().size(); ++i) {
    later.getPointerSection()[i].set(spec.getPointerSection()[i]);
  }
  EXPECT_EQ(to_bytes(later.asReader().canonicalize()), today);

  later.getDataSection().end()[-1] = 1;
  EXPECT_NE(to_bytes(later.asReader().canonicalize()), today);
}

TEST(CanonicalSpec, RefusesWhatIsNoSpec) {
  for (const std::string& garbage : {std::string(), std::string("spec"), std::string(16, '\xff')}) {
    const auto decoded = decode_job_spec(bytes_of(garbage));
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, "message_invalid");
  }
}

}  // namespace
}  // namespace entente::wire
