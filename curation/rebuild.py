"""Rebuild: write a version again from the store as it was, and prove that it is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from curation import folders, named
from curation.errors import SynthpertError, VersionError
from curation.printing import shown
from curation.prompting import Prompt
from curation.recipes import Recipe
from curation.runs import code_version
from curation.store import Store
from curation.versions import Content, content, write


class Rebuilt(NamedTuple):
    """What a rebuild wrote; `identical`: to the byte, else `differs` names the files whose rows or words are the same
    in other bytes (another version of a library wrote them)."""

    name: str
    version: str
    out: str
    row_hash: str
    rows: list[dict[str, Any]]  # split, side, n
    identical: bool
    differs: list[str]

    def __repr__(self) -> str:
        return shown(self)


def rebuild(store: Store, ref: str, *, out: Path | str | None = None) -> Rebuilt:
    """Write a version again, from the recipe, the prompt and the store's state that its manifest names.

    Args:
        store: the store that it was built from, or a copy; whatever came into it since does not matter.
        ref: NAME@VERSION; NAME alone means the newest.
        out: the folder to write, ./NAME-VERSION by default; it must be empty or not there.

    Raises:
        VersionError: no such version, a part of the store as it was is missing, or the rows are no longer the same.
    """
    held = named.find(store, ref)
    known = json.loads(held.get("manifest") or "{}")
    if not known:
        raise VersionError(f"{ref}: recorded by an older synthpert, without the manifest that a rebuild starts from")
    name, version = held["name"], held["version"]
    place = folders.check(store, Path(out or f"{name}-{version}"))
    found = _content(store, ref, known)
    if found.hash != known["row_hash"]:
        raise VersionError(f"{ref}: other rows come out now than then: {_why(known)}; nothing written")
    facts = {key: value for key, value in known.items() if key not in ("files", "prompts")}
    made = write(store, place, found, facts)
    differs = sorted(f for f in known["files"].keys() | made["files"] if known["files"].get(f) != made["files"].get(f))
    return Rebuilt(name, version, str(place), found.hash, found.rows, not differs, differs)


def _content(store: Store, ref: str, known: dict[str, Any]) -> Content:
    params = known["recipe"]["params"]
    recipe = Recipe(**{key: value for key, value in known["recipe"].items() if key != "params"})
    try:
        splits = dict.fromkeys(row["split"] for row in known["rows"])  # a version may be older than the newest split
        return content(store, recipe, Prompt(**known["prompt"]), known["store"], params, splits)
    except VersionError:
        raise
    except SynthpertError as e:
        raise VersionError(f"{ref}: the store as it was cannot be read: {e}") from e


def _why(known: dict[str, Any]) -> str:
    """Return what may be behind other rows."""
    if known["code"] != code_version():
        return f"synthpert {known['code']} built it, and this is {code_version()}"
    return "its tables were changed by another hand"
