#include "common/domain/job_spec.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <ostream>

namespace entente {
namespace {

JobSpec legal_job() {
  JobSpec spec;
  spec.name = "lung";
  spec.rounds = 3;
  spec.deadline = std::chrono::hours{1};
  spec.stall_window = std::chrono::minutes{5};
  spec.sites.min = 2;
  spec.sites.max = 4;
  spec.model.input = {4};
  spec.model.layers = {{"linear", "fc", {{"out_features", std::int64_t{3}}}}};
  spec.train.dataset = "lung-nodules";
  spec.evaluate = EvaluateSpec{"lung-nodules-test", 1};
  return spec;
}

void of_pictures(JobSpec& spec) {
  spec.model.input = {1, 6, 8};
  spec.model.layers.insert(spec.model.layers.begin(), {"flatten", "", {}});
}

TEST(JobSpec, PicturesMayBeVaried) {
  auto spec = legal_job();
  of_pictures(spec);
  spec.train.augment = {true, true, 0.5, 5};
  const auto model = validate(spec);
  EXPECT_TRUE(model) << model.error().message;
}

TEST(JobSpec, ALegalJobGivesItsModel) {
  const auto model = validate(legal_job());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->parameters(), 15u);
}

TEST(JobSpec, TheEdgesOfTheRangesAreLegal) {
  auto spec = legal_job();
  spec.rounds = 100'000;
  spec.name = std::string(48, 'a');
  spec.deadline = std::chrono::hours{365 * 24};
  spec.stall_window = spec.deadline;
  spec.sites = {4, 4, 4, {SiteId::literal("a"), SiteId::literal("b")}, {SiteId::literal("c")}};
  spec.train.batch_size = 1 << 20;
  spec.train.optimizer = {"sgd", 1e-9, 0.999, 0.0};
  spec.evaluate.reset();
  EXPECT_TRUE(validate(spec));
}

struct Invalid {
  const char* rule;
  std::function<void(JobSpec&)> spoil;
  std::string message;
  std::string hint;
  std::string code = "job_invalid";
};

void PrintTo(const Invalid& tested, std::ostream* out) { *out << tested.rule; }

class InvalidJob : public ::testing::TestWithParam<Invalid> {};

TEST_P(InvalidJob, IsRefusedWithTheKeyTheCauseAndTheNextStep) {
  auto spec = legal_job();
  GetParam().spoil(spec);
  const auto model = validate(spec);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, GetParam().code);
  EXPECT_EQ(model.error().message, GetParam().message);
  EXPECT_EQ(model.error().hint, GetParam().hint);
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::string kNameHint =
    "use a-z, 0-9, dot and dash, starting and ending with a letter or a digit";
const std::string kDeadlineHint =
    "set deadline to the time that the whole job may take, for example \"24h\"";
const std::string kStallHint =
    "set stall_window to the time that a task may go without progress, for example \"5m\"";

SampleSpec sample(std::uint32_t count, double fraction, double over = 1,
                  std::uint32_t separation = 0) {
  return {SampleBy::uniform, count, fraction, over, separation};
}

std::vector<SiteId> sites(std::initializer_list<const char*> names) {
  std::vector<SiteId> ids;
  for (const auto* name : names) {
    ids.push_back(SiteId::literal(name));
  }
  return ids;
}

std::string in_range(const std::string& key) { return "set " + key + " to a value in that range"; }

INSTANTIATE_TEST_SUITE_P(
    Job, InvalidJob,
    ::testing::Values(
        Invalid{"IllegalName", [](JobSpec& s) { s.name = "Lung 3"; },
                "name is \"Lung 3\", which is not a legal name", kNameHint},
        Invalid{"NameWithoutRoomForANumber", [](JobSpec& s) { s.name = std::string(49, 'a'); },
                "name has 49 bytes, may have 48", "choose a shorter name"},
        Invalid{"NoRounds", [](JobSpec& s) { s.rounds = 0; },
                "rounds is 0, must be from 1 to 100000", in_range("rounds")},
        Invalid{"TooManyRounds", [](JobSpec& s) { s.rounds = 100'001; },
                "rounds is 100001, must be from 1 to 100000", in_range("rounds")},
        Invalid{"NoDeadline", [](JobSpec& s) { s.deadline = Millis{0}; },
                "deadline is 0 ms, must be more than 0 and at most 365 days", kDeadlineHint},
        Invalid{"DeadlineThatWouldOverflow", [](JobSpec& s) { s.deadline = Millis::max(); },
                "deadline is 9223372036854775807 ms, must be more than 0 and at most 365 days",
                kDeadlineHint},
        Invalid{"NoStallWindow", [](JobSpec& s) { s.stall_window = Millis{0}; },
                "stall_window is 0 ms, must be more than 0 and at most deadline, 3600000 ms",
                kStallHint},
        Invalid{"StallWindowBeyondDeadline",
                [](JobSpec& s) { s.stall_window = s.deadline + Millis{1}; },
                "stall_window is 3600001 ms, must be more than 0 and at most deadline, 3600000 ms",
                kStallHint},
        Invalid{"NoSites", [](JobSpec& s) { s.sites.min = 0; },
                "sites.min is 0, must be from 1 to 10000", in_range("sites.min")},
        Invalid{"TooManySites", [](JobSpec& s) { s.sites.max = 10'001; },
                "sites.max is 10001, must be from 0 to 10000", in_range("sites.max")},
        Invalid{"MinAboveMax", [](JobSpec& s) { s.sites.max = 1; },
                "sites.min is 2, more than sites.max, 1",
                "raise sites.max, or leave it out to take every eligible site"},
        Invalid{"QuorumAboveMin", [](JobSpec& s) { s.sites.quorum = 3; },
                "sites.quorum is 3, more than sites.min, 2: no round could close with the sites "
                "that the job may start with",
                "raise sites.min to 3, or lower sites.quorum"},
        Invalid{"MoreMandatorySitesThanMax",
                [](JobSpec& s) { s.sites.mandatory = sites({"a", "b", "c", "d", "e"}); },
                "sites.mandatory names 5 sites, more than sites.max, 4", "raise sites.max to 5"},
        Invalid{"MandatoryTwice", [](JobSpec& s) { s.sites.mandatory = sites({"a", "b", "a"}); },
                "sites.mandatory names \"a\" twice", "name it once"},
        Invalid{"ExcludedTwice", [](JobSpec& s) { s.sites.exclude = sites({"a", "a"}); },
                "sites.exclude names \"a\" twice", "name it once"},
        Invalid{"MandatoryAndExcluded",
                [](JobSpec& s) {
                  s.sites.mandatory = sites({"a", "b"});
                  s.sites.exclude = sites({"c", "b"});
                },
                "\"b\" is in sites.mandatory and in sites.exclude",
                "remove it from one of the two"},
        Invalid{"EmptySiteName", [](JobSpec& s) { s.sites.exclude = {SiteId{}}; },
                "sites.exclude has an empty name", kNameHint},
        Invalid{"NoDataset", [](JobSpec& s) { s.train.dataset = ""; },
                "train.dataset is \"\", which is not a legal name", kNameHint},
        Invalid{"DatasetThatIsAPath", [](JobSpec& s) { s.train.dataset = "../etc"; },
                "train.dataset is \"../etc\", which is not a legal name", kNameHint},
        Invalid{"SampleOfNothing", [](JobSpec& s) { s.sites.sample = SampleSpec(); },
                "sites.sample says neither count nor fraction",
                "set one of the two: count = 3, or fraction = 0.1"},
        Invalid{"SampleOfTwoSizes", [](JobSpec& s) { s.sites.sample = sample(1, 0.5); },
                "sites.sample says both count and fraction",
                "set one of the two: count = 3, or fraction = 0.1"},
        Invalid{"FractionAboveAll", [](JobSpec& s) { s.sites.sample = sample(0, 1.5); },
                "sites.sample.fraction is 1.5, must be above 0 and at most 1",
                "0.1 trains at a tenth of the job's sites in each round"},
        Invalid{"FractionThatIsNoNumber", [](JobSpec& s) { s.sites.sample = sample(0, kNan); },
                "sites.sample.fraction is nan, must be above 0 and at most 1",
                "0.1 trains at a tenth of the job's sites in each round"},
        Invalid{"OverThatAsksFewer", [](JobSpec& s) { s.sites.sample = sample(1, 0, 0.5); },
                "sites.sample.over is 0.5, must be from 1 to 10",
                "1.3 asks 13 sites where 10 updates are taken"},
        Invalid{"SampleOfMoreThanTheJobMayHave",
                [](JobSpec& s) { s.sites.sample = sample(3, 0); },
                "sites.sample.count is 3, more than sites.min, 2: the job may start with no more "
                "sites than that",
                "raise sites.min to 3, or lower sites.sample.count"},
        Invalid{"SeparationThatLeavesTooFew",
                [](JobSpec& s) { s.sites.sample = sample(1, 0, 1, 2); },
                "sites.sample takes 1 update in a round and lets a site rest for 2 rounds: that "
                "needs 3 sites, and the job may start with 2",
                "raise sites.min to 3, or lower sites.sample.separation"},
        Invalid{"QuorumAboveTheSample",
                [](JobSpec& s) {
                  s.sites.quorum = 2;
                  s.sites.sample = sample(1, 0);
                },
                "sites.quorum is 2, more than the 1 that a round takes by sites.sample",
                "lower sites.quorum, or leave it out: a round then takes all that it asks for"},
        Invalid{"SampleByAPreferenceThatIsNotSaid",
                [](JobSpec& s) {
                  s.sites.sample = sample(1, 0);
                  s.sites.sample->by = SampleBy::preference;
                },
                "sites.sample.by is \"preference\", and there is no sites.prefer",
                "say in sites.prefer what a site's chance is in proportion to"},
        Invalid{"StopWithoutEvaluations",
                [](JobSpec& s) {
                  s.evaluate.reset();
                  s.stop = StopSpec{"loss", 3, 0};
                },
                "stop.metric is a metric of evaluations, and the job has none",
                "give the job an [evaluate] table, or take [stop] out"},
        Invalid{"StopByNothing", [](JobSpec& s) { s.stop = StopSpec{"", 3, 0}; },
                "stop.metric is \"\", must have 1 to 64 bytes",
                "set it to a metric of the evaluations, for example \"accuracy\""},
        Invalid{"StopWithoutPatience", [](JobSpec& s) { s.stop = StopSpec{"loss", 0, 0}; },
                "stop.patience is 0, must be from 1 to 100000",
                "3 stops after three evaluations in a row without an improvement"},
        Invalid{"ImprovementBelowNothing", [](JobSpec& s) { s.stop = StopSpec{"loss", 3, -1}; },
                "stop.min_delta is -1, must be a number of at least 0",
                "0.001 takes no smaller improvement for one"},
        Invalid{"NoEpochs", [](JobSpec& s) { s.train.local_epochs = 0; },
                "train.local_epochs is 0, must be from 1 to 10000", in_range("train.local_epochs")},
        Invalid{"NoBatch", [](JobSpec& s) { s.train.batch_size = 0; },
                "train.batch_size is 0, must be from 1 to 1048576", in_range("train.batch_size")},
        Invalid{"HugeBatch", [](JobSpec& s) { s.train.batch_size = (1 << 20) + 1; },
                "train.batch_size is 1048577, must be from 1 to 1048576",
                in_range("train.batch_size")},
        Invalid{"UnknownOptimizer", [](JobSpec& s) { s.train.optimizer.kind = "sdg"; },
                "train.optimizer.type is \"sdg\", which is unknown; did you mean \"sgd\"?",
                "set train.optimizer.type to \"sgd\""},
        Invalid{"NoLearningRate", [](JobSpec& s) { s.train.optimizer.lr = 0; },
                "train.optimizer.lr is 0, must be a number from 1e-12", "0.01 is a common start"},
        Invalid{"LearningRateNan", [](JobSpec& s) { s.train.optimizer.lr = kNan; },
                "train.optimizer.lr is nan, must be a number from 1e-12", "0.01 is a common start"},
        Invalid{"LearningRateInfinite", [](JobSpec& s) { s.train.optimizer.lr = kInfinity; },
                "train.optimizer.lr is inf, must be a number from 1e-12", "0.01 is a common start"},
        Invalid{"MomentumOne", [](JobSpec& s) { s.train.optimizer.momentum = 1; },
                "train.optimizer.momentum is 1, must be at least 0 and below 1",
                "0.9 is common, 0 turns it off"},
        Invalid{"MomentumNegative", [](JobSpec& s) { s.train.optimizer.momentum = -0.5; },
                "train.optimizer.momentum is -0.5, must be at least 0 and below 1",
                "0.9 is common, 0 turns it off"},
        Invalid{"MomentumNan", [](JobSpec& s) { s.train.optimizer.momentum = kNan; },
                "train.optimizer.momentum is nan, must be at least 0 and below 1",
                "0.9 is common, 0 turns it off"},
        Invalid{"WeightDecayNegative", [](JobSpec& s) { s.train.optimizer.weight_decay = -1; },
                "train.optimizer.weight_decay is -1, must be a number from 0", "0 turns it off"},
        Invalid{"MomentumOfAnOptimizerWithoutOne",
                [](JobSpec& s) {
                  s.train.optimizer = {"adam", 0.001, 0.9, 0.0};
                },
                "train.optimizer.momentum has no effect: adam has none of that name",
                "leave it out, or set beta1"},
        Invalid{"NesterovWithoutMomentum",
                [](JobSpec& s) { s.train.optimizer.options = {{"nesterov", true}}; },
                "train.optimizer.nesterov has no effect: momentum is 0",
                "set train.optimizer.momentum, 0.9 is common"},
        Invalid{"BetaThatNeverForgets",
                [](JobSpec& s) {
                  s.train.optimizer = {"adamw", 0.001, 0.0, 0.0, {{"beta2", 1.0}}};
                },
                "train.optimizer: beta2 is 1, must be from 0 to 0.999999",
                "set beta2 to a value from 0 to 0.999999"},
        Invalid{"OptionOfAnotherOptimizer",
                [](JobSpec& s) {
                  s.train.optimizer = {"adagrad", 0.01, 0.0, 0.0, {{"beta1", 0.9}}};
                },
                "train.optimizer: unknown attribute \"beta1\"; known are lr_decay, eps",
                "docs/models.md lists every attribute"},
        Invalid{"UnknownSchedule", [](JobSpec& s) { s.train.schedule.kind = "cosinus"; },
                "train.schedule.type is \"cosinus\", which is unknown; did you mean \"cosine\"?",
                "set train.schedule.type to \"cosine\""},
        Invalid{"StepWithoutItsLength", [](JobSpec& s) { s.train.schedule.kind = "step"; },
                "train.schedule: every is missing", "add every = ..."},
        Invalid{"ClipNormNan", [](JobSpec& s) { s.train.clip_norm = kNan; },
                "train.clip_norm is nan, must be a number from 0", "0 turns it off"},
        Invalid{"ClipValueNegative", [](JobSpec& s) { s.train.clip_value = -1; },
                "train.clip_value is -1, must be a number from 0", "0 turns it off"},
        Invalid{"WeightsOfOtherClasses", [](JobSpec& s) { s.train.class_weights = {1, 2}; },
                "train.class_weights has 2 weights, the model tells 3 classes apart",
                "give one weight for each class"},
        Invalid{"ClassWeightNan", [](JobSpec& s) { s.train.class_weights = {1, kNan, 1}; },
                "train.class_weights must be above 0 and at most 1000000",
                "1 for each class is the same as leaving it out"},
        Invalid{"ClassWeightZero", [](JobSpec& s) { s.train.class_weights = {1, 0, 1}; },
                "train.class_weights must be above 0 and at most 1000000",
                "1 for each class is the same as leaving it out"},
        Invalid{"ClassWeightsOfNumbers",
                [](JobSpec& s) {
                  s.train.loss = Loss::mse;
                  s.train.class_weights = {1, 1, 1};
                },
                "train.class_weights has no effect: train.loss \"mse\" knows no classes",
                "leave it out"},
        Invalid{"FreezeOfNothing", [](JobSpec& s) { s.train.freeze = {"features.*"}; },
                "train.freeze has \"features.*\", which no tensor of the model matches",
                "see the tensors' names with: entente model describe FILE"},
        Invalid{"FreezeOfAll", [](JobSpec& s) { s.train.freeze = {"fc.w*", "*.bias"}; },
                "train.freeze leaves no parameter to train",
                "freeze fewer: the last layer is usually trained"},
        Invalid{"AugmentedNumbers", [](JobSpec& s) { s.train.augment.shift = 1; },
                "train.augment varies pictures, and model.input is [4]",
                "take train.augment out: a picture's shape is [channels, height, width]"},
        Invalid{"ShiftedOutOfSight",
                [](JobSpec& s) {
                  of_pictures(s);
                  s.train.augment.shift = 6;
                },
                "train.augment.shift is 6, and the pictures have 6 pixels",
                "a tenth of the size is usual"},
        Invalid{"CroppedToNothing",
                [](JobSpec& s) {
                  of_pictures(s);
                  s.train.augment.crop = 0;
                },
                "train.augment.crop is 0, must be above 0 and at most 1",
                "0.8 keeps at least so much of height and width; 1 turns it off"},
        Invalid{"CropNan",
                [](JobSpec& s) {
                  of_pictures(s);
                  s.train.augment.crop = kNan;
                },
                "train.augment.crop is nan, must be above 0 and at most 1",
                "0.8 keeps at least so much of height and width; 1 turns it off"},
        Invalid{"TrainerWithoutALegalName", [](JobSpec& s) { s.train.trainer = "../evil"; },
                "train.trainer is \"../evil\", which is not a legal name", kNameHint},
        Invalid{"BatchNormOfOneExample",
                [](JobSpec& s) {
                  s.model.layers.insert(s.model.layers.begin(), {"batch_norm", "", {}});
                  s.train.batch_size = 1;
                },
                "train.batch_size is 1, but batch_norm compares the examples of a batch",
                "set train.batch_size to 2 or more, or use group_norm"},
        Invalid{"UnknownStrategy", [](JobSpec& s) { s.strategy.kind = "fedagv"; },
                "strategy.kind is \"fedagv\", which is unknown; did you mean \"fedavg\"?",
                "set strategy.kind to \"fedavg\""},
        Invalid{"EvaluateWithoutDataset", [](JobSpec& s) { s.evaluate->dataset = ""; },
                "evaluate.dataset is \"\", which is not a legal name", kNameHint},
        Invalid{"EvaluateNever", [](JobSpec& s) { s.evaluate->every = 0; },
                "evaluate.every is 0, must be from 1 to 100000", in_range("evaluate.every")},
        Invalid{"ModelThatDoesNotResolve", [](JobSpec& s) { s.model.layers[0].kind = "relu6"; },
                "layer 1 \"relu6\" (fc): there is no such kind of layer; did you mean \"relu\"?",
                "docs/models.md lists the kinds of layers", "model_invalid"},
        Invalid{"CrossEntropyOfAnImage",
                [](JobSpec& s) {
                  s.model.input = {1, 8, 8};
                  s.model.layers = {{"conv2d",
                                     "conv1",
                                     {{"out_channels", std::int64_t{2}},
                                      {"kernel_size", std::int64_t{3}}}}};
                },
                "train.loss \"cross_entropy\" needs one score for each class, the last layer gives "
                "[2, 6, 6]",
                "end the model with a flatten and a linear layer", "model_invalid"}),
    [](const auto& tested) { return tested.param.rule; });

}  // namespace
}  // namespace entente
