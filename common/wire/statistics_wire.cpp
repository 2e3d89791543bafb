#include "common/wire/statistics_wire.h"

#include "common/base/limits.h"
#include "common/wire/values.h"

namespace entente::wire {

void write(const Normalisation& normalise, schema::Normalisation::Builder to) {
  if (normalise.from) {
    to.setFrom(text(normalise.from->str()));
  }
  write_list(
      normalise.columns, [&](unsigned count) { return to.initColumns(count); },
      [](const Scale& scale, auto item) {
        item.setColumn(text(scale.column));
        item.setMean(unsigned_zero(scale.mean));
        item.setDeviation(unsigned_zero(scale.deviation));
      });
}

Normalisation read(schema::Normalisation::Reader from) {
  Normalisation normalise;
  if (from.hasFrom()) {
    normalise.from = read_name<JobId>(view(from.getFrom()), "normalise.from");
  }
  normalise.columns = read_list<Scale>(
      from.getColumns(), limits::kStatisticsColumnsMax, "normalise.columns", [](auto item) {
        return Scale{label(view(item.getColumn()), "normalise.column"),
                     finite(item.getMean(), "normalise.mean"),
                     finite(item.getDeviation(), "normalise.deviation")};
      });
  return normalise;
}

void write(const StatisticsSpec& statistics, schema::StatisticsSpec::Builder to) {
  if (!statistics.columns.empty()) {
    write_texts(statistics.columns,
                to.initColumns(static_cast<unsigned>(statistics.columns.size())));
  }
  to.setBins(statistics.bins);
  if (!statistics.quantiles.empty()) {
    auto quantiles = to.initQuantiles(static_cast<unsigned>(statistics.quantiles.size()));
    for (unsigned i = 0; i < quantiles.size(); ++i) {
      quantiles.set(i, unsigned_zero(statistics.quantiles[i]));
    }
  }
}

StatisticsSpec read(schema::StatisticsSpec::Reader from) {
  StatisticsSpec statistics;
  statistics.columns = read_list<std::string>(
      from.getColumns(), limits::kStatisticsColumnsMax, "statistics.columns",
      [](capnp::Text::Reader name) { return label(view(name), "statistics.column"); });
  statistics.bins = at_most_32(from.getBins(), limits::kStatisticsBinsMax, "statistics.bins");
  statistics.quantiles = read_list<double>(
      from.getQuantiles(), limits::kStatisticsQuantilesMax, "statistics.quantiles",
      [](double share) { return finite(share, "statistics.quantile"); });
  return statistics;
}

}  // namespace entente::wire
