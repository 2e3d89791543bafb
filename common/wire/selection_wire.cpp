#include "common/wire/selection_wire.h"

#include "common/base/limits.h"
#include "common/wire/enumerations.h"
#include "common/wire/values.h"

namespace entente::wire {

static void write(const SampleSpec& sample, schema::SampleSpec::Builder to) {
  to.setBy(write_enum(sample.by));
  to.setCount(sample.count);
  to.setFraction(unsigned_zero(sample.fraction));
  to.setOver(unsigned_zero(sample.over));
  to.setSeparation(sample.separation);
}

static SampleSpec read(schema::SampleSpec::Reader from) {
  return SampleSpec{
      .by = read_enum<SampleBy>(from.getBy(), "sample.by"),
      .count = at_most_32(from.getCount(), limits::kSitesPerJobMax, "sample.count"),
      .fraction = finite(from.getFraction(), "sample.fraction"),
      .over = finite(from.getOver(), "sample.over"),
      .separation = at_most_32(from.getSeparation(), limits::kRoundsMax, "sample.separation"),
  };
}

void write(const SiteSelection& sites, schema::SiteSelection::Builder to) {
  to.setMin(sites.min);
  to.setMax(sites.max);
  to.setQuorum(sites.quorum);
  if (!sites.mandatory.empty()) {
    write_names(sites.mandatory, to.initMandatory(static_cast<unsigned>(sites.mandatory.size())));
  }
  if (!sites.exclude.empty()) {
    write_names(sites.exclude, to.initExclude(static_cast<unsigned>(sites.exclude.size())));
  }
  to.setReplace(sites.replace);
  to.setSamplesMin(sites.samples_min);
  if (!sites.require.empty()) {
    to.setRequire(text(sites.require));
  }
  if (!sites.prefer.empty()) {
    to.setPrefer(text(sites.prefer));
  }
  if (sites.sample) {
    write(*sites.sample, to.initSample());
  }
}

static std::string read_expression(std::string_view text, std::string_view what) {
  check_count(text.size(), limits::kExpressionBytesMax, what);
  if (prose(text) != text) {
    illegal(what, "is not UTF-8 without control characters");
  }
  return std::string(text);
}

SiteSelection read(schema::SiteSelection::Reader from) {
  SiteSelection sites{
      .min = at_most_32(from.getMin(), limits::kSitesPerJobMax, "sites.min"),
      .max = at_most_32(from.getMax(), limits::kSitesPerJobMax, "sites.max"),
      .quorum = at_most_32(from.getQuorum(), limits::kSitesPerJobMax, "sites.quorum"),
      .mandatory =
          read_names<SiteId>(from.getMandatory(), limits::kSitesPerJobMax, "sites.mandatory"),
      .exclude = read_names<SiteId>(from.getExclude(), limits::kSitesPerJobMax, "sites.exclude"),
      .replace = from.getReplace(),
      .samples_min = at_most(from.getSamplesMin(), limits::kExamplesMax, "sites.samplesMin"),
      .require = read_expression(view(from.getRequire()), "sites.require"),
      .prefer = read_expression(view(from.getPrefer()), "sites.prefer"),
      .sample = std::nullopt,
  };
  if (from.hasSample()) {
    sites.sample = read(from.getSample());
  }
  return sites;
}

}  // namespace entente::wire
