-- Written once (ingest appends only new ids), so the table is its own view: no look-up of the latest.
SELECT * FROM raw.examples
