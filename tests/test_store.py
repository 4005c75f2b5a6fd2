"""The store: nothing torn, nothing lost, nothing twice, whoever writes at once and whoever is killed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from curation import delta, migrations, views
from curation.asking.journal import Journal, settle
from curation.errors import StoreError
from curation.schema import CHILD_FIRST, TABLES, content_id, now
from curation.store import Store

KIT = Path(__file__).parent / "kit"


def grades(*names, **more):
    rows = [{"grade_id": content_id(n), "trace_id": n, "grade": "good", "created": now(), **more} for n in names]
    return pa.Table.from_pylist(rows, TABLES["grades"].schema)


def spawn(script, *args):
    return subprocess.Popen([sys.executable, KIT / script, *map(str, args)], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def empty(tmp_path):
    return Store(tmp_path / "store", create=True)


def test_two_append_while_a_third_asks(empty):
    writers = [spawn("appender.py", empty.place, name, 40, 25) for name in "ab"]
    seen, torn = [], 0
    while any(w.poll() is None for w in writers):
        batches = empty.rows("SELECT trace_id, count(*) AS n FROM raw.grades GROUP BY 1")
        torn += sum(b["n"] != 25 for b in batches)
        seen.append(len(batches))
    assert [w.wait() for w in writers] == [0, 0]
    assert torn == 0, "a batch was seen in part"
    assert seen == sorted(seen), "what was seen once was gone later"
    assert len(set(seen)) > 3, "the reader saw the table grow"
    counts = "SELECT count(*) AS n, count(DISTINCT grade_id) AS ids FROM raw.grades"
    assert empty.rows(counts) == [{"n": 2_000, "ids": 2_000}]


def test_rows_of_another_shape_are_refused_before_delta_sees_them(empty):
    good = grades("a")
    cast = good.set_column(good.column_names.index("created"), "created", pa.array(["2026-01-01"]))
    for rows in (good.drop_columns(["grade"]), good.append_column("odd", pa.array([1])), cast):
        with pytest.raises(StoreError, match="declared schema"):
            empty.append("grades", rows)
    assert empty.files("grades") == []


def test_history_never_expires_and_rows_are_never_removed(empty):
    empty.append("grades", grades("a"))
    table = DeltaTable(f"{empty.place}/grades")
    kept = table.metadata().configuration
    assert kept["delta.appendOnly"] == "true"
    assert kept["delta.enableExpiredLogCleanup"] == "false"
    assert kept["delta.logRetentionDuration"] == "interval 36500 days"
    with pytest.raises(Exception, match="(?i)append"):
        table.delete()


def test_the_store_as_it_was(empty):
    empty.append("grades", grades("a", "b"))
    then = empty.snapshot()
    empty.append("grades", grades("c"))
    assert empty.sql("FROM grades").num_rows == 3
    assert empty.sql("FROM grades", at=then).num_rows == 2
    assert empty.sql("FROM traces", at=then).num_rows == 0


def test_a_child_is_opened_before_its_parent():
    order = list(CHILD_FIRST)
    assert order.index("grades") < order.index("traces") < order.index("responses") < order.index("examples")
    assert order.index("verdicts") < order.index("clauses") and order.index("members") < order.index("versions")


def test_the_latest_row_of_an_id_is_seen_and_all_are_kept(empty):
    empty.append("grades", grades("a"))
    empty.append("grades", grades("a", reason="later"))
    assert [r["reason"] for r in empty.rows("FROM grades")] == ["later"]
    assert empty.sql("FROM raw.grades").num_rows == 2


def test_new_rows_are_appended_once_however_many_do_so(empty):
    assert empty.append_new("grades", grades("a", "b")) == 2
    assert empty.append_new("grades", grades("a", "b", "c")) == 1
    assert empty.append_new("grades", grades("a")) == 0
    assert empty.sql("FROM raw.grades").num_rows == 3


def test_of_two_that_append_with_one_number_one_is_asked_again(empty):
    """The second sees the number that the first set while the second was making its rows."""
    numbers = []

    def rows(number):
        numbers.append(number)
        if len(numbers) == 1:  # in between, another process does the same
            empty.append_once("grades", "app", lambda n: (grades("theirs"), n + 1))
        return grades("mine" if number else "never"), number + 1

    assert empty.append_once("grades", "app", rows) == 1
    assert numbers == [0, 1]
    assert {r["trace_id"] for r in empty.rows("FROM grades")} == {"theirs", "mine"}


def test_a_commit_that_is_refused_where_nobody_else_commits_is_no_race(empty, monkeypatch):
    def refused(*args):
        raise CommitFailedError("no such write here")

    empty.append("grades", grades("a"))
    monkeypatch.setattr("curation.delta.write", refused)
    with pytest.raises(StoreError, match="grades: no such write here"):
        empty.append_once("grades", "app", lambda n: (grades("b"), n + 1))


def test_rows_whose_table_another_made_in_between_are_written_all_the_same(empty, monkeypatch):
    """Two that find no table both make it: the first's commit is then refused, as the table is another than it saw."""
    write, refusals = delta.write, []

    def refused_once(handle, rows, *args):
        if not refusals:
            refusals.append(write(DeltaTable(handle.table_uri), grades("theirs")))
            raise CommitFailedError("Metadata changed since last commit")
        write(handle, rows, *args)

    monkeypatch.setattr("curation.delta.write", refused_once)
    empty.append("grades", grades("mine"))
    assert {r["trace_id"] for r in empty.rows("FROM grades")} == {"theirs", "mine"}


