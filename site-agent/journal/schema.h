// The tables of the agent's journal, as the migrations that lead to them. Released ones are never
// edited.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace entente::agent {

inline constexpr std::uint32_t kJournalApplicationId = 0x656e7461;  // "enta"

inline constexpr std::array<std::string_view, 7> kJournalMigrations{
    R"sql(
CREATE TABLE installation (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  instance INTEGER NOT NULL
) STRICT;

CREATE TABLE promise (
  job              TEXT PRIMARY KEY,
  coordinator      TEXT NOT NULL,
  spec             BLOB NOT NULL,
  spec_digest      TEXT NOT NULL,
  promised_unix_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
  job              TEXT NOT NULL,
  round            INTEGER NOT NULL,
  kind             TEXT NOT NULL,
  site             TEXT NOT NULL,
  attempt          INTEGER NOT NULL,
  seed             INTEGER NOT NULL,
  model            TEXT,
  model_bytes      INTEGER NOT NULL,
  blob             TEXT,
  blob_bytes       INTEGER NOT NULL,
  examples         INTEGER NOT NULL,
  steps            INTEGER NOT NULL,
  metrics          TEXT NOT NULL,
  finished_unix_ms INTEGER NOT NULL,
  PRIMARY KEY (job, round, kind, attempt)
) STRICT;

CREATE TABLE sent (
  job         TEXT NOT NULL,
  round       INTEGER NOT NULL,
  kind        TEXT NOT NULL,
  attempt     INTEGER NOT NULL,
  coordinator TEXT NOT NULL,
  unix_ms     INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('announced', 'uploading', 'accepted', 'refused')),
  blob        TEXT,
  blob_bytes  INTEGER NOT NULL,
  examples    INTEGER NOT NULL,
  metrics     TEXT NOT NULL,
  PRIMARY KEY (job, round, kind, attempt)
) STRICT;
)sql",
    // Rows of before have none.
    R"sql(
ALTER TABLE promise ADD COLUMN seal TEXT;
ALTER TABLE outbox ADD COLUMN seal TEXT;
)sql",
    R"sql(
CREATE TABLE residual (
  job     TEXT NOT NULL,
  round   INTEGER NOT NULL,
  blob    TEXT NOT NULL,
  settled INTEGER NOT NULL CHECK (settled IN (0, 1)),
  seal    TEXT NOT NULL,
  PRIMARY KEY (job, round)
) STRICT;
)sql",
    R"sql(
CREATE TABLE decision (
  job             TEXT NOT NULL,
  spec_digest     TEXT NOT NULL,
  word            TEXT NOT NULL CHECK (word IN ('approved', 'denied')),
  who             TEXT NOT NULL,
  reason          TEXT NOT NULL,
  decided_unix_ms INTEGER NOT NULL,
  until_unix_ms   INTEGER NOT NULL,
  seal            TEXT NOT NULL
) STRICT;

CREATE TABLE spent (
  job         TEXT NOT NULL,
  round       INTEGER NOT NULL,
  coordinator TEXT NOT NULL,
  day         INTEGER NOT NULL,
  seal        TEXT NOT NULL,
  PRIMARY KEY (job, round)
) STRICT;

CREATE TABLE pause (
  one           INTEGER PRIMARY KEY CHECK (one = 1),
  who           TEXT NOT NULL,
  reason        TEXT NOT NULL,
  since_unix_ms INTEGER NOT NULL
) STRICT;
)sql",
    R"sql(
ALTER TABLE outbox ADD COLUMN asked_steps INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
-- The counts of an evaluation, which leave the house beside its metrics.
ALTER TABLE outbox ADD COLUMN sums TEXT NOT NULL DEFAULT '{}';
ALTER TABLE sent ADD COLUMN sums TEXT NOT NULL DEFAULT '{}';
)sql",
    // Residuals keep their seals.
    R"sql(
CREATE TABLE site_state (
  job      TEXT NOT NULL,
  round    INTEGER NOT NULL,
  residual TEXT,
  own      TEXT,
  settled  INTEGER NOT NULL CHECK (settled IN (0, 1)),
  seal     TEXT NOT NULL,
  PRIMARY KEY (job, round)
) STRICT;
INSERT INTO site_state SELECT job, round, blob, NULL, settled, seal FROM residual;
DROP TABLE residual;
)sql"};

}  // namespace entente::agent
