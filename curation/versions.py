"""Build: a recipe applied to the store at one point in time, written as a Hugging Face dataset with a manifest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation import cards, folders, named, recipes
from curation.errors import VersionError
from curation.locks import lock
from curation.printing import shown
from curation.prompting import Prompt, load
from curation.reviews import Review, review
from curation.rows import SCHEMA, SIDES, Config, published, row_hash
from curation.runs import code_version, run
from curation.schema import TABLES, content_id, now
from curation.selection import SPLITS
from curation.store import Snapshot, Store
from curation.tallies import learned, made_by

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
VERSION = re.compile(r"(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}")


class Built(NamedTuple):
    """What a build wrote, or, with `written` false, found to be there already under this version."""

    name: str
    version: str
    out: str | None  # null if nothing was written
    row_hash: str
    rows: list[dict[str, Any]]  # split, side, n
    written: bool

    def __repr__(self) -> str:
        return shown(self)


def build(
    store: Store,
    recipe: str,
    name: str,
    *,
    out: Path | str | None = None,
    version: str | None = None,
    prompts: Path | None = None,
    params: Mapping[str, object] | None = None,
) -> Built:
    """Write the next version of a dataset; the same store and recipe give the same Parquet bytes.

    Args:
        store: the store, read at its present state.
        recipe: name of a shipped recipe, or path of an own .sql file.
        name: name of the dataset.
        out: the folder to write, ./NAME-VERSION by default; it must be empty or not there.
        version: a semantic version; by default the next patch if the rows alone differ from the newest version's,
            the next minor one for another recipe, the next major one for other columns. If the newest version has
            the same recipe and rows nothing is written, unless a version is given.
        prompts: a folder of the user's own prompt files.
        params: values of the recipe's parameters, for those that are not to have their defaults.

    Raises:
        RecipeError: the recipe selects what a dataset cannot hold.
        VersionError: the name, version or folder will not do.
    """
    _check_names(name, version)
    with lock(store.journals / f"build-{name}.lock") as alone:
        if not alone:
            raise VersionError(f"another build of {name} is running; wait for its end")
        return _build(store, recipe, name, out, version, prompts, params)


def _build(
    store: Store,
    recipe: str,
    name: str,
    out: Path | str | None,
    version: str | None,
    prompts: Path | None,
    params: Mapping[str, object] | None,
) -> Built:
    chosen, standard = recipes.load(recipe), load("standard", prompts)
    values = recipes.values(chosen, params)
    at = store.snapshot()
    held = named.held(store, name)
    _check_version(held, name, version)
    found = content(store, chosen, standard, at, values)
    newest = held[-1] if held else {}
    same = (newest.get("row_hash"), newest.get("recipe_sql"), newest.get("params"))
    if version is None and same == (found.hash, chosen.sql, _canonical(values)):
        return Built(name, newest["version"], None, found.hash, found.rows, False)
    number = version or _next(newest, chosen, values)
    place = Path(out or f"{name}-{number}")
    facts = {
        "name": name,
        "version": number,
        "recipe": {"name": chosen.name, "about": chosen.about, "sql": chosen.sql, "params": values},
        "row_hash": found.hash,
        "columns": _columns(),
        "store": at,
        "prompt": standard._asdict(),
        "code": code_version(),
        "writer": f"pyarrow {pa.__version__}",
        "rows": found.rows,
        "previous": newest.get("version"),
        "annotations": found.review.rows.num_rows if found.review else 0,
        "created": now().isoformat(timespec="seconds"),
    }
    args = {"recipe": chosen.name, "name": name, "version": number}
    with run(store, "build", args | ({"set": [f"{k}={v}" for k, v in values.items()]} if values else {})) as this:
        manifest = _left_behind(place, facts) or write(store, folders.check(store, place), found, facts)
        _record(store, found.configs, manifest, this.id)
    return Built(name, number, str(place), found.hash, found.rows, True)


class Content(NamedTuple):
    """What is in a version: rows by split and side, how many (split, side, n), what experts said of them; the hash."""

    configs: list[Config]
    rows: list[dict[str, Any]]
    review: Review | None
    hash: str


def content(
    store: Store,
    recipe: recipes.Recipe,
    standard: Prompt,
    at: Snapshot,
    params: Mapping[str, object],
    splits: Iterable[str] = SPLITS,
) -> Content:
    """Return what a recipe makes of the store as it was at a snapshot; `splits` are those that the version has.

    Raises:
        RecipeError: the recipe selects what a dataset cannot hold.
    """
    chosen = recipes.choose(store, recipe, splits, at, params)
    configs = [Config(split, sides, row_hash(sides)) for split, sides in published(store, chosen, standard, at).items()]
    rows = [{"split": c.split, "side": side, "n": c.sides[side].num_rows} for c in configs for side in SIDES]
    found = review(store, learned(configs)["trace_id"].drop_null().to_pylist(), at)
    hashes = [c.hash for c in configs] + ([found.hash] if found else [])
    return Content(configs, rows, found, hashlib.sha256("\n".join(hashes).encode()).hexdigest())


def write(store: Store, out: Path, found: Content, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the folder of a version; returns its manifest."""
    told = {**facts, "prompts": made_by(found.configs)}
    texts = partial(cards.at_building, store, found.configs, found.review, told)
    return folders.write(out, found.configs, found.review.rows if found.review else None, texts, told)


