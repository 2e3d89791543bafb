#include "site-agent/contract/contract.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "common/base/limits.h"

namespace entente::agent::contract {
namespace {

using testing::HasSubstr;

Prepare full_prepare() {
  Prepare prepare;
  prepare.spec.model.input = {1, 28, 28};
  prepare.spec.model.layers = {
      {"conv2d", "conv1", {{"out_channels", std::int64_t{16}}, {"bias", true}}},
      {"dropout", "drop", {{"p", 0.25}}},
      {"linear", "fc", {{"out_features", std::int64_t{10}}, {"note", std::string("é\"\n")}}}};
  prepare.spec.train.dataset = "fashion-mnist";
  prepare.spec.train.local_epochs = 3;
  prepare.spec.train.batch_size = 64;
  prepare.spec.train.optimizer = {"sgd", 0.1, 0.9, 1e-4};
  prepare.spec.evaluate = EvaluateSpec{.dataset = "fashion-mnist-test"};
  prepare.train_dataset.name = "fashion-mnist";
  prepare.train_dataset.source = IdxFiles{"/data/images.gz", "/data/labels.gz"};
  prepare.train_dataset.classes = 10;
  prepare.train_dataset.partition = Partition{"shards", 0.5, 3, 4, 3, UINT64_MAX};
  prepare.evaluate_dataset.emplace().name = "fashion-mnist-test";
  prepare.evaluate_dataset->source = IdxFiles{"/data/test-images.gz", "/data/test-labels.gz"};
  prepare.threads = 2;
  prepare.device = "cuda:0";
  prepare.loss_before = true;
  return prepare;
}

// Encodes, checks that it is one line, and parses what was encoded.
template <class Body>
Body round_trip(const Body& body) {
  const auto line = encode(Command{UINT64_MAX, body});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto command = parse_command(std::string_view(line).substr(0, line.size() - 1));
  EXPECT_TRUE(command.has_value()) << command.error().message;
  EXPECT_EQ(command->id, UINT64_MAX);
  return std::get<Body>(command->body);
}

template <class Body>
Body reply_round_trip(const Body& body) {
  const auto line = encode(Reply{7, body});
  const auto reply = parse_reply(std::string_view(line).substr(0, line.size() - 1));
  EXPECT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_EQ(reply->id, 7U);
  return std::get<Body>(reply->body);
}

std::string why_refused(const std::string& line) {
  const auto command = parse_command(line);
  EXPECT_FALSE(command.has_value()) << line;
  EXPECT_EQ(command.has_value() ? "" : command.error().code, "contract_violated");
  return command.has_value() ? "" : command.error().message;
}

TEST(Contract, PrepareSurvivesTheLine) {
  const auto sent = full_prepare();
  const auto got = round_trip(sent);
  EXPECT_EQ(got.spec.model, sent.spec.model);
  EXPECT_EQ(got.spec.train, sent.spec.train);
  EXPECT_EQ(got.spec.evaluate, sent.spec.evaluate);
  EXPECT_TRUE(got.train_dataset == sent.train_dataset);
  ASSERT_TRUE(got.evaluate_dataset.has_value());
  EXPECT_TRUE(*got.evaluate_dataset == *sent.evaluate_dataset);
  EXPECT_EQ(got.threads, sent.threads);
  EXPECT_EQ(got.device, sent.device);
  EXPECT_EQ(got.loss_before, sent.loss_before);
}

TEST(Contract, PrepareWithoutEvaluationSurvivesTheLine) {
  auto sent = full_prepare();
  sent.spec.evaluate.reset();
  sent.evaluate_dataset.reset();
  sent.train_dataset.partition.reset();
  const auto got = round_trip(sent);
  EXPECT_FALSE(got.spec.evaluate.has_value());
  EXPECT_FALSE(got.evaluate_dataset.has_value());
  EXPECT_FALSE(got.train_dataset.partition.has_value());
}

TEST(Contract, BlocksAndEverySettingOfTrainingSurviveTheLine) {
  auto sent = full_prepare();
  LayerSpec block{"residual", "block", {}};
  block.layers = {{"relu", "", {}}};
  block.shortcut = {{"conv2d", "", {{"stride", std::int64_t{2}}}}};
  sent.spec.model.layers.push_back(block);
  sent.spec.train.loss = Loss::hinge;
  sent.spec.train.optimizer.options = {{"nesterov", true}};
  sent.spec.train.class_weights = {1, 0.5};
  sent.spec.train.schedule = {"step", {{"every", std::int64_t{10}}}};
  sent.spec.train.clip_norm = 5;
  sent.spec.train.clip_value = 0.5;
  sent.spec.train.freeze = {"conv1.*"};
  sent.spec.train.augment = {true, false, 0.75, 3};
  sent.spec.train.normalise = Normalisation{std::nullopt, {{"age", 48.5, 13.1}}};
  sent.spec.train.prox_mu = 0.01;
  sent.spec.train.exclude = {"norm.*"};
  sent.spec.train.private_tensors = {"fc.*"};
  sent.spec.train.private_epochs = 3;
  sent.spec.train.personal = PersonalSpec{0.5, 2};
  sent.spec.evaluate->personal = true;
  sent.control = true;
  const auto got = round_trip(sent);
  EXPECT_TRUE(got.control);
  EXPECT_TRUE(got.spec.evaluate->personal);
  EXPECT_EQ(got.spec.model, sent.spec.model);
  EXPECT_EQ(got.spec.train, sent.spec.train);
}

TEST(Contract, AJobThatCountsSurvivesTheLine) {
  auto sent = full_prepare();
  sent.spec = {};
  sent.spec.kind = JobKind::statistics;
  sent.spec.train.dataset = "digits";
  sent.spec.statistics = StatisticsSpec{{"age", "ward"}, 16};
  const auto got = round_trip(sent);
  EXPECT_EQ(got.spec, sent.spec);
  const Statistics counts{12, {{"age", {20, 80}}}};
  const auto again = round_trip(counts);
  EXPECT_EQ(again.cell_min, counts.cell_min);
  EXPECT_EQ(again.ranges, counts.ranges);
}

// A trainer of a site's own that is older refuses keys that it does not know.
TEST(Contract, WhatAJobLeavesToItsDefaultIsNotWritten) {
  const auto line = encode(Command{1, full_prepare()});
  for (const auto* key :
       {"class_weights", "schedule", "clip_norm", "clip_value", "freeze", "augment", "nesterov",
        "shortcut", "prox_mu", "exclude", "private", "personal", "control"}) {
    EXPECT_EQ(line.find(key), std::string::npos) << key;
  }
}

// What else a later version may have put into the line is not looked at.
TEST(Contract, AnotherVersionIsRefusedByItsNumber) {
  const auto refused =
      parse_command(R"({"id":1,"type":"prepare","contract":2,"unheard_of":[true]})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "contract_version_unsupported");
  EXPECT_EQ(refused.error().message,
            "this trainer speaks version 1 of the trainer contract, and was asked for version 2");
  auto sent = full_prepare();
  sent.version = 7;
  EXPECT_FALSE(parse_command(encode(Command{1, sent})));
}

TEST(Contract, OtherCommandsSurviveTheLine) {
  const auto initialize = round_trip(Initialize{UINT64_MAX, "/models/global"});
  EXPECT_EQ(initialize.seed, UINT64_MAX);
  EXPECT_EQ(initialize.output, "/models/global");
  const auto full = round_trip(Train{3, 4, "/m", "/u", 9, "/own", "/next", "/c"});
  EXPECT_EQ(full.own, "/own");
  EXPECT_EQ(full.own_output, "/next");
  EXPECT_EQ(full.control, "/c");
  EXPECT_EQ(round_trip(Evaluate{"/m", "/own"}).own, "/own");
  const auto train = round_trip(Train{3, 4, "/m", "/u"});
  EXPECT_EQ(train.round, 3U);
  EXPECT_EQ(train.seed, 4U);
  EXPECT_EQ(train.model, "/m");
  EXPECT_EQ(train.output, "/u");
  EXPECT_EQ(train.steps, 0U);
  EXPECT_EQ(round_trip(Train{3, 4, "/m", "/u", 250}).steps, 250U);
  EXPECT_EQ(round_trip(Evaluate{"/m"}).model, "/m");
  const auto predict = round_trip(Predict{"/m", "/inputs", "/outputs", "/own"});
  EXPECT_EQ(predict.model, "/m");
  EXPECT_EQ(predict.inputs, "/inputs");
  EXPECT_EQ(predict.output, "/outputs");
  EXPECT_EQ(predict.own, "/own");
  EXPECT_EQ(round_trip(Predict{"/m", "/inputs", "/outputs"}).own, "");
  round_trip(Stop{});
}

// One with every key, for each kind of source; the tags stay with the agent.
std::vector<DatasetConfig> full_datasets() {
  DatasetConfig csv;
  csv.name = "patients";
  csv.source = CsvFile{"/data/patients.csv", "\t", false};
  csv.class_names = {"well", "ill"};
  csv.holdout = Holdout{0.25, "ward", true};
  csv.table.features = {"age", "sex", "weight"};
  csv.table.label = "outcome";
  csv.table.standardise = {"weight"};
  csv.table.missing = Missing::median;
  csv.table.missing_words = {"NA", "?"};
  auto& columns = csv.table.columns;
  columns["sex"] = {.categories = {"f", "m"}, .unknown = Unknown::zeros};
  columns["age"] = {.missing = Missing::constant, .constant = -1, .mean = 40, .deviation = 9.5};

  auto sqlite = csv;
  sqlite.source = SqliteQuery{"/data/clinic.db", "SELECT * FROM patient"};
  auto postgres = csv;
  postgres.source = PostgresQuery{"service=clinic", "SELECT 1"};
  auto notes = csv;
  notes.table = {};
  notes.table.text = "note";
  notes.table.targets = {"days", "cost"};
  notes.table.tokens = {.by = TokensBy::words, .vocabulary = 5000, .length = 64};
  auto lines = csv;
  lines.source = LabelledLines{{{"well", "/data/well.txt"}, {"ill", "/data/ill.txt"}}};
  lines.table = {};
  lines.table.text = kLineText;
  lines.table.label = kLineLabel;
  lines.table.tokens = {.by = TokensBy::characters, .length = 16, .alphabet = "abcß"};
  auto npy = lines;
  npy.table = {};
  npy.source = NpyFiles{{.inputs = "/x.npy", .targets = "/t.npy", .divide_by = 255}};
  auto npz = npy;
  npz.source = NpzFile{"/all.npz", {.inputs = "x", .labels = "y", .vocabulary = 300}};
  auto images = npy;
  images.source = ImageFolder{"/data/pictures", 1, 24, 32, true};
  return {csv, sqlite, postgres, notes, lines, npy, npz, images};
}

TEST(Contract, EveryKindOfDatasetSurvivesTheLine) {
  for (const DatasetConfig& dataset : full_datasets()) {
    auto sent = full_prepare();
    sent.train_dataset = dataset;
    EXPECT_TRUE(round_trip(sent).train_dataset == dataset) << dataset.name;
  }
}

TEST(Contract, RepliesSurviveTheLine) {
  const auto progress = reply_round_trip(Progress{10, 20, "examples"});
  EXPECT_EQ(progress.done, 10U);
  EXPECT_EQ(progress.total, 20U);
  EXPECT_EQ(progress.unit, "examples");
  const auto result = reply_round_trip(Result{60000, 1875, {{"loss", 0.1}, {"accuracy", 1.0}}});
  EXPECT_EQ(result.examples, 60000U);
  EXPECT_EQ(result.steps, 1875U);
  EXPECT_EQ(result.metrics, (Metrics{{"loss", 0.1}, {"accuracy", 1.0}}));
  const Sums sums{{"confusion", {3, 1, 0, 2}}, {"count", {6}}};
  EXPECT_EQ(reply_round_trip(Result{6, 0, {{"loss", 0.1}}, sums}).sums, sums);
  const auto error = reply_round_trip(Error{"out_of_memory", "too large", true});
  EXPECT_EQ(error.code, "out_of_memory");
  EXPECT_EQ(error.message, "too large");
  EXPECT_TRUE(error.transient);
}

TEST(Contract, ALongErrorMessageIsCutBetweenCharacters) {
  std::string message;
  while (message.size() < 3 * limits::kPeerTextBytesMax) {
    message += "é";
  }
  const auto got = reply_round_trip(Error{"failed", "x" + message, false}).message;
  EXPECT_EQ(got, ("x" + message).substr(0, limits::kPeerTextBytesMax - 1));
}

TEST(Contract, TextThatIsNotUtf8IsStillSent) {
  EXPECT_THAT(reply_round_trip(Error{"failed", "bad \xff byte", false}).message, HasSubstr("bad "));
}

TEST(Contract, ASeedOfAnySizeIsExact) {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1} << 53, UINT64_MAX - 1}) {
    EXPECT_EQ(round_trip(Initialize{seed, "/m"}).seed, seed);
  }
}

