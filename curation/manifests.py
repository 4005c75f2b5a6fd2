"""Manifests from elsewhere: what one must be before anything in it is believed, as its names become paths here."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from curation.rows import SIDES
from curation.versions import NAME, VERSION

DIGEST = re.compile(r"[0-9a-f]{64}")
PATH = re.compile(r"\w[\w.-]{0,99}(/\w[\w.-]{0,99})*", re.A)  # no part begins with a dot, so that none leads out


def unsound(manifest: dict[str, Any]) -> str | None:
    """Return the key of a manifest under which something else stands than in one that `build` writes; None if none."""
    for key, pattern in {"name": NAME, "version": VERSION, "row_hash": DIGEST}.items():
        if not _is(pattern, manifest.get(key)):
            return key
    if not _are_files(manifest.get("files")):
        return "files"
    return None if _are_rows(manifest.get("rows"), manifest["files"]) else "rows"


def _is(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _are_files(found: Any) -> bool:
    """Tell whether this is a sha256 for each path."""
    return isinstance(found, dict) and all(_is(PATH, name) and _is(DIGEST, digest) for name, digest in found.items())


def _are_rows(found: Any, files: dict[str, str]) -> bool:
    """Tell whether these are counts of each side of each split, in their order, and all have their files."""
    if not isinstance(found, list) or not all(isinstance(row, dict) and _is(PATH, row.get("split")) for row in found):
        return False
    splits = dict.fromkeys(row["split"] for row in found)
    return (
        [(row["split"], row.get("side")) for row in found] == [*product(splits, SIDES)]
        and all(type(row.get("n")) is int and row["n"] >= 0 for row in found)
        and all(any(f.startswith(f"{split}/{side}-") for f in files) for split, side in product(splits, SIDES))
    )
