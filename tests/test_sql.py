"""`synthpert sql`: any SELECT is answered, and nothing else gets through, by whatever door."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import psutil
import pytest
from conftest import COMMAND

from curation import apart
from curation.apart import answer
from curation.errors import RefusedSQL
from curation.locked import ask, locked
from curation.store import Store

REFUSED = {
    "COPY (SELECT 1) TO '{d}/x.csv'": "COPY",
    "COPY (SELECT 1 AS a) TO '{d}/store/examples/x.parquet'": "COPY",
    "WITH a AS (COPY (SELECT 1) TO '{d}/x.csv' (USE_TMP_FILE false)) SELECT * FROM a": "COPY",
    "WITH a AS (COPY (SELECT 1 AS a) TO '{d}/store/x.parquet' (USE_TMP_FILE false)) SELECT * FROM a": "COPY",
    "SELECT * FROM (WITH a AS (COPY (SELECT 1) TO '{d}/x.csv') SELECT * FROM a)": "",
    "ATTACH '{d}/x.db'": "ATTACH",
    "ATTACH ':memory:' AS m": "ATTACH",
    "INSTALL httpfs": "INSTALL",
    "LOAD httpfs": "LOAD",
    "SET threads = 1": "SET",
    "SET enable_external_access = true": "SET",
    "RESET threads": "SET",
    "PRAGMA database_list": "PRAGMA",
    "CALL pragma_version()": "CALL",
    "SELECT * FROM read_csv('/etc/passwd')": "Permission",
    "SELECT * FROM read_text('/etc/passwd')": "Permission",
    "SELECT * FROM read_blob('/etc/passwd')": "Permission",
    "SELECT * FROM read_parquet('{d}/store/examples/*.parquet')": "Permission",
    "SELECT * FROM '/etc/passwd'": "",
    "SELECT * FROM glob('/*')": "Permission",
    "SELECT * FROM glob('.tmp/*')": "Permission",
    "SELECT * FROM sniff_csv('/etc/passwd')": "Permission",
    "SELECT 1; SELECT 2": "2 statements",
    "": "0 statements",
    "-- nothing": "0 statements",
    "INSERT INTO raw.examples VALUES (1)": "INSERT",
    "UPDATE raw.examples SET label = 'x'": "UPDATE",
    "DELETE FROM raw.examples": "DELETE",
    "WITH a AS (DELETE FROM raw.examples RETURNING *) SELECT * FROM a": "DELETE",
    "CREATE TABLE t AS SELECT 1": "CREATE",
    "DROP VIEW traces": "DROP",
    "DROP TABLE raw.examples": "DROP",
    "EXPORT DATABASE '{d}/x'": "EXPORT",
    "BEGIN": "BEGIN",
    "CHECKPOINT": "CHECKPOINT",
    "EXPLAIN SELECT 1": "EXPLAIN",
    "PIVOT examples ON label": "PIVOT",
    "SELEC 1": "syntax error",
    "SELECT nope FROM traces": "nope",
    "SELECT * FROM tracs": "traces",
    "SELECT * FROM examples WHERE gene = $gene": "gene",
}


def tree(folder):
    return {p: p.stat().st_mtime_ns for p in Path(folder).rglob("*") if p.is_file()}


@pytest.mark.parametrize("query", REFUSED)
def test_refused_with_a_line_and_nothing_written(store, tmp_path, query):
    before = tree(tmp_path)
    with locked(store) as con, pytest.raises(RefusedSQL) as error:
        ask(con, query.format(d=tmp_path))
    assert REFUSED[query] in str(error.value)
    assert str(error.value).strip() and "\n" not in str(error.value)
    assert tree(tmp_path) == before


def test_the_commands_refusal_is_one_line_and_exit_1(store, run):
    done = run("sql", "COPY (SELECT 1) TO 'x.csv'")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "synthpert: only SELECT is answered here, and this is COPY\n"
    assert not Path("x.csv").exists()


ANSWERED = [
    "SELECT count(*) FROM examples",
    "FROM examples LIMIT 1",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
    "SELECT label FROM examples UNION SELECT side FROM splits",
    "SELECT gene, row_number() OVER (ORDER BY gene) AS n FROM examples QUALIFY n < 3",
    "PIVOT (FROM examples) ON label IN ('upregulated', 'downregulated') USING count(*) GROUP BY cell_line",
    "DESCRIBE traces",
    "SELECT list_transform([1, 2], lambda x: x + 1)",
    "SELECT * FROM raw.responses",
]


@pytest.mark.parametrize("query", ANSWERED)
def test_ordinary_questions_are_answered(store, query):
    with locked(store) as con:
        assert ask(con, query).num_columns


def test_a_query_without_end_is_stopped(store):
    with locked(store) as con, pytest.raises(RefusedSQL, match="more than 1 s"):
        ask(con, "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c", seconds=1)


@pytest.mark.parametrize(
    "query, seconds, words",
    [
        ("SELECT levenshtein(repeat('ab', 300000), repeat('ba', 300000))", 1, "more than 1 s"),  # one call, deaf to all
        ("SELECT nothing FROM traces", 60, '"nothing" not found'),
        ("COPY (SELECT 1) TO 'x.csv'", 60, "only SELECT"),
        ("SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c", 1, "more than 1 s"),
    ],
)
def test_a_query_dies_with_its_own_process(store, query, seconds, words):
    with pytest.raises(RefusedSQL, match=words):
        answer(store, query, seconds=seconds)
    assert not [p for p in psutil.Process().children() if "curation.apart" in p.cmdline()]


def test_a_query_that_wants_all_memory(store):
    """More than its process may have, and less than DuckDB would stop at."""
    query = {"sql": "SELECT len(array_agg(i)) FROM range(100000000) t(i)", "params": {}, "seconds": 60}
    code = f"import curation.apart as apart; apart.BEYOND = {200 * 2**20}; apart.main()"
    asked = orjson.dumps({**query, "store": store.place, "at": None, "instead": None})
    done = subprocess.run([sys.executable, "-c", code], input=asked, capture_output=True)
    told = apart.told(done.returncode, done.stderr)
    assert isinstance(told, RefusedSQL) and "emory" in str(told)


def test_values_and_snapshots_reach_the_other_process(store):
    at = store.snapshot()
    found = answer(store, "SELECT $a AS a, count(*) AS n FROM examples", {"a": 1.5, "b": 2}, at=at).to_pylist()
    assert found == [{"a": 1.5, "n": 3456}]
    assert answer(store, "FROM mine", instead={"mine": "SELECT 7 AS n"}).to_pylist() == [{"n": 7}]


def test_ctrl_c_ends_the_query_with_the_command(store):
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c"
    process = subprocess.Popen([*COMMAND, "sql", endless], stderr=subprocess.PIPE, text=True)
    command = psutil.Process(process.pid)
    while not (asked := command.children()):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (3, "synthpert: interrupted; the same command goes on from here\n")
    asked[0].wait(timeout=10)  # one that had not been asked yet sees that nobody will


def test_a_variable_of_the_caller_is_no_table(store):
    secret = store.sql("FROM examples")
    with locked(store) as con, pytest.raises(RefusedSQL, match="secret"):
        ask(con, "SELECT * FROM secret")
    assert secret.num_rows


def test_views_answer_on_an_empty_store(tmp_path):
    from curation.views import texts

    with locked(Store(tmp_path / "s", create=True)) as con:
        assert all(ask(con, f"FROM {view}").num_columns for view in texts())


def test_the_funnel_and_the_rejected_add_up(filled, run, ask_json):
    at = ("--store", filled)
    total = ask_json(*at, "sql", "SELECT count(*) AS n FROM traces")[0]["n"]
    rejected = ask_json(*at, "sql", "SELECT count(*) AS n, count(DISTINCT trace_id) AS ids FROM rejected")[0]
    kept = ask_json(*at, "sql", "SELECT count(*) AS n FROM traces WHERE valid AND correct AND grade = 'excellent'")
    assert rejected["n"] == rejected["ids"] == total - kept[0]["n"]
    assert ask_json(*at, "sql", "SELECT count(*) AS n FROM rejected WHERE reason IS NULL") == [{"n": 0}]
    for row in ask_json(*at, "sql", "FROM funnel"):
        assert row["asked"] >= row["answered"] >= row["parsed"] >= row["correct"] >= row["excellent"] > 0
        assert row["parsed"] >= row["graded"]
    text = run(*at, "sql", "SELECT grade, count(*) AS n FROM traces GROUP BY grade ORDER BY n")
    assert text.stdout.splitlines()[0].split() == ["grade", "n"]


def test_one_row_a_trace_whatever_the_number_of_critics(filled, tmp_path, model, run, ask_json):
    import shutil

    shutil.copytree(filled, tmp_path / "store")
    before = ask_json("sql", "SELECT count(*) AS n FROM traces")
    assert run("grade", "--model", "second", "--limit", "20").returncode == 0
    assert ask_json("sql", "SELECT count(*) AS n FROM traces") == before
    two = ask_json("sql", "SELECT grades, critic, grade FROM traces WHERE len(grades) = 2 AND grade IS NOT NULL")
    assert len(two) > 20
    assert all({g["critic"].split("@")[0] for g in t["grades"]} == {"rehearsal/m", "rehearsal/second"} for t in two)
    newest = [g for t in two[:1] for g in t["grades"] if g["grade"]][-1]
    assert (two[0]["critic"], two[0]["grade"]) == (newest["critic"], newest["grade"])


@pytest.mark.parametrize(
    "query, words",
    [
        ("SELECT " + " + ".join("1" * 400), "nested too deep"),
        ("SELECT DATE '10000-01-01'", "cannot be shown"),
        ("SELECT 'infinity'::TIMESTAMP", "cannot be shown"),
    ],
)
def test_what_cannot_be_checked_or_shown_is_one_line(store, run, query, words):
    done = run("sql", query)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and words in done.stderr


def test_columns_of_one_name_are_told_apart(store, ask_json):
    assert ask_json("sql", "SELECT 1 AS a, 2 AS a") == [{"a": 1, "a_1": 2}]
