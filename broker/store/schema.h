// The broker's tables. Migration i takes the database from version i to i + 1; a released migration
// is never edited. Times are milliseconds since 1970; digests are 32 bytes; metrics are JSON
// objects.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace entente::broker {

constexpr std::uint32_t kStoreApplicationId = 0x456e7462;  // "Entb"

// From version i to i + 1, in the order of kStoreMigrations.
namespace migrations {

constexpr std::string_view kTables = R"sql(
CREATE TABLE sites (
  site              TEXT PRIMARY KEY,
  instance          INTEGER NOT NULL,
  advert            BLOB NOT NULL,
  last_seen_unix_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
  job               TEXT PRIMARY KEY,
  coordinator       TEXT NOT NULL,
  spec              BLOB NOT NULL,
  spec_digest       BLOB NOT NULL CHECK (length(spec_digest) = 32),
  state             TEXT NOT NULL CHECK (state IN
                      ('queued', 'matching', 'running', 'completed', 'failed', 'aborted')),
  reason            TEXT NOT NULL,
  submitted_unix_ms INTEGER NOT NULL,
  last_event_seq    INTEGER NOT NULL
) STRICT;

CREATE TABLE parts (
  job              TEXT NOT NULL REFERENCES jobs,
  site             TEXT NOT NULL REFERENCES sites,
  enrolment        TEXT NOT NULL CHECK (enrolment IN ('offered', 'accepted', 'declined')),
  reason           TEXT NOT NULL,
  updates_accepted INTEGER NOT NULL,
  bytes_out        INTEGER NOT NULL,
  tensors_out      INTEGER NOT NULL,
  examples         INTEGER NOT NULL,
  told_closed      INTEGER NOT NULL CHECK (told_closed IN (0, 1)),
  PRIMARY KEY (job, site)
) STRICT;

CREATE TABLE rounds (
  job              TEXT NOT NULL REFERENCES jobs,
  round            INTEGER NOT NULL,
  state            TEXT NOT NULL CHECK (state IN ('selecting', 'training', 'merging', 'done')),
  updates          INTEGER NOT NULL,
  train_metrics    TEXT NOT NULL,
  evaluate_metrics TEXT NOT NULL,
  model            BLOB CHECK (length(model) = 32),
  model_bytes      INTEGER NOT NULL,
  PRIMARY KEY (job, round),
  CHECK (state <> 'done' OR model IS NOT NULL)
) STRICT;

CREATE TABLE tasks (
  job        TEXT NOT NULL REFERENCES jobs,
  round      INTEGER NOT NULL,
  kind       TEXT NOT NULL CHECK (kind IN ('initialize', 'train', 'evaluate')),
  site       TEXT NOT NULL REFERENCES sites,
  attempt    INTEGER NOT NULL,
  state      TEXT NOT NULL CHECK (state IN
               ('pending', 'running', 'uploading', 'done', 'failed', 'lost')),
  blob       BLOB CHECK (length(blob) = 32),
  blob_bytes INTEGER NOT NULL,
  examples   INTEGER NOT NULL,
  steps      INTEGER NOT NULL,
  metrics    TEXT NOT NULL,
  reason     TEXT NOT NULL,
  PRIMARY KEY (job, round, kind, site, attempt)
) STRICT;

-- A site contributes at most once to a round, whatever its attempts.
CREATE UNIQUE INDEX one_update_per_site ON tasks (job, round, kind, site) WHERE state = 'done';

CREATE TABLE models (
  job               TEXT NOT NULL REFERENCES jobs,
  version           INTEGER NOT NULL,
  blob              BLOB NOT NULL CHECK (length(blob) = 32),
  bytes             INTEGER NOT NULL,
  published_unix_ms INTEGER NOT NULL,
  spec_digest       BLOB NOT NULL,
  strategy          TEXT NOT NULL,
  parent            BLOB CHECK (length(parent) = 32),
  PRIMARY KEY (job, version)
) STRICT;

CREATE TABLE contributions (
  job      TEXT NOT NULL,
  version  INTEGER NOT NULL,
  site     TEXT NOT NULL REFERENCES sites,
  blob     BLOB NOT NULL CHECK (length(blob) = 32),
  examples INTEGER NOT NULL,
  weight   REAL NOT NULL,
  PRIMARY KEY (job, version, site),
  FOREIGN KEY (job, version) REFERENCES models
) STRICT;

CREATE TABLE events (
  job      TEXT NOT NULL REFERENCES jobs,
  seq      INTEGER NOT NULL,
  unix_ms  INTEGER NOT NULL,
  kind     TEXT NOT NULL,
  round    INTEGER NOT NULL,
  site     TEXT NOT NULL,
  text     TEXT NOT NULL,
  metrics  TEXT NOT NULL,
  examples INTEGER NOT NULL,
  bytes    INTEGER NOT NULL,
  PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

-- hash = SHA-256 over the previous row's hash and this row's fields, each preceded by its length.
CREATE TABLE audit (
  seq      INTEGER PRIMARY KEY,
  unix_ms  INTEGER NOT NULL,
  actor    TEXT NOT NULL,
  action   TEXT NOT NULL,
  object   TEXT NOT NULL,
  detail   TEXT NOT NULL,
  previous BLOB NOT NULL CHECK (length(previous) = 32),
  hash     BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
)sql";

constexpr std::string_view kServerStates = R"sql(
-- What the server's optimiser remembers after a round (fedadam and its like).
ALTER TABLE rounds ADD COLUMN server_state BLOB CHECK (length(server_state) = 32);
ALTER TABLE rounds ADD COLUMN server_state_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN server_state BLOB CHECK (length(server_state) = 32);

-- The states that the next merges start from: the newest of each job that goes on.
CREATE VIEW server_states AS
  SELECT r.job, r.round, r.server_state AS blob, r.server_state_bytes AS bytes
  FROM rounds r JOIN jobs j ON j.job = r.job
  WHERE r.server_state IS NOT NULL AND j.state NOT IN ('completed', 'failed', 'aborted')
    AND NOT EXISTS (SELECT 1 FROM rounds l
                    WHERE l.job = r.job AND l.round > r.round AND l.server_state IS NOT NULL);
)sql";

constexpr std::string_view kPlacesAndDraining = R"sql(
ALTER TABLE sites ADD COLUMN draining INTEGER NOT NULL DEFAULT 0 CHECK (draining IN (0, 1));
ALTER TABLE sites ADD COLUMN drain_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN elapsed_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE parts ADD COLUMN has_place INTEGER NOT NULL DEFAULT 0 CHECK (has_place IN (0, 1));
ALTER TABLE parts ADD COLUMN silent INTEGER NOT NULL DEFAULT 0 CHECK (silent IN (0, 1));

-- Before there were places, every site that had accepted took part.
UPDATE parts SET has_place = 1 WHERE enrolment = 'accepted';
UPDATE jobs SET elapsed_ms =
  max(0, (SELECT ifnull(max(unix_ms), 0) FROM events WHERE events.job = jobs.job)
         - submitted_unix_ms);
)sql";