TEST(Contract, WhatIsNotACommandIsRefused) {
  EXPECT_THAT(why_refused(""), HasSubstr("not JSON"));
  EXPECT_THAT(why_refused("train please"), HasSubstr("not JSON"));
  EXPECT_THAT(why_refused("[]"), HasSubstr("not an object"));
  EXPECT_THAT(why_refused(R"({"type":"stop"})"), HasSubstr("id is missing"));
  EXPECT_THAT(why_refused(R"({"id":1})"), HasSubstr("type is missing"));
  EXPECT_THAT(why_refused(R"({"id":-1,"type":"stop"})"), HasSubstr("id must be"));
  EXPECT_THAT(why_refused(R"({"id":1,"type":"reboot"})"), HasSubstr("\"reboot\" is not known"));
  EXPECT_THAT(why_refused(R"({"id":1,"type":"result"})"), HasSubstr("not known"));
  EXPECT_THAT(why_refused(R"({"id":1,"type":"evaluate"})"), HasSubstr("model is missing"));
  EXPECT_THAT(why_refused(R"({"id":1,"type":"evaluate","model":4})"),
              HasSubstr("must be a string"));
  EXPECT_THAT(why_refused(R"({"id":1,"type":"evaluate","model":"a\u0000b"})"), HasSubstr("zero"));
}

