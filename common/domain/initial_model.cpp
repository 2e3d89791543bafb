#include "common/domain/initial_model.h"

#include <charconv>

#include "common/base/limits.h"

namespace entente {
namespace {

constexpr std::string_view kPrefix = "model:";

std::string version_text(const InitialModel& init) {
  switch (init.which) {
    case InitialModel::Which::last:
      return "last";
    case InitialModel::Which::best:
      return "best";
    case InitialModel::Which::round:
      return std::to_string(init.round);
    case InitialModel::Which::file:
      break;
  }
  return {};
}

}  // namespace

std::string to_string(const InitialModel& init) {
  if (init.which == InitialModel::Which::file) {
    return "file:" + (init.file ? init.file->hex() : "");
  }
  return std::string(kPrefix) + init.job.str() + "@" + version_text(init);
}

std::optional<InitialModel> parse_initial_model(std::string_view text) {
  const auto at = text.find('@');
  if (!text.starts_with(kPrefix) || at == std::string_view::npos) {
    return std::nullopt;
  }
  const auto job = JobId::parse(text.substr(kPrefix.size(), at - kPrefix.size()));
  if (!job) {
    return std::nullopt;
  }
  const auto version = text.substr(at + 1);
  if (version == "last" || version == "best") {
    return InitialModel{
        *job, version == "last" ? InitialModel::Which::last : InitialModel::Which::best, 0};
  }
  Round round = 0;
  const auto* end = version.data() + version.size();
  const auto [rest, error] = std::from_chars(version.data(), end, round);
  if (error != std::errc() || rest != end || round > limits::kRoundsMax) {
    return std::nullopt;
  }
  return InitialModel{*job, InitialModel::Which::round, round};
}

}  // namespace entente
