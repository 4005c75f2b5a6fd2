"""Recipes: one SQL file each, that selects what a dataset holds. Shipped here; a user's own is named by its path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from curation import views
from curation.apart import answer_recipe
from curation.errors import RecipeError, RefusedSQL, Unsteady
from curation.locked import check
from curation.recipes import candidates
from curation.recipes.parameters import GIVEN, Parameter, Value, about, bind, declared, known, nearest
from curation.recipes.places import at_clause, at_name, refused
from curation.store import Snapshot, Store

if TYPE_CHECKING:
    import duckdb

SECONDS = 600.0  # a recipe may take longer than a question
SOURCES = {
    "trace_id": "SELECT trace_id, example_id, answer = label AS fits, simulated FROM narrowed WHERE split = $split",
    "example_id": "SELECT NULL::VARCHAR AS trace_id, example_id, true AS fits, false AS simulated "
    "FROM splits WHERE split = $split AND side = 'train'",
}
FILTERS = ("WHERE", "HAVING", "QUALIFY", "LIMIT")


class Recipe(NamedTuple):
    """A recipe's name, its text, what its leading comment says, and the file that an error names."""

    name: str
    sql: str
    about: str
    file: str = ""

    @property
    def place(self) -> str:
        """Return the file that an error names."""
        return self.file or f"{self.name}.sql"

    @property
    def own(self) -> bool:
        """Tell whether it is the user's, and not word for word one that is shipped."""
        return self.name not in shipped() or self.sql != load(self.name).sql

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters it declares; RecipeError if a declaration is none."""
        return declared(self.sql, self.place)


def load(name: str) -> Recipe:
    """Return a shipped recipe by name, or a user's own by the path of its .sql file.

    Raises:
        RecipeError: there is none, or it is no UTF-8 text.
    """
    own = Path(name)
    try:
        if own.suffix == ".sql":
            return _recipe(own.stem, own.read_text("utf-8"), name)
        return _recipe(name, (resources.files("curation") / "recipes" / f"{name}.sql").read_text("utf-8"))
    except FileNotFoundError as e:
        raise RecipeError(f"{name}: no such recipe; shipped are {', '.join(shipped())}, own ones end in .sql") from e
    except (UnicodeDecodeError, OSError) as e:
        raise RecipeError(f"{name}: {e}") from e


def _recipe(name: str, sql: str, file: str = "") -> Recipe:
    return Recipe(name, sql, about(sql), file)


def shipped() -> list[str]:
    """Return the names of the recipes that come with synthpert."""
    return sorted(f.name[:-4] for f in (resources.files("curation") / "recipes").iterdir() if f.name[-4:] == ".sql")


def own(folder: Path) -> list[str]:
    """Return the paths of the .sql files in a folder and in its folder `recipes`, as `load` takes them."""
    return [
        f.relative_to(folder).as_posix() for place in (folder, folder / "recipes") for f in sorted(place.glob("*.sql"))
    ]


def listed(folder: Path) -> list[dict[str, Any]]:
    """Return the shipped recipes and a folder's own, a row each.

    Returns:
        recipe (what a build takes), shipped, about, parameters [{name, default, about}], problem (why it cannot be
        used, else null: a file that is no recipe hides none of the others).
    """
    return [_row(name, name in shipped()) for name in [*shipped(), *own(folder)]]


def _row(name: str, is_shipped: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"recipe": name, "shipped": is_shipped, "about": "", "parameters": [], "problem": None}
    try:
        recipe = load(name)
        found["about"] = recipe.about
        found["parameters"] = [
            {"name": p.name, "default": p.default, "about": p.about} for p in recipe.parameters().values()
        ]
    except RecipeError as e:
        found["problem"] = str(e)
    return found


def values(recipe: Recipe, given: Mapping[str, object] | None = None) -> dict[str, Value]:
    """Return the value that each of a recipe's parameters has in a build: what is given, else its default.

    Raises:
        RecipeError: a parameter that it does not declare, or a value of another type.
    """
    return bind(recipe.parameters(), given, recipe.place)


def preload(store: Store, names: Iterable[str], at: Snapshot) -> None:
    """Read at once the candidates' columns that several shipped recipes use, as each of them is about to be run."""
    used = (candidates.used(store, r.sql, {**values(r), GIVEN: ""}) for r in map(load, names))
    candidates.table(store, at, frozenset().union(*used))


def choose(
    store: Store, recipe: Recipe, splits: Iterable[str], at: Snapshot, params: Mapping[str, object] | None = None
) -> dict[str, pa.Table]:
    """Run a recipe for each of these splits; returns trace_id (null for rows without reasoning), example_id, weight.

    Raises:
        RecipeError: it does not run, selects nothing, the same row twice, or a row that no dataset may hold.
    """
    given = values(recipe, params)
    _check_used(recipe)
    asked = _asked(store, recipe, list(splits), at, given)
    with store.session(at, views.needed("splits")) as con:
        return {split: _chosen(store, con, recipe, split, at, found) for split, found in asked.items()}


