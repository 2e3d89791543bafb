-- A clinic's database: who its patients are, and what was found when they were examined.

CREATE TABLE patient (
  id       integer PRIMARY KEY,
  age      real NOT NULL,
  sex      real NOT NULL,
  consents boolean NOT NULL  -- to research on what was found
);

CREATE TABLE examination (
  patient integer NOT NULL REFERENCES patient,
  bmi real, bp real, tc real, ldl real, hdl real, tch real, ltg real, glu real,
  progression real  -- a year later
);

-- Where a table of examples/diabetes goes first.
CREATE TABLE import (
  id serial,
  age real, sex real, bmi real, bp real, tc real, ldl real, hdl real, tch real, ltg real, glu real,
  progression real
);