constexpr std::string_view kQueueAndUsage = R"sql(
-- Jobs wait in a queue and hold slots of sites (claims). Before that, all of them had their sites
-- at once.
ALTER TABLE jobs ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET number = rowid;
ALTER TABLE parts ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1));
UPDATE parts SET claimed = 1 WHERE enrolment <> 'declined' AND EXISTS
  (SELECT 1 FROM jobs WHERE jobs.job = parts.job AND state IN ('matching', 'running'));

-- What coordinators have used of the consortium, faded to the moment of writing.
CREATE TABLE usage (
  coordinator  TEXT PRIMARY KEY,
  site_seconds REAL NOT NULL CHECK (site_seconds >= 0)
) STRICT;
)sql";

constexpr std::string_view kTokens = R"sql(
ALTER TABLE jobs ADD COLUMN token TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX one_job_per_token ON jobs (coordinator, token) WHERE token <> '';
)sql";

constexpr std::string_view kPausing = R"sql(
-- Jobs may be paused. SQLite cannot change a CHECK, so the table is made anew.
DROP VIEW server_states;
CREATE TABLE new_jobs (
  job               TEXT PRIMARY KEY,
  coordinator       TEXT NOT NULL,
  spec              BLOB NOT NULL,
  spec_digest       BLOB NOT NULL CHECK (length(spec_digest) = 32),
  state             TEXT NOT NULL CHECK (state IN ('queued', 'matching', 'running', 'completed',
                                                   'failed', 'aborted', 'paused')),
  reason            TEXT NOT NULL,
  submitted_unix_ms INTEGER NOT NULL,
  last_event_seq    INTEGER NOT NULL,
  elapsed_ms        INTEGER NOT NULL,
  number            INTEGER NOT NULL,
  token             TEXT NOT NULL
) STRICT;
INSERT INTO new_jobs SELECT job, coordinator, spec, spec_digest, state, reason, submitted_unix_ms,
  last_event_seq, elapsed_ms, number, token FROM jobs;