def test_a_table_that_vanishes_under_a_commit_is_told_in_one_line(empty, monkeypatch):
    def refused(*args):
        shutil.rmtree(Path(empty.place, "grades"))
        raise CommitFailedError("no such file")

    empty.append("grades", grades("a"))
    monkeypatch.setattr("curation.delta.write", refused)
    with pytest.raises(StoreError, match="grades: no such file"):
        empty.append_once("grades", "app", lambda n: (grades("b"), n + 1))


def test_two_compactors_and_an_appender_keep_the_rows_right(empty):
    for i in range(30):
        empty.append("grades", grades(f"first-{i}"))
    others = [spawn("compactor.py", empty.place, 4) for _ in "ab"] + [spawn("appender.py", empty.place, "w", 30, 5)]
    assert [o.wait() for o in others] == [0, 0, 0]
    counts = "SELECT count(*) AS n, count(DISTINCT grade_id) AS ids FROM raw.grades"
    assert empty.rows(counts) == [{"n": 180, "ids": 180}]
    assert len(empty.files("grades")) < 60


@pytest.mark.parametrize("name", ["with blank", "it's", "star*", "é", 'quo"te', "a?b", "#1", "{x}"])
def test_a_store_in_a_folder_with_odd_letters(tmp_path, name):
    store = Store(tmp_path / name, create=True)
    store.append("grades", grades("a"))
    assert store.append_new("grades", grades("a", "b")) == 1
    assert Store(tmp_path / name).sql("FROM grades").num_rows == 2


def test_a_folder_that_delta_cannot_open_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"path that holds \[ \]"):
        Store(tmp_path / "a [b]", create=True)


def test_a_copied_store_is_the_same_store(empty, tmp_path):
    empty.append("grades", grades("a"))
    Path(empty.place).rename(tmp_path / "moved")
    assert Store(tmp_path / "moved").sql("FROM grades").num_rows == 1
    assert str(tmp_path) not in "".join(f.read_text() for f in (tmp_path / "moved").rglob("*.json"))


def test_what_is_no_store_is_said_and_left_alone(tmp_path, run):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for place, words in {"notes": "no store", "file": "is a file", "nowhere": "no store here"}.items():
        done = run("--store", tmp_path / place, "sql", "FROM traces")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1) and words in done.stderr
    assert run("--store", tmp_path / "notes", "ingest", tmp_path).returncode == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "notes"]


