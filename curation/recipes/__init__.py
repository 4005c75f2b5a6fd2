"""Recipes: one SQL file each, that selects what a dataset holds. Shipped here; a user's own is named by its path."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curation import views
from curation.errors import RecipeError, RefusedSQL
from curation.locked import ask, locked
from curation.store import Snapshot, Store

SECONDS = 600.0  # a recipe may take longer than a question


class Recipe(NamedTuple):
    """A recipe's name, its text, and what its first comment says."""

    name: str
    sql: str
    about: str


def load(name: str) -> Recipe:
    """Return a shipped recipe by name, or a user's own by the path of its .sql file.

    Raises:
        RecipeError: there is none, or it is no UTF-8 text.
    """
    own = Path(name)
    try:
        if own.suffix == ".sql":
            sql, name = own.read_text("utf-8"), own.stem
        else:
            sql = (resources.files("curation") / "recipes" / f"{name}.sql").read_text("utf-8")
    except FileNotFoundError as e:
        raise RecipeError(f"{name}: no such recipe; shipped are {', '.join(shipped())}, own ones end in .sql") from e
    except (UnicodeDecodeError, OSError) as e:
        raise RecipeError(f"{name}: {e}") from e
    comment = [line.removeprefix("--").strip() for line in sql.splitlines() if line.startswith("--")]
    return Recipe(name, sql, " ".join(comment))


def shipped() -> list[str]:
    """Return the names of the recipes that come with synthpert."""
    return sorted(f.name[:-4] for f in (resources.files("curation") / "recipes").iterdir() if f.name[-4:] == ".sql")


def choose(store: Store, recipe: Recipe, split: str, at: Snapshot) -> pa.Table:
    """Run a recipe for one split; returns trace_id (null for rows without reasoning), example_id, weight.

    Raises:
        RecipeError: it does not run, selects nothing, the same row twice, or a row that no dataset may hold.
    """
    one_split = f"SELECT * FROM ({views.texts()['candidates']}) WHERE split = '{split}'"
    with locked(store, at, {"candidates": one_split}) as con:
        try:
            found, again = (ask(con, recipe.sql, {"split": split}, seconds=SECONDS) for _ in range(2))
        except RefusedSQL as e:
            raise RecipeError(f"recipe {recipe.name}: {e}") from e
    if _sorted(found) != _sorted(again):
        raise RecipeError(
            f"recipe {recipe.name}: it selects other rows each time; instead of random() or LIMIT without ORDER BY, "
            "order by sha256(trace_id)"
        )
    key = next((c for c in ("trace_id", "example_id") if c in found.column_names), None)
    if key is None:
        raise RecipeError(
            f"recipe {recipe.name}: it returns {', '.join(found.column_names)}; wanted trace_id or example_id"
        )
    if not found.num_rows:
        raise RecipeError(f"recipe {recipe.name}: it selects nothing for the split {split}")
    return _checked(store, recipe.name, split, at, key, _plain(recipe.name, key, found))


def _sorted(found: pa.Table) -> list[str]:
    return sorted(map(str, found.to_pylist()))


def _plain(name: str, key: str, found: pa.Table) -> pa.Table:
    """Return the two columns that count, with their types."""
    try:
        weight = found["weight"].cast(pa.float64()) if "weight" in found.column_names else None
        return pa.table(
            {
                "id": found[key].cast(pa.string()),
                "weight": weight if weight is not None else pa.array([1.0] * found.num_rows),
            }
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        raise RecipeError(f"recipe {name}: {key} must be text and weight a number ({e})") from e


def _checked(store: Store, name: str, split: str, at: Snapshot, key: str, found: pa.Table) -> pa.Table:
    """Join the ids to what they name, and stop at the first that a dataset may not hold."""
    sources = {
        "trace_id": """(SELECT trace_id, example_id, answer = label AS fits, simulated FROM candidates
                        WHERE split = $split)""",
        "example_id": """(SELECT NULL::VARCHAR AS trace_id, example_id, true AS fits, false AS simulated FROM splits
                          WHERE split = $split AND side = 'train')""",
    }
    sql = f"""
        SELECT f.id, f.weight, s.example_id, s.trace_id, s.fits, s.simulated, count(*) OVER (PARTITION BY f.id) AS times
        FROM found AS f LEFT JOIN {sources[key]} AS s ON s.{key} = f.id ORDER BY f.id
    """
    with store.session(at) as con:
        con.register("found", found)
        rows = con.sql(sql, params={"split": split}).to_arrow_table()
        con.register("joined", rows)
        wrong: Mapping[str, str] = {
            "id IS NULL": "rows without an id",
            "times > 1": "rows more than once",
            "example_id IS NULL": f"rows that are no candidate of the split {split}'s train side",
            "NOT fits": "traces whose answer is not the measured label (add: AND answer = label)",
            "weight IS NULL OR NOT isfinite(weight) OR weight < 0": "rows whose weight is no number from 0",
        }
        for condition, what in wrong.items():
            bad = con.execute(f"SELECT count(*), min(id) FROM joined WHERE {condition}").fetchall()[0]
            if bad[0]:
                raise RecipeError(f"recipe {name}: it selects {bad[0]} {what}, first {bad[1]}")
        simulated = con.execute("SELECT count(*) FILTER (simulated), count(*) FROM joined").fetchall()[0]
    if 0 < simulated[0] < simulated[1]:
        raise RecipeError(
            f"recipe {name}: {simulated[0]} of the {simulated[1]} rows it selects are simulated; "
            "a dataset is one or the other (add: AND NOT simulated)"
        )
    return rows.select(["trace_id", "example_id", "weight"])
