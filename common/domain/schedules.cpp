#include "common/domain/schedules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente {
namespace {

struct ScheduleKind {
  std::string_view name;
  std::span<const AttributeRow> options;
  double (*factor)(const Attributes& options, double round);  // round: from 0, after the warm-up
};

// Never 0: q-FedAvg divides by the rate, and what a site would train in such a round is nothing.
constexpr double kFactorMin = 1e-9;

constexpr double kRoundsMax = limits::kRoundsMax;
constexpr AttributeRow kWarmup = integer_or("warmup", 0, 0, kRoundsMax);

constexpr std::array kConstant{kWarmup};
constexpr std::array kStep{required_integer("every", 1, kRoundsMax), number_or("gamma", 0.1, 0, 1),
                           kWarmup};
constexpr std::array kExponential{required_number("gamma", 0, 1), kWarmup};
constexpr std::array kCosine{required_integer("rounds", 1, kRoundsMax), number_or("end", 0, 0, 1),
                             kWarmup};

constexpr std::array kScheduleKinds{
    ScheduleKind{"constant", kConstant, [](const Attributes&, double) { return 1.0; }},
    ScheduleKind{"step", kStep,
                 [](const Attributes& options, double round) {
                   const auto every = static_cast<double>(integer_in(options, "every"));
                   return std::pow(number_in(options, "gamma"), std::floor(round / every));
                 }},
    ScheduleKind{"exponential", kExponential,
                 [](const Attributes& options, double round) {
                   return std::pow(number_in(options, "gamma"), round);
                 }},
    ScheduleKind{"cosine", kCosine,
                 [](const Attributes& options, double round) {
                   const auto rounds = static_cast<double>(integer_in(options, "rounds"));
                   const auto end = number_in(options, "end");
                   const auto share = std::min(round / rounds, 1.0);
                   return end + (1 - end) * (1 + std::cos(std::numbers::pi * share)) / 2;
                 }},
};

const ScheduleKind* find_schedule_kind(std::string_view name) {
  const auto found = std::find_if(kScheduleKinds.begin(), kScheduleKinds.end(),
                                  [&](const ScheduleKind& kind) { return kind.name == name; });
  return found == kScheduleKinds.end() ? nullptr : found;
}

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

}  // namespace

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const auto& kind : kScheduleKinds) {
    names.emplace_back(kind.name);
  }
  return names;
}

std::vector<std::string> schedule_options(std::string_view kind) {
  const auto* found = find_schedule_kind(kind);
  return found == nullptr ? std::vector<std::string>() : attribute_names(found->options);
}

Expected<void> check_schedule(const ScheduleSpec& spec) {
  const auto* kind = find_schedule_kind(spec.kind);
  if (kind == nullptr) {
    const auto known = schedule_names();
    return invalid(fmt::format("train.schedule.type is {}, which is unknown{}", quote(spec.kind),
                               suggestion(spec.kind, known)),
                   fmt::format("set train.schedule.type to \"{}\"",
                               nearest(spec.kind, known).value_or(known.front())));
  }
  auto options = spec.options;
  if (auto wrong = complete_attributes(kind->options, options)) {
    return invalid("train.schedule: " + wrong->cause, std::move(wrong->hint));
  }
  return {};
}

double schedule_factor(const ScheduleSpec& spec, std::uint32_t round) {
  const auto* kind = find_schedule_kind(spec.kind);
  ENTENTE_CHECK(kind != nullptr);
  auto options = spec.options;
  ENTENTE_CHECK(!complete_attributes(kind->options, options));
  const auto warmup = static_cast<double>(integer_in(options, "warmup"));
  const double number = std::max(round, std::uint32_t{1});
  const double factor =
      number <= warmup ? number / (warmup + 1) : kind->factor(options, number - 1 - warmup);
  return std::max(factor, kFactorMin);
}

}  // namespace entente
