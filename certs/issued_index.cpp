#include "certs/issued_index.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <fstream>
#include <optional>

namespace entente::pki {
namespace {

constexpr std::size_t kFields = 6;
constexpr std::string_view kHexDigits = "0123456789ABCDEF";

std::optional<UnixMillis> parse_time(std::string_view text) {
  UnixMillis value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::array<std::string_view, kFields>> split(std::string_view line) {
  std::array<std::string_view, kFields> fields;
  for (std::size_t i = 0; i < kFields; ++i) {
    const std::size_t tab = line.find('\t');
    const bool last = i + 1 == kFields;
    if ((tab == std::string_view::npos) != last) {
      return std::nullopt;
    }
    fields[i] = line.substr(0, tab);
    line.remove_prefix(last ? line.size() : tab + 1);
  }
  return fields;
}

std::optional<IndexRow> parse_row(std::string_view line) {
  const auto fields = split(line);
  if (!fields) {
    return std::nullopt;
  }
  const auto& [serial, member, fingerprint, not_before, not_after, revoked] = *fields;
  const auto digest = Digest::parse(fingerprint);
  const auto begin = parse_time(not_before);
  const auto end = parse_time(not_after);
  const auto revoked_at = revoked == "-" ? std::optional<UnixMillis>(0) : parse_time(revoked);
  const bool serial_legal = !serial.empty() && serial.size() <= 40 &&
                            serial.find_first_not_of(kHexDigits) == std::string_view::npos;
  if (!serial_legal || !digest || !begin || !end || !revoked_at) {
    return std::nullopt;
  }
  return IndexRow{.serial = std::string(serial),
                  .member = std::string(member),
                  .fingerprint = *digest,
                  .validity = {.not_before = *begin, .not_after = *end},
                  .revoked_at = *revoked_at};
}

}  // namespace

Expected<std::vector<IndexRow>> read_index(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) {
    return refuse("ca_invalid", fmt::format("cannot read the CA's index {}", path.native()),
                  "restore it from a backup: without it nothing can be revoked");
  }
  std::vector<IndexRow> rows;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    auto row = parse_row(line);
    if (!row) {
      return refuse("ca_invalid",
                    fmt::format("{}:{}: not a line of the CA's index", path.native(), number),
                    "restore the file from a backup");
    }
    rows.push_back(std::move(*row));
  }
  if (file.bad()) {
    return refuse("ca_invalid", fmt::format("cannot read the CA's index {}", path.native()));
  }
  return rows;
}

std::string format_index(const std::vector<IndexRow>& rows) {
  std::string text;
  for (const IndexRow& row : rows) {
    fmt::format_to(std::back_inserter(text), "{}\t{}\t{}\t{}\t{}\t{}\n", row.serial, row.member,
                   row.fingerprint.hex(), row.validity.not_before, row.validity.not_after,
                   row.revoked() ? std::to_string(row.revoked_at) : "-");
  }
  return text;
}

}  // namespace entente::pki