def test_a_newer_store_is_refused_and_an_older_is_brought_up(empty, monkeypatch):
    def m002_next(store):
        pass

    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, m002_next))
    store = Store(empty.place)
    Store(empty.place)
    assert [r["name"] for r in store.rows("FROM migrations ORDER BY number")] == ["m001_first_tables", "m002_next"]
    monkeypatch.undo()
    with pytest.raises(StoreError, match="newer synthpert"):
        Store(empty.place)


def reply(n):
    return {"request_id": f"r{n}", "stage": "generate", "attempt": 1, "text": f"text {n}"}


def test_a_journal_lands_once_and_is_gone(empty):
    journal = Journal(empty, "run")
    for n in range(5):
        journal.write(reply(n))
    assert journal.absorb() == 5
    journal.write(reply(5))
    assert settle(empty) == [], "a journal that its run holds is left alone"
    journal.close()
    assert empty.sql("FROM responses").num_rows == 6
    assert not list(empty.journals.glob("*.jsonl"))


def test_a_journal_cut_by_a_kill_is_absorbed_up_to_the_cut(empty):
    journal = Journal(empty, "run")
    for n in range(3):
        journal.write(reply(n))
    journal._out.write(b'{"response_id": "x", "tex')
    journal._out.close()  # as a kill does: the lock goes, the file stays
    assert settle(empty) == ["run"]
    assert [r["request_id"] for r in empty.rows("FROM responses ORDER BY 1")] == ["r0", "r1", "r2"]
    assert settle(empty) == []


def test_a_journal_absorbed_in_part_before_the_kill_lands_once(empty):
    journal = Journal(empty, "run")
    journal.write(reply(0))
    journal.absorb()
    journal.write(reply(1))
    journal._out.close()
    settle(empty)
    assert empty.sql("FROM raw.responses").num_rows == 2


def test_every_column_says_what_it_is():
    for table in TABLES.values():
        assert table.schema.metadata[b"description"]
        assert all(field.metadata[b"description"] for field in table.schema)


def test_an_answer_that_is_absorbed_later_never_changes_a_trace(store):
    """Two runs may pay for one request; the trace stays the answer that was read first, with its grade."""
    from curation.grades import read_grades
    from curation.traces import read_traces

    example = store.rows("SELECT example_id FROM examples LIMIT 1")[0]["example_id"]
    answer = "<think>{}</think><answer>upregulated</answer>"

    def answered(run, text, **more):
        journal = Journal(store, run)
        journal.write({**reply(1), "subject_id": example, "prompt": "explain", "text": text, "model": "m", **more})
        return journal

    early = answered("a-run", answer.format("Early."))
    answered("b-run", answer.format("Late.")).close()
    read_traces(store)
    trace = store.rows("SELECT trace_id, reasoning FROM traces")
    grade = "<evaluation>excellent</evaluation>"
    answered("c-run", grade, request_id="g", stage="grade", subject_id=trace[0]["trace_id"], prompt_hash="h").close()
    read_grades(store)
    early.close()
    assert read_traces(store) == 0
    assert store.rows("SELECT trace_id, reasoning, grade FROM traces") == [trace[0] | {"grade": "excellent"}]
    assert trace[0]["reasoning"] == "Late."


def test_junk_before_good_lines_costs_none_of_them(empty, monkeypatch):
    monkeypatch.setattr("curation.asking.journal.BATCH", 100)
    journal = Journal(empty, "run")
    journal._out.write(b"junk" * 100 + b"\n" + b"more junk\n" * 50)
    journal.write(reply(0))
    journal.write({**reply(1), "tokens_in": 2**63})
    journal.write(reply(2))
    journal.close()
    assert [r["request_id"] for r in empty.rows("FROM responses ORDER BY 1")] == ["r0", "r2"]


