"""Reasons: what the traces were at a snapshot, which of a recipe's conditions they held there, and that in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa

from curation import views
from curation.arrow import nothing
from curation.errors import RefusedSQL
from curation.filters import Condition, Filter
from curation.locked import ask, locked, locked_tables
from curation.recipes import SECONDS
from curation.schema import TABLES
from curation.selection import SPLITS, query
from curation.store import Snapshot, Store

OF_TRACES = ("traces", "grades")  # the tables that are read for some traces alone
# columns that take few values, so that a reason which tells them still stands for many rows
TOLD = ("grade", "answer", "critic", "generator", "approach", "simulated", "clauses_rated", "clauses_false")
TEXTS = {
    "reread": pa.schema([("trace_id", pa.string()), ("readable", pa.bool_()), ("reasoning_hash", pa.uint64())]),
    "rejudged": pa.schema([("trace_id", pa.string()), ("justification_hash", pa.uint64())]),
}
HELD = pa.schema([("split", pa.string()), ("trace_id", pa.string())])


class Judge(NamedTuple):
    """A recipe and a store as they stood for one version: what the rows of the other are judged by."""

    at: Snapshot
    recipe: str
    filter: Filter
    params: Mapping[str, Any]
    bare: bool = False  # whether its rows are examples alone, without reasoning


def states(store: Store, at: Snapshot, touched: pa.Table, filters: Iterable[Filter]) -> pa.Table:
    """Return what these traces were at a snapshot: rows of queries/state.sql, with the columns that conditions read."""
    text, named = query("state"), columns(filters)
    known, have = _columns("FROM traces"), _columns(text.replace("{more}", ""))
    more = "".join(f", t.{c}" for c in known if c in named and c not in have)
    wordless = not named & {"grades", "justification"}
    return _answered(store, at, touched, text.replace("{more}", more), wordless=wordless)


@cache
def _columns(sql: str) -> list[str]:
    """Return the columns of a query's answer, which are the same for any store."""
    import duckdb

    with duckdb.connect() as con:
        con.register("touched", pa.table({"trace_id": pa.array([], pa.string())}))
        return con.sql(views.inlined(sql, lambda table: nothing(TABLES[table].schema))).columns


def columns(filters: Iterable[Filter]) -> set[str]:
    """Return the columns that the conditions of these filters read."""
    return {c for f in filters for condition in f.conditions for c in condition.columns}


def texts(store: Store, at: Snapshot, touched: pa.Table, name: str) -> pa.Table:
    """Return what the texts of these traces were at a snapshot: rows of queries/reread.sql or rejudged.sql."""
    if not touched.num_rows:  # a usual case, and opening the store is most of the work
        return TEXTS[name].empty_table()
    return _answered(store, at, touched, query(name))


def _answered(store: Store, at: Snapshot, touched: pa.Table, text: str, *, wordless: bool = False) -> pa.Table:
    """Answer a query, whose views are the store's own over tables cut down to the traces `touched`.

    With `wordless` the critics' words are left out, which views carry along: it halves the time and memory.
    """

    def source(table: str) -> str:
        found = views.as_sql(con, table, store.relation(table, at))
        if table not in OF_TRACES:
            return found
        kept = "* REPLACE (NULL::VARCHAR AS justification)" if wordless and table == "grades" else "*"
        return f"(SELECT {kept} FROM {found} SEMI JOIN touched USING (trace_id))"

    with store.session(at, {}) as con:
        con.register("touched", touched)
        return con.sql(views.inlined(text, source)).to_arrow_table()


def held(store: Store, judge: Judge, rows: pa.Table) -> pa.Table:
    """Return split, trace_id and c0, c1, ...: whether each of a filter's conditions holds for each row.

    Args:
        store: the store.
        judge: whose recipe and snapshot count.
        rows: candidates: split, trace_id and the columns that the conditions read, as they were at that snapshot.
    """
    found = [_held_in(store, judge, split, rows) for split in SPLITS if judge.filter.why_not is None]
    schema = pa.schema([*HELD, *(pa.field(f"c{i}", pa.bool_()) for i in range(len(judge.filter.conditions)))])
    return pa.concat_tables([f.cast(schema) for f in found]) if found else schema.empty_table()