TEST(Contract, AKeyThatNobodyKnowsIsRefused) {
  // Ignoring an option would silently compute something else than was asked for.
  EXPECT_THAT(why_refused(R"({"id":1,"type":"stop","after":3})"), HasSubstr("after is not known"));
}

TEST(Contract, AFaultInsideIsNamedByItsPath) {
  const auto line = encode(Command{1, full_prepare()});
  const auto with = [&](const std::string& from, const std::string& to) {
    auto changed = line;
    const auto at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return changed.replace(at, from.size(), to);
  };
  EXPECT_THAT(why_refused(with("\"type\":\"conv2d\"", "\"type\":2")),
              HasSubstr("job.model.layers[0].type"));
  EXPECT_THAT(why_refused(with("\"p\":0.25", "\"p\":[0.25]")), HasSubstr("job.model.layers[1].p"));
  EXPECT_THAT(why_refused(with("\"lr\":0.1", "\"lr\":1e999")), HasSubstr("not JSON"));
  EXPECT_THAT(why_refused(with("\"lr\":0.1", "\"lr\":\"fast\"")),
              HasSubstr("job.train.optimizer.lr"));
  EXPECT_THAT(why_refused(with("cross_entropy", "hinges")), HasSubstr("job.train.loss"));
  EXPECT_THAT(why_refused(with("\"momentum\":0.9", "\"momentum\":0.9,\"beta1\":[1]")),
              HasSubstr("job.train.optimizer.beta1"));
  EXPECT_THAT(why_refused(with("\"loss\":", "\"freeze\":[1],\"loss\":")),
              HasSubstr("job.train.freeze"));
  EXPECT_THAT(why_refused(with("\"name\":\"fc\"", "\"name\":\"fc\",\"layers\":[{\"name\":\"\"}]")),
              HasSubstr("job.model.layers[2].layers[0].type is missing"));
  EXPECT_THAT(why_refused(with("\"batch_size\":64", "\"batch_size\":0")), HasSubstr("batch_size"));
  EXPECT_THAT(why_refused(with("\"input\":[1,", "\"input\":[-1,")), HasSubstr("job.model.input"));
  EXPECT_THAT(why_refused(with("\"of\":4", "\"of\":4294967296")), HasSubstr("partition.of"));
  EXPECT_THAT(why_refused(with("\"threads\":2", "\"threads\":0")), HasSubstr("threads"));
}

