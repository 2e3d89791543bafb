-- From the imported rows to patients and examinations. Every tenth patient has not consented.

INSERT INTO patient SELECT id, age, sex, id % 10 <> 0 FROM import;
INSERT INTO examination
  SELECT id, bmi, bp, tc, ldl, hdl, tch, ltg, glu, progression FROM import;
DROP TABLE import;
