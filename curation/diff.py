"""Diff: what sets two versions apart, row by row and in sums, and for each row what decided.

All of it is set work in DuckDB: the members of both versions side by side, and then, for those rows alone that differ
or that anything was written about since, what their traces were at either snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from curation import filters, named, reasons, recipes, views
from curation.errors import StoreError, VersionError
from curation.reasons import Judge
from curation.selection import SPLITS, query
from curation.store import Store

if TYPE_CHECKING:
    import duckdb

LISTED = 500  # rows that are told one by one
MOVED = {"traces": "new_traces", "grades": "new_grades", "exclusions": "new_exclusions", "clauses": "new_clauses",
         "verdicts": "new_verdicts"}  # fmt: skip
BOOKS = ("runs", "versions", "members", "findings")  # tables that say nothing of a trace


class Side(NamedTuple):
    """One of the two that are compared: a version, or what a recipe would select now."""

    title: str  # NAME@VERSION, or "preview of RECIPE"
    judge: Judge
    version: dict[str, Any] | None  # its row in the store; none for a preview

    @property
    def row_hash(self) -> str | None:
        """The hash of its rows; none for a preview, whose rows are not written."""
        return self.version["row_hash"] if self.version else None


class Diff(NamedTuple):
    """What differs from A to B. A row is counted once a split; test rows, which no recipe selects, are not compared."""

    a: str
    b: str
    added: int
    removed: int
    changed: int
    by: list[dict[str, Any]]  # split, cell_line, label, grade, added, removed
    by_critic: list[dict[str, Any]]  # split, critic, added, removed
    splits: list[dict[str, Any]]  # split, before, after, added, removed, changed
    reasons: list[dict[str, Any]]  # fate (added or removed), reason, n
    changed_by: list[dict[str, Any]]  # split, what, from, to, n
    recipe: dict[str, Any]  # a, b (names), new, dropped (conditions; null where one is no plain filter)
    rows: list[dict[str, Any]]  # some rows, each with its reason
    rows_left_out: int
    remarks: list[str]  # sentences on both as wholes


def diff(store: Store, a: str, b: str, *, params: Mapping[str, object] | None = None, listed: int = LISTED) -> Diff:
    """Return what differs between two versions, or between a version and what a recipe would select now.

    Args:
        store: the store.
        a: NAME@VERSION; NAME@latest and NAME alone mean the newest.
        b: the same, or a shipped recipe's name or the path of an own .sql file.
        params: values of the parameters of a recipe as B, for those that are not to have their defaults.
        listed: tell at most so many rows one by one.

    Raises:
        VersionError: there is no such version, the store as it was then can no longer be read, or parameters are given
            for a version, which has its own.
        RecipeError: the recipe selects what a dataset cannot hold.
    """
    two, preview = _other(store, b, params)
    return _compared(store, _version(store, a), two, preview, listed)


def since(store: Store, a: str, b: Side, rows: pa.Table) -> Diff:
    """Return what differs between a version and one that is being written, whose rows the store does not list yet.

    Args:
        store: the store.
        a: NAME@VERSION.
        b: the other.
        rows: its train and validation rows: split, id, trace_id, example_id, side, weight.

    Raises:
        VersionError: there is no version A, or the store as it was then can no longer be read.
    """
    return _compared(store, _version(store, a), b, rows, 0)


def _compared(store: Store, one: Side, two: Side, after: pa.Table | None, listed: int) -> Diff:
    with store.session(None, views.needed("members, examples")) as con:
        con.execute("CREATE TEMP TABLE before AS " + query("member_rows"), _ref(one))
        if after is not None:
            con.register("after", after)
        else:
            con.execute("CREATE TEMP TABLE after AS " + query("member_rows"), _ref(two))
        con.execute("CREATE TEMP TABLE compared AS " + query("compared"))
        judge_a, judge_b = _explain(store, con, one, two)
        return _summed(con, one, two, judge_a, judge_b, listed)


def _ref(side: Side) -> dict[str, str]:
    assert side.version
    return {k: side.version[k] for k in ("name", "version")}


def _version(store: Store, ref: str) -> Side:
    row = named.find(store, ref)
    params = json.loads(row["params"] or "{}")
    judge = Judge(json.loads(row["tables"]), row["recipe"], filters.parse(row["recipe_sql"], params), params)
    return Side(f"{row['name']}@{row['version']}", judge, row)


def _other(store: Store, ref: str, params: Mapping[str, object] | None) -> tuple[Side, pa.Table | None]:
    """Return B: a version if there is one of that name, else the recipe of that name with the rows it selects now."""
    if ref.endswith(".sql") or (ref in recipes.shipped() and not named.held(store, ref)):
        return _preview(store, recipes.load(ref), params)
    try:
        found = _version(store, ref)
    except VersionError as e:
        if "@" in ref or named.held(store, ref):
            raise
        raise VersionError(
            f"{e}; nor is it a recipe: {', '.join(recipes.shipped())}, or a path that ends in .sql"
        ) from e
    if params:
        raise VersionError(f"--set: {ref} is a version, which was built with values of its own")
    return found, None


def _preview(store: Store, recipe: recipes.Recipe, given: Mapping[str, object] | None) -> tuple[Side, pa.Table]:
    at, params = store.snapshot(), recipes.values(recipe, given)
    found = []
    for split, chosen in recipes.choose(store, recipe, SPLITS, at, params).items():
        with store.session(at, views.needed("examples")) as con:
            con.register("chosen", chosen)
            rows = f"SELECT '{split}' AS split, coalesce(trace_id, example_id) AS id, * FROM ({query('learned')})"
            found.append(con.sql(rows).to_arrow_table())
    judge = Judge(at, recipe.name, filters.parse(recipe.sql, params), params)
    return Side(f"preview of {recipe.name}", judge, None), pa.concat_tables(found)


# -- row by row


def _explain(store: Store, con: duckdb.DuckDBPyConnection, one: Side, two: Side) -> tuple[Judge, Judge]:
    """Make the tables `differing` (a row, and what decided) and `altered` (a difference of a row that both have)."""
    one, two = _bare(con, one, "before"), _bare(con, two, "after")
    _states(store, con, one, two)
    judge_a = _judged(store, con, one, "a", "added")
    judge_b = _judged(store, con, two, "b", "removed")
    text = query("differing")
    text = text.replace("{added}", reasons.added(judge_a, judge_b.filter))
    text = text.replace("{removed}", reasons.removed(judge_b, judge_a.filter))
    con.execute("CREATE TEMP TABLE differing AS " + text)
    con.execute("CREATE TEMP TABLE altered AS " + query("altered"))
    return judge_a, judge_b


def _bare(con: duckdb.DuckDBPyConnection, side: Side, rows: str) -> Side:
    """Note whether a side's rows are examples alone."""
    traces = con.sql(f"SELECT 1 FROM {rows} WHERE trace_id IS NOT NULL LIMIT 1").fetchall()
    return side._replace(judge=side.judge._replace(bare=not traces))


