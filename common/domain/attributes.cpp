#include "common/domain/attributes.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente {
namespace {

std::string_view type_words(AttributeType type) {
  switch (type) {
    case AttributeType::boolean:
      return "true or false";
    case AttributeType::integer:
      return "an integer";
    case AttributeType::number:
      return "a number";
  }
  return "";
}

std::optional<double> as_number(const Attribute& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return static_cast<double>(*integer);
  }
  if (const auto* number = std::get_if<double>(&value)) {
    return *number;
  }
  return std::nullopt;
}

// Checks a given value, and turns an integer into the number that the row wants.
std::optional<AttributeFault> check_value(const AttributeRow& row, Attribute& value) {
  const auto hint = [&] {
    return row.type == AttributeType::boolean
               ? std::string("write true or false without quotes")
               : fmt::format("set {} to a value from {} to {}", row.name, row.min, row.max);
  };
  const bool fits = row.type == AttributeType::boolean ? std::holds_alternative<bool>(value)
                    : row.type == AttributeType::integer
                        ? std::holds_alternative<std::int64_t>(value)
                        : as_number(value).has_value();
  if (!fits) {
    return AttributeFault{fmt::format("{} must be {}", row.name, type_words(row.type)), hint()};
  }
  if (row.type == AttributeType::boolean) {
    return std::nullopt;
  }
  const double number = *as_number(value);
  // Written so that a NaN is out of range.
  if (!(number >= row.min && number <= row.max)) {
    return AttributeFault{
        fmt::format("{} is {}, must be from {} to {}", row.name, number, row.min, row.max), hint()};
  }
  if (row.type == AttributeType::number) {
    value = number;
  }
  return std::nullopt;
}

Attribute default_of(const AttributeRow& row) {
  switch (row.type) {
    case AttributeType::boolean:
      return row.fallback != 0;
    case AttributeType::integer:
      return static_cast<std::int64_t>(row.fallback);
    case AttributeType::number:
      return row.fallback;
  }
  return row.fallback;
}

}  // namespace

std::optional<AttributeFault> complete_attributes(std::span<const AttributeRow> rows,
                                                  Attributes& values) {
  for (const auto& [name, value] : values) {
    if (std::none_of(rows.begin(), rows.end(),
                     [&, &name = name](const AttributeRow& row) { return row.name == name; })) {
      return AttributeFault{fmt::format("unknown attribute {}{}", quote(name),
                                        suggestion(name, attribute_names(rows))),
                            "docs/models.md lists every attribute"};
    }
  }
  for (const auto& row : rows) {
    const auto given = values.find(std::string(row.name));
    if (given != values.end()) {
      if (auto wrong = check_value(row, given->second)) {
        return wrong;
      }
    } else if (row.absent == Absent::is_an_error) {
      return AttributeFault{fmt::format("{} is missing", row.name),
                            fmt::format("add {} = ...", row.name)};
    } else if (row.absent == Absent::takes_default) {
      values.emplace(row.name, default_of(row));
    }
  }
  return std::nullopt;
}

std::vector<std::string> attribute_names(std::span<const AttributeRow> rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) {
    names.emplace_back(row.name);
  }
  return names;
}

}  // namespace entente
