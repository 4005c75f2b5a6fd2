"""Filters: what a recipe asks of a row, condition by condition, where it is a plain filter over the candidates.

A plain filter is one SELECT of trace_id FROM candidates WHERE ... and maybe ORDER BY. Of anything else (a CTE, a window
over the rows, LIMIT, GROUP BY, a join) no single condition decides a row, so none is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from curation import macros
from curation.errors import RefusedSQL
from curation.locked import check

if TYPE_CHECKING:
    import duckdb

Tree = dict[str, Any]


class Condition(NamedTuple):
    """One condition that a recipe's WHERE joins by AND."""

    text: str  # as its author wrote it
    sql: str  # as DuckDB writes it, to be evaluated
    key: str  # the same for the same condition, its parameters' values told
    columns: tuple[str, ...]  # that it reads of the row
    alone: bool  # whether the row is all it reads: no subquery


class Filter(NamedTuple):
    """A recipe taken apart; `why_not` says what makes it more than a plain filter, and then there are no conditions."""

    conditions: tuple[Condition, ...] = ()
    alias: str = "candidates"
    why_not: str | None = None


def parse(sql: str, params: Mapping[str, Any] | None = None) -> Filter:
    """Return the conditions of a recipe.

    Args:
        sql: its text.
        params: the values of its $names, but for $split.
    """
    import duckdb

    try:
        check(sql)
        with duckdb.connect() as con:
            node = _tree(con, sql)["statements"][0]["node"]
            if why := _why_not(node):
                return Filter(why_not=why)
            alias = node["from_table"]["alias"] or "candidates"
            parts = _conjuncts(node["where_clause"])
            return Filter(tuple(_condition(con, part, sql, alias, params or {}) for part in parts), alias)
    except (RefusedSQL, duckdb.Error) as e:
        return Filter(why_not=f"it can no longer be read: {e}")


def _tree(con: duckdb.DuckDBPyConnection, sql: str) -> Tree:
    return json.loads(con.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])


def _why_not(node: Tree) -> str | None:
    """Return what of a statement decides about rows besides the conditions of its WHERE."""
    if node["type"] != "SELECT_NODE":
        return "it joins several SELECTs"
    table = node["from_table"]
    if node["cte_map"]["map"]:
        return "it has a WITH"
    if table["type"] != "BASE_TABLE" or table["table_name"] != "candidates" or table["schema_name"]:
        return "it selects from other than the candidates alone"
    if table["sample"] or table["at_clause"] or table["column_name_alias"] or node["sample"]:
        return "it samples or renames the candidates"
    if node["group_expressions"] or node["having"] or node["qualify"]:
        return "it groups or ranks rows"
    if odd := [m["type"].removesuffix("_MODIFIER") for m in node["modifiers"] if m["type"] != "ORDER_MODIFIER"]:
        return f"it has a {odd[0]}"
    if not any(c["class"] == "COLUMN_REF" and c["column_names"][-1] == "trace_id" for c in node["select_list"]):
        return "it returns no plain trace_id"
    return None


def _conjuncts(where: Tree | None) -> list[Tree]:
    if where is None:
        return []
    if where["type"] == "CONJUNCTION_AND":
        return [part for child in where["children"] for part in _conjuncts(child)]
    return [where]


def _condition(
    con: duckdb.DuckDBPyConnection, part: Tree, sql: str, alias: str, params: Mapping[str, Any]
) -> Condition:
    text, nodes = _written(con, part, sql), list(_nodes(part))
    alone = not any(n.get("class") == "SUBQUERY" for n in nodes)
    columns = [n["column_names"] for n in nodes if n.get("class") == "COLUMN_REF"]
    for names in columns:
        if alone and len(names) > 1 and names[0] == alias:
            del names[0]  # c.grade and grade are one condition
    used = {str(n.get("function_name", "")).lower() for n in nodes if n.get("class") == "FUNCTION"}
    columns += [[c] for name in sorted(used & macros.texts().keys()) for c in _columns_of(name)]
    rebuilt = _rebuilt(con, part)
    return Condition(
        _told(text or rebuilt, params),
        rebuilt,
        _told(rebuilt, params),
        tuple(dict.fromkeys(names[0] for names in columns)),
        alone,
    )


@cache
def _columns_of(macro: str) -> tuple[str, ...]:
    """Return the columns that a macro reads of whatever row it is used on; its text names them, its user does not."""
    import duckdb

    head, _, body = macros.texts()[macro].partition(" AS\n")
    given = set(re.findall(r"\w+", head.rpartition("(")[2]))
    with duckdb.connect() as con:
        nodes = _nodes(_tree(con, f"SELECT {body}"))
        names = [n["column_names"][0] for n in nodes if n.get("class") == "COLUMN_REF"]
    return tuple(dict.fromkeys(name for name in names if name not in given))


def _written(con: duckdb.DuckDBPyConnection, part: Tree, sql: str) -> str | None:
    """Return the author's own words of a condition, if what stands there does parse to it; places are in bytes."""
    import duckdb

    spans = [(n["query_location"], n["query_location_length"]) for n in _nodes(part) if "query_location" in n]
    spans = [(start, start + length) for start, length in spans if start < len(sql.encode())]
    if not spans:
        return None
    words = sql.encode()[min(s for s, _ in spans) : max(e for _, e in spans)].decode("utf-8", "replace")
    for text in (words, f"{words})"):  # the bracket that ends a list or a call stands outside of its last part
        try:
            again = _tree(con, f"SELECT {text}")
            if _bare(again["statements"][0]["node"]["select_list"]) == _bare([part]):
                return " ".join(text.split())
        except (duckdb.Error, LookupError):
            continue
    return None


def _rebuilt(con: duckdb.DuckDBPyConnection, part: Tree) -> str:
    tree = _tree(con, "SELECT 1")
    tree["statements"][0]["node"]["select_list"] = [part]
    text = con.execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)]).fetchall()[0][0]
    return text.removeprefix("SELECT ")


def _told(text: str, params: Mapping[str, Any]) -> str:
    """Return a condition with the values of its parameters in the place of their names."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in params:
            return found[0]
        given = params[name]
        return "'" + given.replace("'", "''") + "'" if isinstance(given, str) else json.dumps(given)

    return re.sub(r"'(?:[^']|'')*'|\$(\w+)", value, text)


def _nodes(tree: Any) -> Iterator[Tree]:
    if isinstance(tree, dict):
        yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(branch)


def _bare(tree: Any) -> Any:
    """Return a tree without the places in the text."""
    if isinstance(tree, list):
        return [_bare(branch) for branch in tree]
    if isinstance(tree, dict):
        return {k: _bare(v) for k, v in tree.items() if not k.startswith("query_location")}
    return tree