def _held_in(store: Store, judge: Judge, split: str, rows: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    own = rows.filter(pc.equal(rows["split"], split))
    alias = judge.filter.alias
    conditions = [f'coalesce(CAST({c.sql} AS BOOLEAN), false) AS "c{i}"' for i, c in enumerate(judge.filter.conditions)]
    columns = ", ".join([f"'{split}' AS split", f'"{alias}".trace_id AS trace_id', *conditions])
    sql = f'SELECT {columns} FROM candidates AS "{alias}" SEMI JOIN asked_about USING (trace_id)'
    params = {**judge.params, "split": split}
    # the recipe's own words: they run behind the same locks as in a build
    if all(c.alone for c in judge.filter.conditions):
        with locked_tables({"candidates": own, "asked_about": own.select(["trace_id"])}) as con:
            return ask(con, sql, params, seconds=SECONDS)
    one_split = f"SELECT * FROM ({views.texts()['candidates']}) WHERE split = '{split}'"
    with locked(store, judge.at, {"candidates": one_split}, {"asked_about": own.select(["trace_id"])}) as con:
        return ask(con, sql, params, seconds=SECONDS)


def evaluated(store: Store, judge: Judge, rows: pa.Table) -> tuple[Judge, pa.Table]:
    """Return what `held` does; a filter that can no longer be evaluated is from then on known as no plain one."""
    try:
        return judge, held(store, judge, rows)
    except RefusedSQL as e:
        again = judge._replace(filter=Filter(why_not=f"it no longer runs: {e}"))
        return again, held(store, again, rows)


# -- in words


def removed(judge: Judge, before: Filter) -> str:
    """Return SQL for why a row of A is not in B: `b` is its state there, `hb` what it holds of B's conditions."""
    return _reason(judge, before, "b", "hb")


def added(judge: Judge, after: Filter) -> str:
    """Return SQL for why a row of B was not in A: `a` is its state there, `ha` what it held of A's conditions."""
    return _reason(judge, after, "a", "ha")


def _reason(judge: Judge, own: Filter, state: str, held: str) -> str:
    past = state == "a"
    if judge.bare:
        bare = _quoted(f"a row with reasoning, and the recipe {judge.recipe} selects rows without")
        return f"CASE WHEN c.trace_id IS NULL THEN {_of_example(judge, past)} ELSE {bare} END"
    hidden = "was hidden by an exclusion: " if past else "hidden by an exclusion: "
    unreadable = "could not be read: " if past else "can no longer be read: "
    return f"""CASE
        WHEN c.trace_id IS NULL THEN {_of_example(judge, past)}
        WHEN NOT {state}.asked THEN 'not yet in the store (asked later)'
        WHEN NOT {state}.seen AND {state}.hidden IS NOT NULL THEN {_quoted(hidden)} || {state}.hidden
        WHEN NOT {state}.seen THEN 'its example was not yet in the store'
        WHEN NOT {state}.readable THEN {_quoted(unreadable)} || coalesce({state}.reason, {state}.think, 'a tag')
        {_by_recipe(judge, own, state, held)}
    END"""


def _by_recipe(judge: Judge, own: Filter, state: str, held: str) -> str:
    if judge.filter.why_not is not None:
        said = _quoted(f"not selected by the recipe {judge.recipe} (no plain filter: {judge.filter.why_not})")
        changed = "'; its grade went from ' || coalesce(a.grade, 'none') || ' to ' || coalesce(b.grade, 'none')"
        return f"""ELSE {said} ||
            CASE WHEN a.grade IS DISTINCT FROM b.grade AND a.seen AND b.seen THEN {changed} ELSE '' END"""
    words = [_words(c, own, past=state == "a") for c in judge.filter.conditions]
    failed = [f"CASE WHEN NOT {held}.c{i} THEN {said} END" for i, said in enumerate(words)]
    joined = f"nullif(concat_ws('; ', {', '.join(failed)}), '')" if failed else "NULL"
    return f"""WHEN {held}.trace_id IS NULL THEN 'no candidate of this split'
        ELSE coalesce({joined}, 'meets each condition of the recipe, which yet does not select it')"""


def _words(condition: Condition, own: Filter, *, past: bool) -> str:
    """Return SQL for what became of a condition that a row did not hold, and the row's values in it.

    Args:
        condition: a condition of the version that the row is not in.
        own: the filter of the version that it is in.
        past: whether that other version is A.
    """
    both = own.why_not is not None or condition.key in {c.key for c in own.conditions}
    if both:
        head = f"{condition.text} {'now holds' if past else 'no longer holds'}"
    else:
        head = f"condition {condition.text} was dropped" if past else f"new condition {condition.text}"
    values = [_value(c) for c in condition.columns if c in TOLD]
    return " || ".join([_quoted(head + ": " if values else head), " || ', ' || ".join(values) or "''"])


def _value(column: str) -> str:
    """Return SQL for what a row has in a column, and had, where that is another."""
    was, now = (f"coalesce({state}.{column}::VARCHAR, 'none')" for state in "ab")
    return f"""'{column} ' ||
        CASE WHEN {was} = {now} THEN 'is ' || {now} ELSE 'was ' || {was} || ', is now ' || {now} END"""


def _of_example(judge: Judge, past: bool) -> str:
    if not judge.bare:
        return _quoted(f"a row without reasoning, and the recipe {judge.recipe} selects rows with")
    held = "example_a" if past else "example_b"
    absent = f"c.example_id NOT IN (SELECT example_id FROM {held})"
    other = _quoted(f"not selected by the recipe {judge.recipe}")
    return f"CASE WHEN {absent} THEN 'its example was not yet in the store' ELSE {other} END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
