"""A store of a million traces, made by a generator: what the benchmarks of recipes and versions run on."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import duckdb
import pyarrow as pa

from curation.runs import run
from curation.schema import TABLES
from curation.store import Store

TRACES = 1_000_000
CHUNK = 100_000  # rows a commit
# one example has two traces; labels and grades in about the shares of a real run
TEXTS = """
CREATE TABLE words AS SELECT list(DISTINCT w) AS w FROM (SELECT unnest($words) AS w);
CREATE TABLE paragraphs AS
SELECT i, (SELECT string_agg(w[1 + (hash(i, j) % len(w))::INT], ' ') FROM words, range(40) AS r(j)) AS text
FROM range(2000) AS t(i);
"""
EXAMPLE = """
SELECT substr(sha256('e' || i), 1, 16) AS example_id,
    ['K562', 'RPE1', 'HepG2', 'Jurkat'][1 + (i % 4)::INT] AS cell_line,
    'P' || (i // 4 % 2000) AS pert, 'G' || (i % 7919) AS gene,
    CASE WHEN hash(i) % 100 < 86 THEN 'not differentially expressed' WHEN hash(i) % 2 = 0 THEN 'upregulated'
        ELSE 'downregulated' END AS label,
    CASE WHEN hash('side', i // 4 % 2000) % 10 < 8 THEN 'train' ELSE 'test' END AS given_side,
    'made up' AS source, 'CC0-1.0' AS licence, $run AS run_id, now() AS created
FROM range($start, $end) AS t(i)
"""
TRACE = """
SELECT substr(sha256('t' || t.i), 1, 16) AS trace_id, substr(sha256('q' || t.i), 1, 16) AS request_id,
    substr(sha256('r' || t.i), 1, 16) AS response_id, e.example_id, 'explain' AS approach, e.label AS outcome_shown,
    'made-up' AS generator, 'nowhere' AS provider, 'p' AS prompt_hash, t.i % 2 AS sample,
    concat_ws('. ', a.text, b.text, c.text, d.text, 'Trace ' || t.i) AS reasoning,
    CASE WHEN hash('answer', t.i) % 20 = 0 THEN 'I do not know' ELSE e.label END AS answer,
    'ok' AS think, NULL AS reason, true AS valid, 'v' AS parser, $run AS run_id, now() AS created
FROM range($start, $end) AS t(i)
JOIN examples AS e ON e.i = t.i // 2
JOIN paragraphs AS a ON a.i = (hash(1, t.i) % 2000)::INT JOIN paragraphs AS b ON b.i = (hash(2, t.i) % 2000)::INT
JOIN paragraphs AS c ON c.i = (hash(3, t.i) % 2000)::INT JOIN paragraphs AS d ON d.i = (hash(4, t.i) % 2000)::INT
ORDER BY t.i
"""
GRADE = """
SELECT substr(sha256('g' || t.i), 1, 16) AS grade_id, substr(sha256('gq' || t.i), 1, 16) AS request_id,
    substr(sha256('t' || t.i), 1, 16) AS trace_id, 'made-up@c' AS critic, 'nowhere' AS provider,
    ['excellent', 'good', 'good', 'average', 'bad', 'terrible', 'excellent', 'good', 'average', 'excellent']
        [1 + (hash('grade', t.i) % 10)::INT] AS grade,
    p.text AS justification, NULL AS reason, substr(sha256('gr' || t.i), 1, 16) AS response_id,
    $run AS run_id, now() AS created
FROM range($start, $end) AS t(i) JOIN paragraphs AS p ON p.i = (hash(5, t.i) % 2000)::INT
"""
RESPONSE = """
SELECT substr(sha256('r' || i), 1, 16) AS response_id, substr(sha256('q' || i), 1, 16) AS request_id,
    substr(sha256('e' || (i // 2)), 1, 16) AS subject_id, 'generate' AS stage, 'nowhere' AS provider,
    'made-up' AS model, '{}' AS params, i % 2 AS sample, 'explain' AS prompt, 'p' AS prompt_hash, '' AS text,
    'stop' AS finish_reason, 200 AS http_status, 400 AS tokens_in, 300 AS tokens_out, 0.001 AS usd, 2.0 AS seconds,
    1 AS attempt, $run AS run_id, now() AS created
FROM range($start, $end) AS t(i)
"""


def make(place: Path, traces: int = TRACES) -> Store:
    """Write the store; a minute or two for a million traces, and about 600 MB."""
    store = Store(place, create=True)
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(3000)]
    with duckdb.connect() as con, run(store, "make", {"traces": traces}) as this:
        for statement in TEXTS.split(";")[:-1]:
            con.execute(statement, {"words": words} if "$words" in statement else None)
        con.execute(f"CREATE TABLE examples AS SELECT *, row_number() OVER () - 1 AS i FROM ({EXAMPLE})",
                    {"start": 0, "end": traces // 2, "run": this.id})  # fmt: skip
        _fill(store, con, "examples", EXAMPLE, traces // 2, this.id)
        for table, sql in (("responses", RESPONSE), ("traces", TRACE), ("grades", GRADE)):
            _fill(store, con, table, sql, traces, this.id)
    return store


def _fill(store: Store, con: duckdb.DuckDBPyConnection, table: str, sql: str, n: int, run_id: str) -> None:
    schema = TABLES[table].schema
    for start in range(0, n, CHUNK):
        params = {"start": start, "end": min(start + CHUNK, n), "run": run_id}
        rows = con.sql(sql, params=params).to_arrow_table()
        missing = {f.name: pa.nulls(rows.num_rows, f.type) for f in schema if f.name not in rows.column_names}
        whole = pa.table({f.name: missing.get(f.name, rows[f.name] if f.name not in missing else None) for f in schema})
        store.append(table, whole.cast(schema))


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else TRACES)