def _chosen(
    store: Store, con: duckdb.DuckDBPyConnection, recipe: Recipe, split: str, at: Snapshot, found: pa.Table
) -> pa.Table:
    key = next((c for c in ("trace_id", "example_id") if c in found.column_names), None)
    if key is None:
        returned = ", ".join(found.column_names)
        raise at_clause(recipe.place, recipe.sql, f"it returns {returned}; wanted trace_id or example_id")
    if not found.num_rows:
        said = f"it selects nothing for the split {split}"
        raise at_clause(recipe.place, recipe.sql, said, "FROM", *FILTERS)
    con.register("found", _plain(recipe, key, found))
    con.register("narrowed", candidates.table(store, at if key == "trace_id" else {}))
    return _checked(con, recipe, split, key)


def _check_used(recipe: Recipe) -> None:
    """Each $name must be declared, and each that is declared be used: a misspelt one is never a silent default."""
    try:
        used = {name.lower() for name in check(recipe.sql).named_parameters}
    except RefusedSQL as e:
        raise refused(recipe.place, recipe.sql, e) from e
    parameters = recipe.parameters()
    for name in sorted(used - parameters.keys() - {GIVEN}):
        said = f"${name} is not declared{nearest(name, parameters)}; {known(parameters)} (-- ${name} = 500: what it is)"
        raise at_name(recipe.place, recipe.sql, name, said)
    for p in parameters.values():
        if p.name not in used:
            raise RecipeError(f"{recipe.place}:{p.line}: ${p.name} is declared and never used")


def _asked(
    store: Store, recipe: Recipe, splits: list[str], at: Snapshot, given: Mapping[str, object]
) -> dict[str, pa.Table]:
    """Return what a recipe returns for each split, which must be the same when it is asked again."""
    try:
        if recipe.own:
            return answer_recipe(store, recipe.sql, given, splits, at, SECONDS)
        answered = partial(candidates.answered, store, recipe.sql)  # what is shipped is known to end
        return {split: answered({**given, GIVEN: split}, split, at, SECONDS) for split in splits}
    except Unsteady as e:
        said = f"{e.said}; instead of random() or LIMIT without ORDER BY, order by sha256(trace_id)"
        raise at_clause(recipe.place, recipe.sql, said, "FROM", "ORDER", "LIMIT") from e
    except RefusedSQL as e:
        raise refused(recipe.place, recipe.sql, e, _columns(store, recipe.sql)) from e


def _columns(store: Store, sql: str) -> set[str]:
    """Return the columns of the views that a recipe names."""
    words = set(re.findall(r"\w+", sql))
    with store.session({}) as con:  # no tables: the columns are the same, and nothing is read
        return {c for view in views.texts().keys() & words for c in con.sql(f"FROM {view}").columns}


def _plain(recipe: Recipe, key: str, found: pa.Table) -> pa.Table:
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
        raise at_clause(recipe.place, recipe.sql, f"{key} must be text and weight a number ({e})") from e


def _checked(con: duckdb.DuckDBPyConnection, recipe: Recipe, split: str, key: str) -> pa.Table:
    """Join the ids of `found` to what they name, and stop at the first that a dataset may not hold."""
    sql = f"""
        SELECT f.id, f.weight, s.example_id, s.trace_id, s.fits, s.simulated, count(*) OVER (PARTITION BY f.id) AS times
        FROM found AS f LEFT JOIN ({SOURCES[key]}) AS s ON s.{key} = f.id ORDER BY f.id
    """
    rows = con.sql(sql, params={"split": split}).to_arrow_table()
    con.register("joined", rows)
    wrong: Mapping[str, tuple[str, str]] = {
        "id IS NULL": ("rows without an id", "SELECT"),
        "times > 1": ("rows more than once", "FROM"),
        "example_id IS NULL": (f"rows that are no candidate of the split {split}'s train side", "FROM"),
        "NOT fits": ("traces whose answer is not the measured label (add: AND answer = label)", "WHERE"),
        "weight IS NULL OR NOT isfinite(weight) OR weight < 0": ("rows whose weight is no number from 0", "SELECT"),
    }
    for condition, (what, clause) in wrong.items():
        bad = con.execute(f"SELECT count(*), min(id) FROM joined WHERE {condition}").fetchall()[0]
        if bad[0]:
            said = f"it selects {bad[0]} {what}" + (f", first {bad[1]}" if bad[1] else "")
            raise at_clause(recipe.place, recipe.sql, said, clause)
    simulated = con.execute("SELECT count(*) FILTER (simulated), count(*) FROM joined").fetchall()[0]
    if 0 < simulated[0] < simulated[1]:
        said = f"{simulated[0]} of the {simulated[1]} rows it selects are simulated"
        raise at_clause(
            recipe.place, recipe.sql, f"{said}; a dataset is one or the other (add: AND NOT simulated)", "WHERE"
        )
    return rows.select(["trace_id", "example_id", "weight"])
