#include "coordinator/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace entente::cli {
namespace {

constexpr std::array<std::string_view, 2> kUnreachable{"broker_unreachable", "proxy_refused"};
constexpr std::array<std::string_view, 4> kNotAuthorised{"broker_untrusted", "certificate_refused",
                                                         "identity_invalid", "not_authorised"};

template <std::size_t size>
bool contains(const std::array<std::string_view, size>& codes, std::string_view code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// Invalid UTF-8 from outside must not become an exception while an error is being reported.
std::string dump(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

// `text` with its second and later lines `columns` to the right.
std::string indent_lines(std::string_view text, std::size_t columns) {
  std::string indented;
  for (const char c : text) {
    indented += c;
    if (c == '\n') {
      indented.append(columns, ' ');
    }
  }
  return indented;
}

}  // namespace

ExitCode exit_code_for(const Refusal& refusal) {
  if (contains(kUnreachable, refusal.code)) {
    return ExitCode::unreachable;
  }
  return contains(kNotAuthorised, refusal.code) ? ExitCode::not_authorised : ExitCode::refused;
}

ExitCode print_refusal(const Options& options, const Refusal& refusal) {
  if (options.json) {
    const nlohmann::json error{
        {"error", refusal.code}, {"message", refusal.message}, {"hint", refusal.hint}};
    fmt::print(stderr, "{}\n", dump(error));
    return exit_code_for(refusal);
  }
  fmt::print(stderr, "error: {}\n", refusal.message);
  if (!refusal.hint.empty()) {
    fmt::print(stderr, "hint: {}\n", refusal.hint);
  }
  return exit_code_for(refusal);
}

void print_json(const nlohmann::json& result) { fmt::print("{}\n", dump(result)); }

void print_fields(const std::vector<Field>& fields) {
  std::size_t width = 0;
  for (const auto& [label, value] : fields) {
    width = std::max(width, value.empty() ? 0 : label.size());
  }
  for (const auto& [label, value] : fields) {
    if (!value.empty()) {
      fmt::print("  {:<{}}  {}\n", label, width, indent_lines(value, width + 4));
    }
  }
}

}  // namespace entente::cli