def _states(store: Store, con: duckdb.DuckDBPyConnection, one: Side, two: Side) -> None:
    """Make state_a and state_b: what the traces that are to be looked at were for either version."""
    touched = _touched(store, con, one, two)
    sides = {"a": one, "b": two}
    found: dict[frozenset[tuple[str, int]], pa.Table] = {}
    for letter, side in sides.items():
        as_it_was = frozenset((table, n) for table, n in side.judge.at.items() if table not in BOOKS)
        if as_it_was not in found:  # two recipes over the same traces: what a trace was is read once
            with _told(side):
                filters = (one.judge.filter, two.judge.filter)
                found[as_it_was] = reasons.states(store, side.judge.at, touched, filters)
        con.register(f"known_{letter}", found[as_it_was])
    asked = {
        "reread": """SELECT a.trace_id FROM known_a AS a JOIN known_b AS b USING (trace_id)
                     WHERE a.seen AND b.seen AND a.read_at <> b.read_at""",
        "rejudged": "SELECT trace_id FROM known_a SEMI JOIN (FROM compared WHERE fate = 'kept') USING (trace_id)",
    }
    of_texts = {name: con.sql(sql).to_arrow_table() for name, sql in asked.items()}
    for letter, side in sides.items():
        with _told(side):
            for name, ids in of_texts.items():
                con.register(f"{name}_{letter}", reasons.texts(store, side.judge.at, ids, name))
        # one that was not read anew is as readable as it was when the version that holds it was built
        con.execute(
            f"""CREATE TEMP TABLE state_{letter} AS
                SELECT k.*, coalesce(r.readable, true) AS readable, r.reasoning_hash, j.justification_hash
                FROM known_{letter} AS k
                LEFT JOIN reread_{letter} AS r USING (trace_id)
                LEFT JOIN rejudged_{letter} AS j USING (trace_id)"""
        )
    for letter in sides:
        con.unregister(f"known_{letter}")