def test_two_builds_of_one_name_wait_for_each_other(empty):
    from curation.errors import VersionError
    from curation.store import lock
    from curation.versions import build

    with lock(empty.journals / "build-d.lock") as alone:
        assert alone
        with pytest.raises(VersionError, match="another build of d is running"):
            build(empty, "excellent", "d")


def test_a_store_from_before_a_column_was_declared(filled, tmp_path, monkeypatch):
    """Its rows have null there, in views and in a user's SQL, until one is written that has it."""
    from curation import schema, views

    shutil.copytree(filled, tmp_path / "store")
    store = Store(tmp_path / "store")
    table = TABLES["traces"]
    wider = table._replace(schema=table.schema.append(pa.field("new", pa.string())))
    monkeypatch.setitem(schema.TABLES, "traces", wider)
    found = store.rows("SELECT count(*) AS n, count(new) AS new FROM raw.traces")
    assert found[0]["n"] > 100 and found[0]["new"] == 0
    assert views.texts() and store.rows("SELECT count(*) AS n FROM traces")[0]["n"] > 100
    row = store.sql("SELECT * FROM raw.traces LIMIT 1").set_column(len(table.schema), "new", pa.array(["x"]))
    store.append("traces", row.cast(wider.schema))
    assert store.rows("SELECT count(new) AS new FROM raw.traces") == [{"new": 1}]


def test_a_store_from_before_a_description_was_reworded(empty, monkeypatch):
    empty.append("grades", grades("a"))
    made = TABLES["grades"].schema
    other = pa.schema([field.with_metadata({"description": "in other words"}) for field in made])
    monkeypatch.setitem(TABLES, "grades", TABLES["grades"]._replace(schema=other))
    empty.append("grades", grades("b"))
    assert empty.rows("SELECT count(*) AS n FROM raw.grades") == [{"n": 2}]
    kept = DeltaTable(f"{empty.place}/grades").schema().fields[1].metadata
    assert kept == {"description": made.field(1).metadata[b"description"].decode()}


def test_what_did_not_reach_the_table_stays_in_the_journal(empty, monkeypatch):
    """As on a full disk: the answers are paid for."""
    from curation.asking import journal as journals

    def full(*args):
        raise OSError(28, "No space left on device")

    journal = Journal(empty, "run")
    journal.write({"request_id": "r", "attempt": 1, "stage": "generate", "text": "paid for"})
    monkeypatch.setattr(journals, "_absorb", full)
    for end in (journal.absorb, journal.close):
        with pytest.raises(OSError, match="No space"):
            end()
    monkeypatch.undo()
    assert b"paid for" in journal.file.read_bytes()
    assert journals.settle(empty) == ["run"]
    assert empty.rows("SELECT text FROM responses") == [{"text": "paid for"}]


# -- views


@pytest.mark.parametrize(
    "query", [*(f"FROM {name} ORDER BY ALL" for name in views.texts()), "SELECT * FROM raw.traces ORDER BY trace_id"]
)
def test_a_query_that_brings_its_views_along_sees_what_they_show(query, reviewed):
    store = Store(reviewed)
    with store.session(wanted=views.needed(query)) as con:
        assert store.sql(query).equals(con.sql(query).to_arrow_table())


def test_a_query_with_a_with_and_a_comment_of_its_own_brings_its_views_along(reviewed):
    query = """
        -- of raw.traces, some with
        -- grades
        WITH some_traces AS (SELECT trace_id FROM raw.traces WHERE trace_id > $least)
        SELECT count(*) AS n, 'raw' AS raw FROM some_traces SEMI JOIN grades USING (trace_id)
    """
    every = Store(reviewed).rows("SELECT count(DISTINCT trace_id) AS n FROM grades")[0]["n"]
    assert Store(reviewed).rows(query, {"least": ""}) == [{"n": every, "raw": "raw"}]