DROP TABLE jobs;
ALTER TABLE new_jobs RENAME TO jobs;
CREATE UNIQUE INDEX one_job_per_token ON jobs (coordinator, token) WHERE token <> '';
CREATE VIEW server_states AS
  SELECT r.job, r.round, r.server_state AS blob, r.server_state_bytes AS bytes
  FROM rounds r JOIN jobs j ON j.job = r.job
  WHERE r.server_state IS NOT NULL AND j.state NOT IN ('completed', 'failed', 'aborted')
    AND NOT EXISTS (SELECT 1 FROM rounds l
                    WHERE l.job = r.job AND l.round > r.round AND l.server_state IS NOT NULL);

-- A version 0 may be another job's model.
ALTER TABLE models ADD COLUMN origin TEXT NOT NULL DEFAULT '';
)sql";

constexpr std::string_view kSampling = R"sql(
-- Rounds draw their sites, balance their steps, and drop models that are not kept.
ALTER TABLE parts ADD COLUMN last_round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE parts ADD COLUMN steps_per_second REAL NOT NULL DEFAULT 0
  CHECK (steps_per_second >= 0);
ALTER TABLE tasks ADD COLUMN asked_steps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN model_removed INTEGER NOT NULL DEFAULT 0
  CHECK (model_removed IN (0, 1));
ALTER TABLE contributions ADD COLUMN steps INTEGER NOT NULL DEFAULT 0;

-- The blobs of models that are kept.
CREATE VIEW kept_models AS
  SELECT m.job, m.version, m.blob, m.bytes
  FROM models m JOIN rounds r ON r.job = m.job AND r.round = m.version
  WHERE r.model_removed = 0;
)sql";

constexpr std::string_view kKindsAndEvaluations = R"sql(
-- Jobs have kinds: rounds of some make no model, tasks may be statistics. Evaluations run at all
-- sites: their sums stay in the rows of their tasks until all have answered.
DROP VIEW server_states;
DROP VIEW kept_models;
CREATE TABLE new_rounds (
  job                 TEXT NOT NULL REFERENCES jobs,
  round               INTEGER NOT NULL,
  state               TEXT NOT NULL CHECK (state IN ('selecting', 'training', 'merging', 'done')),
  updates             INTEGER NOT NULL,
  train_metrics       TEXT NOT NULL,
  evaluate_metrics    TEXT NOT NULL,
  model               BLOB CHECK (length(model) = 32),
  model_bytes         INTEGER NOT NULL,
  server_state        BLOB CHECK (length(server_state) = 32),
  server_state_bytes  INTEGER NOT NULL DEFAULT 0,
  model_removed       INTEGER NOT NULL DEFAULT 0 CHECK (model_removed IN (0, 1)),
  evaluated           INTEGER NOT NULL DEFAULT 0 CHECK (evaluated IN (0, 1)),
  evaluated_at        INTEGER NOT NULL DEFAULT 0,
  evaluation_examples INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (job, round)
) STRICT;
INSERT INTO new_rounds SELECT job, round, state, updates, train_metrics, evaluate_metrics, model,
  model_bytes, server_state, server_state_bytes, model_removed, evaluate_metrics <> '{}',
  evaluate_metrics <> '{}',
  ifnull((SELECT max(examples) FROM tasks t WHERE t.job = r.job AND t.round = r.round
          AND t.kind = 'evaluate' AND t.state = 'done'), 0) FROM rounds r;
DROP TABLE rounds;
ALTER TABLE new_rounds RENAME TO rounds;

CREATE TABLE new_tasks (
  job         TEXT NOT NULL REFERENCES jobs,
  round       INTEGER NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('initialize', 'train', 'evaluate', 'statistics')),
  site        TEXT NOT NULL REFERENCES sites,
  attempt     INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN
                ('pending', 'running', 'uploading', 'done', 'failed', 'lost')),
  blob        BLOB CHECK (length(blob) = 32),
  blob_bytes  INTEGER NOT NULL,
  examples    INTEGER NOT NULL,
  steps       INTEGER NOT NULL,
  metrics     TEXT NOT NULL,
  reason      TEXT NOT NULL,
  asked_steps INTEGER NOT NULL DEFAULT 0,
  sums        TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (job, round, kind, site, attempt)
) STRICT;
INSERT INTO new_tasks SELECT job, round, kind, site, attempt, state, blob, blob_bytes, examples,
  steps, metrics, reason, asked_steps, '{}' FROM tasks;
DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;
CREATE UNIQUE INDEX one_update_per_site ON tasks (job, round, kind, site) WHERE state = 'done';

