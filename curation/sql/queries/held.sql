-- What a store holds, in one row, and how much of it was rehearsed. Hidden runs and traces are left out.
SELECT
    (SELECT count(*) FROM examples) AS examples,
    (SELECT count(*) FROM examples WHERE source = 'rehearsal') AS examples_rehearsed,
    (SELECT count(*) FROM traces) AS traces,
    (SELECT count(*) FROM traces WHERE simulated) AS traces_simulated,
    (SELECT count(*) FROM traces WHERE approach = 'control') AS controls,
    (SELECT count(*) FROM grades) AS grades,
    (SELECT count(*) FROM grades WHERE provider = 'rehearsal') AS grades_rehearsed,
    (SELECT count(*) FROM exclusions) AS exclusions
