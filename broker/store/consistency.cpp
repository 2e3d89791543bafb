#include "broker/store/consistency.h"

#include <array>

#include "broker/store/row_values.h"

namespace entente::broker {
namespace {

// `broken` gives one text column: what breaks the rule.
struct Rule {
  const char* broken;
  const char* sentence;
};

constexpr std::array kAudited{
    Rule{"SELECT 'job/' || job FROM"
         " (SELECT job, lower(hex(spec_digest)) FROM jobs EXCEPT"
         "  SELECT substr(object, 5), detail FROM audit WHERE action = 'job.submit')",
         "the digest of its spec is not the one that was submitted"},
    // Rows of earlier versions do not name the examples.
    Rule{"WITH accepted AS MATERIALIZED"
         "  (SELECT object, detail FROM audit WHERE action = 'update.accept'),"
         " done AS (SELECT 'job/' || job || '/' || round AS object,"
         "   'site/' || site || ' ' || kind || ' ' AS begin, examples || ' examples ' AS middle,"
         "   ifnull(lower(hex(blob)), '') ||"
         "    iif(accepted_seq > 0, ' as ' || accepted_seq || ' for version ' || merged_in, '')"
         "   AS end FROM tasks WHERE state = 'done')"
         " SELECT object || ' (' || begin || middle || end || ')' FROM done"
         " WHERE (object, begin || middle || end) NOT IN accepted"
         " AND (object, begin || end) NOT IN accepted",
         "it is recorded as done, and such a result was never accepted"},
    Rule{"SELECT object FROM"
         " (SELECT 'model/' || job || '@' || version AS object, lower(hex(blob)) FROM models EXCEPT"
         "  SELECT object, detail FROM audit WHERE action = 'model.publish')",
         "its digest is not the one that was published"},
    Rule{"SELECT 'job/' || job FROM (SELECT job, lower(hex(blob)) FROM files EXCEPT"
         " SELECT substr(object, 5), detail FROM audit WHERE action = 'file.accept')",
         "a file is recorded that its coordinator has never brought"},
};

constexpr std::array kOthers{
    Rule{"SELECT 'job/' || j.job FROM jobs j LEFT JOIN events e ON e.job = j.job GROUP BY j.job"
         " HAVING count(e.seq) <> j.last_event_seq OR ifnull(max(e.seq), 0) <> j.last_event_seq",
         "its events are not numbered from 1 to the last one"},
    Rule{"SELECT 'job/' || t.job FROM tasks t JOIN jobs j ON j.job = t.job"
         " WHERE j.state IN ('completed', 'failed', 'aborted')"
         " AND t.state IN ('pending', 'running', 'uploading')",
         "it has ended and still has an open task"},
    Rule{"SELECT 'job/' || r.job FROM rounds r JOIN jobs j ON j.job = r.job"
         " WHERE j.state = 'completed' AND j.reason = '' AND r.state <> 'done'",
         "it has run all of its rounds and still has an open one"},
    Rule{"SELECT 'job/' || r.job FROM rounds r JOIN jobs j ON j.job = r.job"
         " WHERE j.state IN ('queued', 'matching', 'paused') AND r.round > 0 AND NOT EXISTS"
         " (SELECT 1 FROM events e WHERE e.job = r.job AND e.kind = 'started')",
         "it has rounds, and never had its sites"},
    Rule{"SELECT 'round ' || r.round || ' of ' || r.job FROM rounds r WHERE r.state <> 'done'"
         " AND EXISTS (SELECT 1 FROM rounds l WHERE l.job = r.job AND l.round = r.round + 1)",
         "it is open although the next one has begun"},
    Rule{"SELECT 'round ' || r.round || ' of ' || r.job FROM rounds r WHERE r.state = 'done'"
         " AND r.model IS NULL AND EXISTS (SELECT 1 FROM tasks t WHERE t.job = r.job"
         "  AND t.round = r.round AND t.kind IN ('initialize', 'train', 'predict')"
         "  AND t.state = 'done')",
         "it is done and has no model"},
    Rule{"SELECT 'round ' || round || ' of ' || job FROM"
         " (SELECT job, round, model, model_bytes FROM rounds WHERE model IS NOT NULL EXCEPT"
         "  SELECT job, version, blob, bytes FROM models)",
         "its model is not among the published ones"},
    Rule{"SELECT 'model/' || m.job || '@' || m.version FROM models m WHERE m.version > 0 AND NOT"
         " EXISTS (SELECT 1 FROM models p WHERE p.job = m.job AND p.blob = m.parent AND"
         "  p.version = iif(EXISTS (SELECT 1 FROM rounds r WHERE r.job = m.job"
         "   AND r.round = m.version AND r.model_of <> ''), 0, m.version - 1))",
         "the version that it was made from is not recorded"},
    Rule{"SELECT 'model/' || m.job || '@' || m.version FROM models m LEFT JOIN contributions c"
         " ON c.job = m.job AND c.version = m.version WHERE m.version > 0"
         " GROUP BY m.job, m.version"
         " HAVING count(c.site) = 0 OR min(c.weight) <= 0 OR abs(sum(c.weight) - 1) > 1e-9",
         "the weights of its contributions do not add up to 1"},
    Rule{"SELECT 'model/' || job || '@' || version FROM"
         " (SELECT job, version, site, blob, examples FROM contributions EXCEPT"
         "  SELECT job, iif(merged_in > 0, merged_in, round), site, blob, examples FROM tasks"
         "   WHERE kind IN ('train', 'predict') AND state = 'done')",
         "a contribution is not an accepted update"},
    Rule{"SELECT 'the update of ' || site || ' for round ' || round || ' of ' || job FROM"
         " (SELECT job, iif(accepted_seq > 0, merged_in, round) AS round, site, examples,"
         "   blob_bytes FROM tasks WHERE kind IN ('train', 'predict') AND state = 'done' EXCEPT"
         "  SELECT job, round, site, examples, bytes FROM events WHERE kind = 'update_accepted')",
         "its examples or its size are not what was announced when it was accepted"},
};

void find(Statements& statements, const Rule& rule, std::size_t limit,
          std::vector<std::string>& found) {
  auto& query = statements.prepare(rule.broken);
  while (found.size() < limit && query.executeStep()) {
    found.push_back(RowReader(query).text() + ": " + rule.sentence);
  }
  query.reset();
}

}  // namespace

std::vector<std::string> contradictions(Statements& statements, Rules rules, std::size_t limit) {
  std::vector<std::string> found;
  for (const Rule& rule : kAudited) {
    find(statements, rule, limit, found);
  }
  if (rules == Rules::all) {
    for (const Rule& rule : kOthers) {
      find(statements, rule, limit, found);
    }
  }
  return found;
}

}  // namespace entente::broker
