"""Findings: what another room's command measured of a version, noted in the store so that its card can tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from curation import named
from curation.published import Published
from curation.runs import run
from curation.schema import TABLES, content_id, now
from curation.store import Store


def holds(store: Store, dataset: Published) -> bool:
    """Return whether a dataset is a version of this store: the same name, number and rows."""
    held = named.held(store, dataset.name)
    return any((v["version"], v["row_hash"]) == (dataset.version, dataset.row_hash) for v in held)


def note(store: Store, dataset: Published, room: str, finding: str, by_split: Mapping[str, Mapping[str, Any]]) -> None:
    """Note what was found of a version.

    Args:
        store: a store that holds it.
        dataset: the version.
        room: who measured it.
        finding: what was measured.
        by_split: split -> values that JSON can hold.
    """
    about = {"name": dataset.name, "version": dataset.version, "room": room, "finding": finding}
    with run(store, finding, about) as this:
        rows = [
            {
                "finding_id": content_id(*about.values(), split),
                **about,
                "split": split,
                "value": json.dumps(value, sort_keys=True, ensure_ascii=False),
                "run_id": this.id,
                "created": now(),
            }
            for split, value in by_split.items()
        ]
        store.append("findings", pa.Table.from_pylist(rows, TABLES["findings"].schema))


def found(store: Store, name: str, version: str, finding: str) -> dict[str, dict[str, Any]]:
    """Return the latest finding of a kind about a version: split -> its values; empty if there is none."""
    rows = store.rows(
        "SELECT split, value FROM findings WHERE (name, version, finding) = ($name, $version, $finding) ORDER BY split",
        {"name": name, "version": version, "finding": finding},
    )
    return {r["split"]: json.loads(r["value"]) for r in rows}
