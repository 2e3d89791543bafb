#include "common/wire/explanation_wire.h"

#include "common/base/limits.h"
#include "common/wire/enumerations.h"
#include "common/wire/values.h"

namespace entente::wire {

// Static, since in an unnamed namespace these overloads would hide those of the headers.

static void write_sentences(const std::vector<std::string>& sentences,
                            capnp::List<capnp::Text>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to.set(i, text(prose(sentences[i])));
  }
}

static std::vector<std::string> read_sentences(capnp::List<capnp::Text>::Reader from,
                                               std::string_view what) {
  return read_list<std::string>(from, kRowsMax, what, [](capnp::Text::Reader sentence) {
    return std::string(prose(view(sentence)));
  });
}

static void write(const SiteExplanation& site, schema::SiteExplanation::Builder to) {
  to.setSite(text(site.site.str()));
  to.setStanding(write_enum(site.standing));
  write_sentences(site.sentences, to.initSentences(static_cast<unsigned>(site.sentences.size())));
}

static SiteExplanation read(schema::SiteExplanation::Reader from) {
  return SiteExplanation{
      .site = read_name<SiteId>(view(from.getSite()), "siteExplanation.site"),
      .standing = read_enum<SiteStanding>(from.getStanding(), "siteExplanation.standing"),
      .sentences = read_sentences(from.getSentences(), "siteExplanation.sentences"),
  };
}

void write(const Explanation& explanation, schema::Explanation::Builder to) {
  if (explanation.job) {
    to.setJob(text(explanation.job->str()));
  }
  to.setState(write_enum(explanation.state));
  to.setSentence(text(prose(explanation.sentence)));
  to.setPlace(explanation.place);
  write_names(explanation.ahead, to.initAhead(static_cast<unsigned>(explanation.ahead.size())));
  write_names(explanation.reserved,
              to.initReserved(static_cast<unsigned>(explanation.reserved.size())));
  write_sentences(explanation.changes,
                  to.initChanges(static_cast<unsigned>(explanation.changes.size())));
  write_list(
      explanation.sites, [&](unsigned count) { return to.initSites(count); },
      [](const auto& site, auto item) { write(site, item); });
  to.setSitesLeftOut(explanation.sites_left_out);
}

Explanation read(schema::Explanation::Reader from) {
  Explanation explanation;
  if (from.getJob().size() > 0) {
    explanation.job = read_name<JobId>(view(from.getJob()), "explanation.job");
  }
  explanation.state = read_enum<JobState>(from.getState(), "explanation.state");
  explanation.sentence = prose(view(from.getSentence()));
  explanation.place = from.getPlace();
  explanation.ahead = read_names<JobId>(from.getAhead(), kRowsMax, "explanation.ahead");
  explanation.reserved =
      read_names<SiteId>(from.getReserved(), limits::kSitesPerJobMax, "explanation.reserved");
  explanation.changes = read_sentences(from.getChanges(), "explanation.changes");
  explanation.sites =
      read_list<SiteExplanation>(from.getSites(), limits::kSitesPerJobMax, "explanation.sites",
                                 [](auto item) { return read(item); });
  explanation.sites_left_out = from.getSitesLeftOut();
  return explanation;
}

}  // namespace entente::wire