TEST(Contract, ALineBeyondTheLimitIsRefusedUnread) {
  EXPECT_THAT(why_refused(std::string(kLineBytesMax + 1, ' ')), HasSubstr("longer than"));
}

TEST(Contract, MetricsMustBeFiniteNumbersAndFew) {
  EXPECT_FALSE(
      parse_reply(R"({"id":1,"type":"result","examples":1,"steps":1,"metrics":{"loss":null}})"));
  EXPECT_FALSE(parse_reply(R"({"id":1,"type":"result","examples":1,"steps":1,"metrics":{"":1}})"));
  // A loss that is not a number has no JSON form, so such a reply must not pass as a result.
  const auto line = encode(Reply{1, Result{1, 1, {{"loss", std::nan("")}}}});
  EXPECT_FALSE(parse_reply(std::string_view(line).substr(0, line.size() - 1)));
  Result many{1, 1, {}};
  for (std::size_t i = 0; i <= limits::kMetricsPerResultMax; ++i) {
    many.metrics["m" + std::to_string(i)] = 0;
  }
  const auto too_many = encode(Reply{1, many});
  EXPECT_FALSE(parse_reply(std::string_view(too_many).substr(0, too_many.size() - 1)));
}

TEST(Contract, SumsMustBeFiniteNumbersAndFew) {
  const auto is_taken = [](const Sums& sums) {
    const auto line = encode(Reply{1, Result{1, 1, {}, sums}});
    return parse_reply(std::string_view(line).substr(0, line.size() - 1)).has_value();
  };
  EXPECT_TRUE(is_taken({{"a", std::vector<double>(limits::kSumValuesPerResultMax)}}));
  EXPECT_FALSE(is_taken({{"a", std::vector<double>(limits::kSumValuesPerResultMax)}, {"b", {1}}}));
  EXPECT_FALSE(is_taken({{"a", {std::nan("")}}}));
  EXPECT_FALSE(is_taken({{"", {1}}}));
  Sums many;
  for (std::size_t i = 0; i <= limits::kSumsPerResultMax; ++i) {
    many["s" + std::to_string(i)] = {1};
  }
  EXPECT_FALSE(is_taken(many));
}

TEST(Contract, GarbageNeverThrows) {
  const auto valid = encode(Command{1, full_prepare()});
  std::mt19937_64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    auto line = valid;
    for (int edits = 0; edits < 3; ++edits) {
      const auto at = random() % line.size();
      switch (random() % 3) {
        case 0:
          line[at] = static_cast<char>(random());
          break;
        case 1:
          line.erase(at, random() % 16);
          break;
        case 2:
          line.insert(at, 1, "{}[]\",:0-e"[random() % 10]);
          break;
      }
    }
    EXPECT_NO_THROW({
      (void)parse_command(line);
      (void)parse_reply(line);
    });
  }
  EXPECT_FALSE(parse_command(std::string(500'000, '[')).has_value());
  EXPECT_FALSE(parse_command(std::string(500'000, '[') + std::string(500'000, ']')).has_value());
}

}  // namespace
}  // namespace entente::agent::contract