def _judged(store: Store, con: duckdb.DuckDBPyConnection, side: Side, letter: str, fate: str) -> Judge:
    """Make held_a or held_b: which of a version's conditions the rows hold that it does not have."""
    have = con.sql(f"FROM state_{letter}").columns
    read = "".join(f", s.{c}" for c in have if c in reasons.columns([side.judge.filter]) - {"trace_id"})
    rows = con.sql(
        f"""SELECT c.split, c.trace_id {read} FROM compared AS c JOIN state_{letter} AS s USING (trace_id)
            WHERE c.fate = '{fate}' AND s.seen AND s.readable"""
    ).to_arrow_table()
    with _told(side):
        judge, found = reasons.evaluated(store, side.judge, rows)
        _examples(store, con, side, f"example_{letter}")
    con.register(f"held_{letter}", found)
    return judge


def _touched(store: Store, con: duckdb.DuckDBPyConnection, one: Side, two: Side) -> pa.Table:
    """Return the traces to look at: of rows that differ, and of rows that both have if anything was written since."""
    at_a, at_b = one.judge.at, two.judge.at
    later = {t: max(at_a.get(t, -1), at_b.get(t, -1)) for t in {*at_a, *at_b}}
    with _told(one), store.session(None, {}) as since:
        views.register(since, ["traces", "grades", "clauses"], lambda t: store.relation(t, later))
        for table, name in MOVED.items():
            source = views.as_sql(since, name, store.between(table, at_a, at_b))
            since.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
        con.register("moved", since.sql(query("moved")).to_arrow_table())
    return con.sql(
        """SELECT DISTINCT trace_id FROM compared
           WHERE trace_id IS NOT NULL AND (fate <> 'kept' OR trace_id IN (FROM moved))"""
    ).to_arrow_table()


def _examples(store: Store, con: duckdb.DuckDBPyConnection, side: Side, name: str) -> None:
    """Register the examples that the store had then, if any row without reasoning asks for them."""
    bare = con.sql("SELECT 1 FROM compared WHERE trace_id IS NULL AND fate <> 'kept' LIMIT 1").fetchall()
    examples = store.sql("SELECT example_id FROM examples" + ("" if bare else " LIMIT 0"), at=side.judge.at)
    con.register(name, examples)


@contextmanager
def _told(side: Side) -> Iterator[None]:
    try:
        yield
    except StoreError as e:
        raise VersionError(f"{side.title}: the store as it was then can no longer be read: {e}") from e


# -- in sums


def _summed(con: duckdb.DuckDBPyConnection, one: Side, two: Side, a: Judge, b: Judge, listed: int) -> Diff:
    def rows(name: str, **params: Any) -> list[dict[str, Any]]:
        return con.sql(query(name), params=params).to_arrow_table().to_pylist()

    splits = rows("diff_splits")
    added, removed, changed = (sum(r[k] for r in splits) for k in ("added", "removed", "changed"))
    told = rows("listed", most=listed)
    remarks = _remarks(one, two, added + removed + changed)
    if con.sql("FROM state_a SELECT 1 WHERE simulated UNION FROM state_b SELECT 1 WHERE simulated").fetchall():
        remarks.append("Simulated: rows of a rehearsal are among those that differ. They say nothing about biology.")
    return Diff(
        one.title, two.title, added, removed, changed,
        rows("diff_by"), rows("diff_by_critic"), splits, rows("diff_reasons"), rows("diff_changed"),
        _recipes(a, b), told, added + removed + changed - len(told), remarks,
    )  # fmt: skip


def _recipes(a: Judge, b: Judge) -> dict[str, Any]:
    keys = [{c.key for c in j.filter.conditions} for j in (a, b)]
    known = a.filter.why_not is None and b.filter.why_not is None
    values = [{"name": k, "a": a.params.get(k), "b": b.params.get(k)} for k in sorted({*a.params, *b.params})]
    return {
        "a": a.recipe,
        "b": b.recipe,
        "set": [v for v in values if v["a"] != v["b"]],
        "new": [c.text for c in b.filter.conditions if c.key not in keys[0]] if known else None,
        "dropped": [c.text for c in a.filter.conditions if c.key not in keys[1]] if known else None,
    }


def _remarks(one: Side, two: Side, differing: int) -> list[str]:
    if one.title == two.title:
        return ["The same version twice: identical."]
    if two.row_hash is None:
        return []
    if one.row_hash == two.row_hash:
        return ["Both hold the same rows, to the last value."]
    if differing:
        return []
    return ["The same train and validation rows, yet other hashes: the test rows or the standard prompt differ."]
