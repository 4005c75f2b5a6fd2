"""Build: a recipe applied to the store at one point in time, written as a Hugging Face dataset with a manifest."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import cards, recipes
from curation.errors import VersionError
from curation.prompting import Prompt, load
from curation.rows import SIDES, Config, published, row_hash
from curation.runs import code_version, run
from curation.schema import TABLES, content_id, now
from curation.selection import SPLITS
from curation.store import Store, lock

SHARD_ROWS = 100_000
GROUP_ROWS = 10_000
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


def build(
    store: Store,
    recipe: str,
    name: str,
    *,
    out: Path | None = None,
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
        version: a semantic version; by default the next minor one. If the newest version has the same recipe
            and rows nothing is written, unless a version is given.
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
    out: Path | None,
    version: str | None,
    prompts: Path | None,
    params: Mapping[str, object] | None,
) -> Built:
    chosen_recipe, standard = recipes.load(recipe), load("standard", prompts)
    values = recipes.values(chosen_recipe, params)
    at = store.snapshot()
    held = _held(store, name)
    number = version or _next(held)
    place = _check_out(store, out or Path(f"{name}-{number}"))
    _check_version(held, name, number)
    configs = [_config(store, chosen_recipe, split, standard, at, values) for split in SPLITS]
    total = hashlib.sha256("\n".join(c.hash for c in configs).encode()).hexdigest()
    rows = [{"split": c.split, "side": side, "n": c.sides[side].num_rows} for c in configs for side in SIDES]
    newest = held[-1] if held else {}
    same = (newest.get("row_hash"), newest.get("recipe_sql"), newest.get("params"))
    if version is None and same == (total, chosen_recipe.sql, _canonical(values)):
        return Built(name, newest["version"], None, total, rows, False)
    args = {"recipe": chosen_recipe.name, "name": name, "version": number}
    with run(store, "build", args | ({"set": [f"{k}={v}" for k, v in values.items()]} if values else {})) as this:
        facts = {
            "name": name,
            "version": number,
            "recipe": {
                "name": chosen_recipe.name,
                "about": chosen_recipe.about,
                "sql": chosen_recipe.sql,
                "params": values,
            },
            "row_hash": total,
            "store": at,
            "prompt": {"name": "standard", "hash": standard.hash},
            "code": code_version(),
            "rows": rows,
            "created": now().isoformat(timespec="seconds"),
        }
        _write_folder(store, place, configs, facts)
        _record(store, configs, facts, this.id)
    return Built(name, number, str(place), total, rows, True)


def _check_names(name: str, version: str | None) -> None:
    if not NAME.fullmatch(name):
        raise VersionError(f"--name {name!r}: letters, digits, '.', '_' and '-', at most 96")
    if version is not None and not VERSION.fullmatch(version):
        raise VersionError(f"--version {version!r}: a semantic version such as 1.0.0")


def _held(store: Store, name: str) -> list[dict[str, Any]]:
    """Return the versions of a dataset, from the lowest to the highest."""
    found = store.rows("SELECT * FROM versions WHERE name = $name", {"name": name})
    return sorted(found, key=lambda v: _number(v["version"]))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in version.split("."))


def _next(held: list[dict[str, Any]]) -> str:
    if not held:
        return "1.0.0"
    major, minor, _ = _number(held[-1]["version"])
    return f"{major}.{minor + 1}.0"


def _check_version(held: list[dict[str, Any]], name: str, version: str) -> None:
    if version in {v["version"] for v in held}:
        raise VersionError(f"{name} {version} exists; a version never changes, so give another by --version")


def _check_out(store: Store, out: Path) -> Path:
    if not store.remote and out.resolve().is_relative_to(Path(store.place).resolve()):
        raise VersionError(f"--out {out}: this lies inside the store, which holds tables alone")
    if out.exists() and not out.is_dir():
        raise VersionError(f"--out {out}: this is a file")
    if out.resolve().name != out.name:
        raise VersionError(f"--out {out}: give the folder itself, by its own name")
    if out.is_dir() and any(out.iterdir()):
        raise VersionError(f"--out {out}: this folder is not empty; remove it or name another")
    return out


def _config(
    store: Store,
    recipe: recipes.Recipe,
    split: str,
    standard: Prompt,
    at: Mapping[str, int],
    params: Mapping[str, object],
) -> Config:
    sides = published(store, recipes.choose(store, recipe, split, at, params), split, standard, at)
    return Config(split, sides, row_hash(sides))


def _canonical(params: Mapping[str, object]) -> str:
    return json.dumps(params, sort_keys=True, ensure_ascii=False)


def _write_folder(store: Store, out: Path, configs: list[Config], facts: dict[str, Any]) -> None:
    """Write beside the folder and move it into place when it is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for config in configs:
            for side in SIDES:
                _write_shards(partial / config.split, side, config.sides[side])
        (partial / "README.md").write_text(cards.dataset_card(store, configs, facts), "utf-8")
        facts["files"] = {
            f.relative_to(partial).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in sorted(partial.rglob("*"))
            if f.is_file()
        }
        facts["prompts"] = _prompt_hashes(configs)
        (partial / "manifest.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", "utf-8")
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_shards(folder: Path, side: str, rows: pa.Table) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shards = max(1, -(-rows.num_rows // SHARD_ROWS))
    for i in range(shards):
        # one chunk, one call, one plan of row groups: the bytes depend on these
        part = rows.slice(i * SHARD_ROWS, SHARD_ROWS).combine_chunks()
        file = folder / f"{side}-{i:05}-of-{shards:05}.parquet"
        pq.write_table(part, file, compression="zstd", row_group_size=GROUP_ROWS, write_page_index=True)


def _prompt_hashes(configs: list[Config]) -> dict[str, list[str]]:
    """Return the versions of the prompts that made the rows."""
    found: dict[str, set[str]] = {"generator": set(), "critic": set()}
    for config in configs:
        for side in ("train", "validation"):
            rows = config.sides[side]
            found["generator"] |= set(pc.unique(rows["generator_prompt"]).to_pylist())
            found["critic"] |= {c.rsplit("@", 1)[1] for c in pc.unique(rows["critic"]).to_pylist() if c}
    return {k: sorted(h for h in v if h) for k, v in found.items()}


def _record(store: Store, configs: list[Config], facts: dict[str, Any], run_id: str) -> None:
    """Write the version and its members to the store."""
    name, version, created = facts["name"], facts["version"], now()
    for config in configs:
        for side in ("train", "validation"):
            store.append("members", _members(config, side, name, version, run_id))
    row = {
        "version_id": content_id(name, version),
        "name": name,
        "version": version,
        "recipe": facts["recipe"]["name"],
        "recipe_sql": facts["recipe"]["sql"],
        "params": _canonical(facts["recipe"]["params"]),
        "tables": json.dumps(facts["store"], sort_keys=True),
        "row_hash": facts["row_hash"],
        "rows": sum(r["n"] for r in facts["rows"]),
        "run_id": run_id,
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
