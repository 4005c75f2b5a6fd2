"""Versions by name: which there are, and which one is meant by NAME, NAME@latest or NAME@1.2.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from curation.errors import VersionError
from curation.store import Store

LATEST = "latest"


def number(version: str) -> tuple[int, ...]:
    """Return a semantic version as what it is ordered by."""
    return tuple(int(n) for n in version.split("."))


def held(store: Store, name: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of `versions`, of one dataset or all, by name and from the lowest version to the highest."""
    # publishing writes a row of its own, and a version was made when it was built
    found = store.rows(
        """
        SELECT versions.* REPLACE (first.created AS created) FROM versions
        JOIN (SELECT version_id, min(created) AS created FROM raw.versions GROUP BY ALL) AS first USING (version_id)
        WHERE name = $name OR $name IS NULL
        """,
        {"name": name},
    )
    return sorted(found, key=lambda v: (v["name"], number(v["version"])))


def listed(store: Store) -> list[dict[str, Any]]:
    """Return each version: name, version, recipe, params (NAME=VALUE, as for --set), rows (all splits and sides),
    row_hash, created, and where it was published last: published_to, commit_sha.

    Raises:
        VersionError: there is none yet.
    """
    columns = ("name", "version", "recipe", "params", "rows", "row_hash", "created", "published_to", "commit_sha")
    found = [{c: v[c] for c in columns} | {"params": _params(v["params"])} for v in held(store)]
    if not found:
        raise VersionError(f"{store.place}: no versions yet; `synthpert build RECIPE --name NAME` makes one")
    return found


def _params(text: str | None) -> str:
    return " ".join(f"{name}={value}" for name, value in json.loads(text or "{}").items())


def find(store: Store, ref: str) -> dict[str, Any]:
    """Return the row of the version that is meant.

    Args:
        store: the store.
        ref: NAME@VERSION; NAME@latest and NAME alone mean the newest.

    Raises:
        VersionError: there is no such dataset or version; the nearest is named.
    """
    name, _, version = ref.partition("@")
    known = held(store, name)
    if not known:
        raise VersionError(f"{ref}: no dataset is called {name!r}{_near(name, [v['name'] for v in held(store)])}")
    if version in ("", LATEST):
        return known[-1]
    match = [v for v in known if v["version"] == version]
    if not match:
        raise VersionError(f"{ref}: {name} has no such version{_near(version, [v['version'] for v in known])}")
    return match[0]


def commit(store: Store, version: Mapping[str, Any], repo: str) -> str | None:
    """Return the commit that a version last went to a repository as; None if this store has not published it there."""
    found = store.rows(
        """
        SELECT max_by(commit_sha, created) AS commit_sha FROM raw.versions
        WHERE version_id = $version_id AND published_to = $repo
        """,
        {"version_id": version["version_id"], "repo": repo},
    )
    return found[0]["commit_sha"]


def _near(word: str, among: list[str]) -> str:
    if not among:
        return "; this store has no versions yet"
    near = get_close_matches(word, dict.fromkeys(among), n=1, cutoff=0.4) or [among[-1]]
    return f"; the nearest is {near[0]} (`synthpert versions` lists them)"