def _columns() -> dict[str, str]:
    return {field.name: str(field.type) for field in SCHEMA}


def _check_names(name: str, version: str | None) -> None:
    if not NAME.fullmatch(name):
        raise VersionError(f"--name {name!r}: letters, digits, '.', '_' and '-', at most 96")
    if version is not None and not VERSION.fullmatch(version):
        raise VersionError(f"--version {version!r}: a semantic version such as 1.0.0")


def _next(newest: dict[str, Any], recipe: recipes.Recipe, params: Mapping[str, object]) -> str:
    """Propose a version: other columns are a major step, another recipe is a minor one, other rows are a patch."""
    if not newest:
        return "1.0.0"
    major, minor, patch = named.number(newest["version"])
    columns = json.loads(newest.get("manifest") or "{}").get("columns")
    if columns is not None and columns != _columns():
        return f"{major + 1}.0.0"
    if (newest["recipe_sql"], newest["params"]) != (recipe.sql, _canonical(params)):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def _check_version(held: list[dict[str, Any]], name: str, version: str | None) -> None:
    if version in {v["version"] for v in held}:
        raise VersionError(f"{name} {version} exists; a version never changes, so give another by --version")


def _left_behind(out: Path, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Return the manifest of a folder that a build wrote whole and was killed before it could say so."""
    found = folders.read(out) or {}
    same = ("name", "version", "row_hash", "recipe", "columns", "prompt")
    return found if found and all(found.get(key) == facts[key] for key in same) else None


def _canonical(params: Mapping[str, object]) -> str:
    return json.dumps(params, sort_keys=True, ensure_ascii=False)


def _record(store: Store, configs: list[Config], manifest: dict[str, Any], run_id: str) -> None:
    """Write the version and its members to the store."""
    name, version, created = manifest["name"], manifest["version"], now()
    for config in configs:
        for side in ("train", "validation"):
            store.append("members", _members(config, side, name, version, run_id))
    row = {
        "version_id": content_id(name, version),
        "name": name,
        "version": version,
        "recipe": manifest["recipe"]["name"],
        "recipe_sql": manifest["recipe"]["sql"],
        "params": _canonical(manifest["recipe"]["params"]),
        "tables": json.dumps(manifest["store"], sort_keys=True),
        "row_hash": manifest["row_hash"],
        "rows": sum(r["n"] for r in manifest["rows"]),
        "run_id": run_id,
        "manifest": json.dumps(manifest, sort_keys=True),
        "created": created,
    }
    store.append("versions", pa.Table.from_pylist([row], TABLES["versions"].schema))


def _members(config: Config, side: str, name: str, version: str, run_id: str) -> pa.Table:
    rows = config.sides[side]
    ids = pc.coalesce(rows["trace_id"], rows["example_id"]).to_pylist()
    n = rows.num_rows
    columns = {
        "member_id": pa.array([content_id(name, version, config.split, i) for i in ids]),
        "name": pa.repeat(name, n),
        "version": pa.repeat(version, n),
        "split": pa.repeat(config.split, n),
        "side": pa.repeat(side, n),
        "trace_id": rows["trace_id"],
        "example_id": rows["example_id"],
        "weight": rows["weight"],
        "run_id": pa.repeat(run_id, n),
        "created": pa.repeat(pa.scalar(now(), TABLES["members"].schema.field("created").type), n),
    }
    return pa.table(columns).cast(TABLES["members"].schema)
