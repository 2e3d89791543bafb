#include "site-agent/contract/contract.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "site-agent/contract/dataset_json.h"
#include "site-agent/contract/job_json.h"
#include "site-agent/contract/json_fields.h"

namespace entente::agent::contract {
namespace {

using nlohmann::json;

constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kWordBytesMax = 64;
// Of a column and a category together.
constexpr std::size_t kSumNameBytesMax = 255;
constexpr std::uint32_t kThreadsMax = 1024;

// ---- to JSON: one overload for each command and reply ----

json to_json_object(const Prepare& prepare) {
  json object{{"type", "prepare"},
              {"contract", prepare.version},
              {"job", job_to_json(prepare.spec)},
              {"train_dataset", dataset_to_json(prepare.train_dataset)},
              {"threads", prepare.threads},
              {"device", prepare.device}};
  if (prepare.evaluate_dataset) {
    object["evaluate_dataset"] = dataset_to_json(*prepare.evaluate_dataset);
  }
  if (prepare.loss_before) {
    object["loss_before"] = true;
  }
  if (prepare.control) {
    object["control"] = true;
  }
  return object;
}

json to_json_object(const Initialize& initialize) {
  return {{"type", "initialize"}, {"seed", initialize.seed}, {"output", initialize.output}};
}

void add_path(json& object, const char* key, const std::string& path) {
  if (!path.empty()) {
    object[key] = path;
  }
}

json to_json_object(const Train& train) {
  json object{{"type", "train"},
              {"round", train.round},
              {"seed", train.seed},
              {"model", train.model},
              {"output", train.output}};
  if (train.steps != 0) {
    object["steps"] = train.steps;
  }
  add_path(object, "own", train.own);
  add_path(object, "own_output", train.own_output);
  add_path(object, "control", train.control);
  return object;
}

json to_json_object(const Evaluate& evaluate) {
  json object{{"type", "evaluate"}, {"model", evaluate.model}};
  add_path(object, "own", evaluate.own);
  return object;
}

json to_json_object(const Statistics& statistics) {
  json object{{"type", "statistics"}, {"cell_min", statistics.cell_min}};
  if (!statistics.ranges.empty()) {
    object["ranges"] = statistics.ranges;
  }
  return object;
}

json to_json_object(const Predict& predict) {
  json object{{"type", "predict"},
              {"model", predict.model},
              {"inputs", predict.inputs},
              {"output", predict.output}};
  add_path(object, "own", predict.own);
  return object;
}

json to_json_object(const Stop&) { return {{"type", "stop"}}; }

json to_json_object(const Progress& progress) {
  return {{"type", "progress"},
          {"done", progress.done},
          {"total", progress.total},
          {"unit", progress.unit}};
}

json to_json_object(const Result& result) {
  json object{{"type", "result"},
              {"examples", result.examples},
              {"steps", result.steps},
              {"metrics", result.metrics}};
  if (!result.sums.empty()) {
    object["sums"] = result.sums;
  }
  return object;
}

json to_json_object(const Error& error) {
  return {{"type", "error"},
          {"code", error.code},
          {"message", error.message},
          {"transient", error.transient}};
}

template <class Message>
std::string encode_line(const Message& message) {
  json object = std::visit([](const auto& body) { return to_json_object(body); }, message.body);
  object["id"] = message.id;
  // Text from an operating system may not be UTF-8; a replaced character is better than no message.
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

// ---- from JSON ----

Prepare parse_prepare(JsonFields& fields, Fault& fault) {
  Prepare prepare;
  prepare.version = fields.natural32("contract");
  JsonFields job = fields.object("job");
  prepare.spec = job_from_json(job, fault);
  prepare.train_dataset = dataset_from_json(fields.object("train_dataset"), fault);
  if (fields.has("evaluate_dataset")) {
    prepare.evaluate_dataset = dataset_from_json(fields.object("evaluate_dataset"), fault);
  }
  prepare.threads = static_cast<std::uint32_t>(fields.natural("threads", kThreadsMax));
  if (prepare.threads == 0) {
    fault.set("threads must be at least 1");
  }
  prepare.device = fields.text("device", kWordBytesMax);
  prepare.loss_before = fields.has("loss_before") && fields.boolean("loss_before");
  prepare.control = fields.has("control") && fields.boolean("control");
  return prepare;
}

Sums parse_sums(JsonFields fields, Fault& fault) {
  Sums sums;
  std::size_t values = 0;
  const auto names = fields.rest();
  if (names.size() > limits::kSumsPerResultMax) {
    fault.set(fmt::format("sums has more than {} entries", limits::kSumsPerResultMax));
    return sums;
  }
  for (const auto& name : names) {
    if (name.empty() || name.size() > kSumNameBytesMax) {
      fault.set(
          fmt::format("sums has a name that is empty or longer than {} bytes", kSumNameBytesMax));
      return sums;
    }
    sums[name] = fields.numbers(name.c_str(), limits::kSumValuesPerResultMax);
    values += sums[name].size();
  }
  if (values > limits::kSumValuesPerResultMax) {
    fault.set(fmt::format("sums has more than {} values", limits::kSumValuesPerResultMax));
  }
  return sums;
}

std::string parse_path(JsonFields& fields, const char* key) {
  return fields.has(key) ? fields.text(key, kPathBytesMax) : std::string();
}

std::optional<CommandBody> parse_command_body(const std::string& type, JsonFields& fields,
                                              Fault& fault) {
  if (type == "prepare") {
    return parse_prepare(fields, fault);
  }
  if (type == "initialize") {
    return Initialize{fields.natural("seed"), fields.text("output", kPathBytesMax)};
  }
  if (type == "train") {
    return Train{fields.natural32("round"),
                 fields.natural("seed"),
                 fields.text("model", kPathBytesMax),
                 fields.text("output", kPathBytesMax),
                 fields.has("steps") ? fields.natural("steps", limits::kStepsMax) : 0,
                 parse_path(fields, "own"),
                 parse_path(fields, "own_output"),
                 parse_path(fields, "control")};
  }
  if (type == "evaluate") {
    return Evaluate{fields.text("model", kPathBytesMax), parse_path(fields, "own")};
  }
  if (type == "statistics") {
    return Statistics{fields.natural("cell_min", limits::kStatisticsCellMinMax),
                      fields.has("ranges") ? parse_sums(fields.object("ranges"), fault) : Sums()};
  }
  if (type == "predict") {
    return Predict{fields.text("model", kPathBytesMax), fields.text("inputs", kPathBytesMax),
                   fields.text("output", kPathBytesMax), parse_path(fields, "own")};
  }
  if (type == "stop") {
    return Stop{};
  }
  return std::nullopt;
}

Result parse_result(JsonFields& fields, Fault& fault) {
  Result result;
  result.examples = fields.natural("examples", limits::kExamplesMax);
  result.steps = fields.natural("steps");
  JsonFields metrics = fields.object("metrics");
  const auto names = metrics.rest();
  if (names.size() > limits::kMetricsPerResultMax) {
    fault.set(fmt::format("metrics has more than {} entries", limits::kMetricsPerResultMax));
    return result;
  }
  for (const auto& name : names) {
    if (name.empty() || name.size() > kWordBytesMax) {
      fault.set(
          fmt::format("metrics has a name that is empty or longer than {} bytes", kWordBytesMax));
      return result;
    }
    result.metrics[name] = metrics.number(name.c_str());
  }
  if (fields.has("sums")) {
    result.sums = parse_sums(fields.object("sums"), fault);
  }
  return result;
}

// Cuts at a character, not inside one.
std::string cut(std::string text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    const auto continues = [&](std::size_t i) { return (text[i] & 0xc0) == 0x80; };
    while (bytes_max > 0 && continues(bytes_max)) {
      --bytes_max;
    }
    text.resize(bytes_max);
  }
  return text;
}

Error parse_error(JsonFields& fields) {
  Error error;
  error.code = fields.text("code", kWordBytesMax);
  error.message = cut(fields.text("message", kLineBytesMax), limits::kPeerTextBytesMax);
  error.transient = fields.boolean("transient");
  return error;
}

std::optional<ReplyBody> parse_reply_body(const std::string& type, JsonFields& fields,
                                          Fault& fault) {
  if (type == "progress") {
    return Progress{fields.natural("done"), fields.natural("total"),
                    fields.text("unit", kWordBytesMax)};
  }
  if (type == "result") {
    return parse_result(fields, fault);
  }
  if (type == "error") {
    return parse_error(fields);
  }
  return std::nullopt;
}

// The rest of a line of another version is not for this one to judge.
std::optional<Refusal> other_version(const json& object) {
  const auto of = [&](const char* key) {
    return object.is_object() ? object.value(key, json()) : json();
  };
  const json version = of("contract");
  if (of("type") != "prepare" || !version.is_number_unsigned() || version == kVersion) {
    return std::nullopt;
  }
  return Refusal{
      "contract_version_unsupported",
      fmt::format("this trainer speaks version {} of the trainer contract, and was asked "
                  "for version {}",
                  kVersion, version.get<std::uint64_t>()),
      "install the trainer and the agent of one version", Scope::task};
}

template <class Message, class ParseBody>
Expected<Message> parse_line(std::string_view line, ParseBody parse_body) {
  const auto violated = [](std::string message) {
    return refuse("contract_violated", std::move(message), "see docs/trainer-contract.md",
                  Scope::task);
  };
  if (line.size() > kLineBytesMax) {
    return violated(fmt::format("a line is longer than {} bytes", kLineBytesMax));
  }
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) {
    return violated("a line is not JSON");
  }
  if (auto refusal = other_version(object)) {
    return tl::unexpected(std::move(*refusal));
  }
  Fault fault;
  JsonFields fields(object, "", fault);
  Message message;
  message.id = fields.natural("id");
  const std::string type = fields.text("type", kWordBytesMax);
  if (auto body = parse_body(type, fields, fault)) {
    message.body = std::move(*body);
  } else {
    fault.set(fmt::format("type {} is not known", quote(type)));
  }
  fields.finish();
  if (fault.first()) {
    return violated(*fault.first());
  }
  return message;
}

}  // namespace

std::string encode(const Command& command) { return encode_line(command); }

std::string encode(const Reply& reply) { return encode_line(reply); }

Expected<Command> parse_command(std::string_view line) {
  return parse_line<Command>(line, parse_command_body);
}

Expected<Reply> parse_reply(std::string_view line) {
  return parse_line<Reply>(line, parse_reply_body);
}

}  // namespace entente::agent::contract