ALTER TABLE parts ADD COLUMN evaluate_metrics TEXT NOT NULL DEFAULT '{}';
ALTER TABLE parts ADD COLUMN evaluation_examples INTEGER NOT NULL DEFAULT 0;
ALTER TABLE parts ADD COLUMN evaluated_round INTEGER NOT NULL DEFAULT 0;

CREATE VIEW server_states AS
  SELECT r.job, r.round, r.server_state AS blob, r.server_state_bytes AS bytes
  FROM rounds r JOIN jobs j ON j.job = r.job
  WHERE r.server_state IS NOT NULL AND j.state NOT IN ('completed', 'failed', 'aborted')
    AND NOT EXISTS (SELECT 1 FROM rounds l
                    WHERE l.job = r.job AND l.round > r.round AND l.server_state IS NOT NULL);
CREATE VIEW kept_models AS
  SELECT m.job, m.version, m.blob, m.bytes
  FROM models m JOIN rounds r ON r.job = m.job AND r.round = m.version
  WHERE r.model_removed = 0;
)sql";

constexpr std::string_view kStatistics = R"sql(
-- What the sites of a job of the kind "statistics" have said in a round, added up.
ALTER TABLE rounds ADD COLUMN sums TEXT NOT NULL DEFAULT '{}';
)sql";

constexpr std::string_view kBuffersAndFiles = R"sql(
-- Updates may be merged later than in their own round, several of one site among them; rounds of
-- some jobs judge one site's model at all of them; tasks may be predictions; coordinators bring
-- files.
ALTER TABLE rounds ADD COLUMN at_sites TEXT NOT NULL DEFAULT '{}';
ALTER TABLE rounds ADD COLUMN model_of TEXT NOT NULL DEFAULT '';

CREATE TABLE new_tasks (
  job          TEXT NOT NULL REFERENCES jobs,
  round        INTEGER NOT NULL,
  kind         TEXT NOT NULL CHECK (kind IN
                 ('initialize', 'train', 'evaluate', 'statistics', 'predict')),
  site         TEXT NOT NULL REFERENCES sites,
  attempt      INTEGER NOT NULL,
  state        TEXT NOT NULL CHECK (state IN
                 ('pending', 'running', 'uploading', 'done', 'failed', 'lost')),
  blob         BLOB CHECK (length(blob) = 32),
  blob_bytes   INTEGER NOT NULL,
  examples     INTEGER NOT NULL,
  steps        INTEGER NOT NULL,
  metrics      TEXT NOT NULL,
  reason       TEXT NOT NULL,
  asked_steps  INTEGER NOT NULL DEFAULT 0,
  sums         TEXT NOT NULL DEFAULT '{}',
  merged_in    INTEGER NOT NULL DEFAULT 0,
  accepted_seq INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (job, round, kind, site, attempt)
) STRICT;
INSERT INTO new_tasks SELECT *, 0, 0 FROM tasks;
DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;
-- Where acceptances are not counted, a site contributes at most once to a round.
CREATE UNIQUE INDEX one_update_per_site ON tasks (job, round, kind, site)
  WHERE state = 'done' AND accepted_seq = 0;

CREATE TABLE new_contributions (
  job          TEXT NOT NULL,
  version      INTEGER NOT NULL,
  place        INTEGER NOT NULL,  -- in the receipt
  site         TEXT NOT NULL REFERENCES sites,
  blob         BLOB NOT NULL CHECK (length(blob) = 32),
  examples     INTEGER NOT NULL,
  weight       REAL NOT NULL,
  steps        INTEGER NOT NULL,
  started_from INTEGER NOT NULL,
  PRIMARY KEY (job, version, place),
  FOREIGN KEY (job, version) REFERENCES models
) STRICT;
INSERT INTO new_contributions SELECT job, version,
  row_number() OVER (PARTITION BY job, version ORDER BY site) - 1,
  site, blob, examples, weight, steps, version - 1 FROM contributions;
DROP TABLE contributions;
ALTER TABLE new_contributions RENAME TO contributions;

CREATE TABLE files (
  job   TEXT NOT NULL REFERENCES jobs,
  blob  BLOB NOT NULL CHECK (length(blob) = 32),
  bytes INTEGER NOT NULL,
  PRIMARY KEY (job, blob)
) STRICT;
)sql";

}  // namespace migrations

constexpr std::array kStoreMigrations{migrations::kTables,
                                      migrations::kServerStates,
                                      migrations::kPlacesAndDraining,
                                      migrations::kQueueAndUsage,
                                      migrations::kTokens,
                                      migrations::kPausing,
                                      migrations::kSampling,
                                      migrations::kKindsAndEvaluations,
                                      migrations::kStatistics,
                                      migrations::kBuffersAndFiles};

}  // namespace entente::broker
