#include "common/wire/values.h"

#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/wire/enumerations.h"

namespace entente::wire {

BlobId read_digest(capnp::Data::Reader value, std::string_view what) {
  return digest({value.begin(), value.size()}, what);
}

std::optional<BlobId> read_optional_digest(capnp::Data::Reader value, std::string_view what) {
  if (value.size() == 0) {
    return std::nullopt;
  }
  return read_digest(value, what);
}

void write_texts(const std::vector<std::string>& texts, capnp::List<capnp::Text>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to.set(i, text(texts[i]));
  }
}

void write_shape(const Shape& shape, capnp::List<std::int64_t>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to.set(i, shape[i]);
  }
}

Shape read_shape(capnp::List<std::int64_t>::Reader from, std::string_view what) {
  return read_list<std::int64_t>(
      from, limits::kTensorDimensionsMax, what, [&](std::int64_t dimension) {
        if (dimension < 1 || dimension > static_cast<std::int64_t>(limits::kModelParametersMax)) {
          illegal(what, fmt::format("has a dimension of {}", dimension));
        }
        return dimension;
      });
}

void write(const Refusal& refusal, schema::Refusal::Builder to) {
  to.setCode(text(refusal.code));
  to.setMessage(text(prose(refusal.message)));
  to.setHint(text(prose(refusal.hint)));
  to.setScope(write_enum(refusal.scope));
}

Refusal read(schema::Refusal::Reader from) {
  return Refusal{
      .code = refusal_code(view(from.getCode())),
      .message = prose(view(from.getMessage())),
      .hint = prose(view(from.getHint())),
      .scope = read_enum<Scope>(from.getScope(), "refusal.scope"),
  };
}

void write_sums(const Sums& sums, capnp::List<schema::NamedSums>::Builder to) {
  unsigned at = 0;
  for (const auto& [name, numbers] : sums) {
    auto item = to[at++];
    item.setName(text(name));
    auto values = item.initValues(static_cast<unsigned>(numbers.size()));
    for (unsigned i = 0; i < values.size(); ++i) {
      values.set(i, numbers[i]);
    }
  }
}

Sums read_sums(capnp::List<schema::NamedSums>::Reader from, std::string_view what) {
  check_count(from.size(), limits::kSumsPerResultMax, what);
  Sums sums;
  std::size_t values = 0;
  for (const auto named : from) {
    values += named.getValues().size();
    check_count(values, limits::kSumValuesPerResultMax, what);
    const auto [place, inserted] = sums.emplace(
        label(view(named.getName()), "sums.name"),
        read_list<double>(named.getValues(), limits::kSumValuesPerResultMax, "sums.values",
                          [](double value) { return finite(value, "sums.value"); }));
    if (!inserted) {
      illegal(what, fmt::format("name \"{}\" twice", place->first));
    }
  }
  return sums;
}

void write_metrics(const Metrics& metrics, capnp::List<schema::Metric>::Builder to) {
  unsigned i = 0;
  for (const auto& [name, value] : metrics) {
    auto metric = to[i++];
    metric.setName(text(name));
    metric.setValue(value);
  }
}

Metrics read_metrics(capnp::List<schema::Metric>::Reader from) {
  check_count(from.size(), limits::kMetricsPerResultMax, "metrics");
  Metrics metrics;
  for (const auto metric : from) {
    const auto [place, inserted] = metrics.emplace(label(view(metric.getName()), "metric.name"),
                                                   finite(metric.getValue(), "metric.value"));
    if (!inserted) {
      illegal("metrics", fmt::format("name \"{}\" twice", place->first));
    }
  }
  return metrics;
}

}  // namespace entente::wire
