#include "broker/store/row_values.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace entente::broker {
namespace {

std::optional<Metrics> metrics_from(const nlohmann::json& json) {
  if (!json.is_object()) {
    return std::nullopt;
  }
  Metrics metrics;
  for (const auto& [name, number] : json.items()) {
    if (!number.is_number()) {
      return std::nullopt;
    }
    metrics[name] = number.get<double>();
  }
  return metrics;
}

}  // namespace

Binder& Binder::text(std::string_view value) {
  statement_.bind(++index_, std::string(value));
  return *this;
}

Binder& Binder::integer(std::uint64_t value) {
  statement_.bind(++index_, static_cast<std::int64_t>(value));
  return *this;
}

Binder& Binder::real(double value) {
  statement_.bind(++index_, value);
  return *this;
}

Binder& Binder::bytes(std::string_view value) {
  statement_.bind(++index_, value.data(), static_cast<int>(value.size()));
  return *this;
}

Binder& Binder::digest(const std::optional<BlobId>& value) {
  ++index_;
  if (value) {
    statement_.bind(index_, value->bytes.data(), static_cast<int>(value->bytes.size()));
  }
  return *this;
}

Binder& Binder::metrics(const Metrics& value) {
  for (const auto& [name, number] : value) {
    if (!std::isfinite(number)) {  // JSON has no such number: the row could not be read back
      throw std::invalid_argument("metric \"" + name + "\" is not a finite number");
    }
  }
  return text(nlohmann::json(value).dump());
}

Binder& Binder::sums(const Sums& value) {
  for (const auto& [name, numbers] : value) {
    if (!std::all_of(numbers.begin(), numbers.end(), [](double n) { return std::isfinite(n); })) {
      throw std::invalid_argument("the sums \"" + name + "\" are not finite");
    }
  }
  return text(nlohmann::json(value).dump());
}

Binder& Binder::evaluations(const SiteEvaluations& value) {
  auto json = nlohmann::json::object();
  for (const auto& [site, evaluation] : value) {
    for (const auto& [name, number] : evaluation.metrics) {
      if (!std::isfinite(number)) {
        throw std::invalid_argument("metric \"" + name + "\" is not a finite number");
      }
    }
    json[site.str()] = {{"metrics", evaluation.metrics}, {"examples", evaluation.examples}};
  }
  return text(json.dump());
}

std::string RowReader::text() { return statement_.getColumn(++index_).getString(); }

std::uint64_t RowReader::integer() {
  return static_cast<std::uint64_t>(statement_.getColumn(++index_).getInt64());
}

double RowReader::real() { return statement_.getColumn(++index_).getDouble(); }

std::string RowReader::bytes() {
  const auto column = statement_.getColumn(++index_);
  return {static_cast<const char*>(column.getBlob()), static_cast<std::size_t>(column.getBytes())};
}

std::optional<BlobId> RowReader::digest() {
  const auto column = statement_.getColumn(++index_);
  if (column.isNull()) {
    return std::nullopt;
  }
  BlobId id;
  if (static_cast<std::size_t>(column.getBytes()) != id.bytes.size()) {
    reject("a digest of another length");
  }
  const auto* data = static_cast<const std::uint8_t*>(column.getBlob());
  std::copy(data, data + id.bytes.size(), id.bytes.begin());
  return id;
}

BlobId RowReader::required_digest() {
  const auto id = digest();
  if (!id) {
    reject("no digest");
  }
  return *id;
}

Metrics RowReader::metrics() {
  const auto value = text();
  const auto metrics = metrics_from(nlohmann::json::parse(value, nullptr, false));
  if (!metrics) {
    reject(value);
  }
  return *metrics;
}

SiteEvaluations RowReader::evaluations() {
  const auto value = text();
  const auto json = nlohmann::json::parse(value, nullptr, false);
  if (!json.is_object()) {
    reject(value);
  }
  SiteEvaluations evaluations;
  for (const auto& [name, entry] : json.items()) {
    const auto site = SiteId::parse(name);
    const bool has_all = entry.is_object() && entry.contains("metrics") &&
                         entry.contains("examples") && entry["examples"].is_number_unsigned();
    const auto metrics = has_all ? metrics_from(entry["metrics"]) : std::nullopt;
    if (!site || !metrics) {
      reject(value);
    }
    evaluations[*site] = {*metrics, entry["examples"].get<std::uint64_t>()};
  }
  return evaluations;
}

Sums RowReader::sums() {
  const auto value = text();
  const auto json = nlohmann::json::parse(value, nullptr, false);
  Sums sums;
  if (!json.is_object()) {
    reject(value);
  }
  for (const auto& [name, numbers] : json.items()) {
    const bool is_list =
        numbers.is_array() &&
        std::all_of(numbers.begin(), numbers.end(), [](const auto& n) { return n.is_number(); });
    if (!is_list) {
      reject(value);
    }
    sums[name] = numbers.template get<std::vector<double>>();
  }
  return sums;
}

void RowReader::reject(const std::string& value) const {
  throw std::runtime_error("column " + std::to_string(index_) + " of \"" + statement_.getQuery() +
                           "\" holds " + value);
}

}  // namespace entente::broker
