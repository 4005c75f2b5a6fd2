"""Parcels: the files of a version as they go out, and what may hold them back."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import annotators, cards, folders, licences, secrets
from curation.errors import BadInput, SecretFound, VersionError
from curation.published import MANIFEST
from curation.rebuild import rebuild
from curation.schema import REHEARSAL
from curation.store import Store

RECIPE = "recipe.sql"
WRITTEN = {cards.CARD, cards.CROISSANT}  # anew with each publication


class Parcel(NamedTuple):
    """A version as it goes out: each path there with the file here or its content, and what is told of its rows."""

    manifest: dict[str, Any]
    files: dict[str, Path | bytes]
    licences: list[str]
    simulated: bool


@contextmanager
def packed(store: Store, held: dict[str, Any], folder: Path | None, repo: str) -> Iterator[Parcel]:
    """Yield a version packed for a repository: its Parquet as built, card, recipe, and the manifest of all these.

    Args:
        store: the store.
        held: the version's row there.
        folder: where it was built, ./NAME-VERSION by default; where that is not there it is made again from the
            store, for the while of the block.
        repo: ORG/REPO, for the card.

    Raises:
        VersionError: the folder is not that version, was changed since, or a text of it names an annotator.
    """
    name, version = held["name"], held["version"]
    place = folder or Path(f"{name}-{version}")
    with tempfile.TemporaryDirectory() as elsewhere:
        if folder is None and not place.exists():
            place = Path(rebuild(store, f"{name}@{version}", out=Path(elsewhere) / place.name).out)
        yield _pack(store, place, _checked(place, held), repo)


def _checked(place: Path, held: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of a folder that is this version by the store's own copy of it, not by its word alone."""
    known, found = json.loads(held["manifest"] or "{}"), folders.read(place)
    again = f"remove it, and {held['name']} {held['version']} is made again from the store"
    if not known:
        raise VersionError(
            f"{held['name']} {held['version']}: an older synthpert recorded no manifest of it; build the next version"
        )
    if found is None:
        raise VersionError(f"{place}: its files are not those that its {MANIFEST} names; {again}")
    keys = dict.fromkeys(("name", "version", *known, *found))
    if differs := [k for k in keys if k != "files" and found.get(k) != known.get(k)]:
        raise VersionError(f"{place}: {differs[0]!r} in its {MANIFEST} is not what the store has; {again}")
    differs = sorted({f for f, _ in found["files"].items() ^ known["files"].items()} - WRITTEN)
    if differs and (found["files"].keys() != known["files"].keys() or _rows_differ(place, found)):
        raise VersionError(f"{place}: {differs[0]} is not as it was built; {again}")
    return found


def _rows_differ(place: Path, manifest: dict[str, Any]) -> bool:
    """Tell whether a folder has other rows than its manifest says, and not the same in another writer's bytes."""
    try:
        return folders.rows_of(place, manifest).hash != manifest["row_hash"]
    except BadInput:
        return True


def _pack(store: Store, place: Path, manifest: dict[str, Any], repo: str) -> Parcel:
    fresh = {name: text.encode() for name, text in _texts(store, place, manifest, repo).items()}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in fresh.items()}
    manifest = manifest | {"files": dict(sorted((manifest["files"] | digests).items()))}
    files: dict[str, Path | bytes] = {name: fresh.get(name, place / name) for name in manifest["files"]}
    files[MANIFEST] = folders.text(manifest).encode()
    annotators.check(store, files)
    rows = [p for name, p in files.items() if isinstance(p, Path) and _is_rows(name, manifest)]
    licences = {v for p in rows for v in _distinct(p, "licence")}
    sources = {v for p in rows for v in _distinct(p, "source")}
    simulated = REHEARSAL in sources or any(pc.any(pq.read_table(p, columns=["simulated"])[0]).as_py() for p in rows)
    return Parcel(manifest, files, sorted(licences), simulated)


def _texts(store: Store, place: Path, manifest: dict[str, Any], repo: str) -> dict[str, str]:
    """Return the texts that go out in the place of the folder's own, or beside them."""
    told = cards.at_publishing(store, manifest["name"], manifest["version"], place, repo)
    return told | {RECIPE: manifest["recipe"]["sql"]}


def _is_rows(name: str, manifest: dict[str, Any]) -> bool:
    return name.endswith(".parquet") and name.split("/")[0] in {r["split"] for r in manifest["rows"]}


def _distinct(file: Path, column: str) -> list[str]:
    return [v or "unknown" for v in pq.read_table(file, columns=[column])[column].unique().to_pylist()]


def allow(parcel: Parcel, allow_simulated: bool, accepted: Collection[str]) -> None:
    """Let a parcel go out, or say what holds it back.

    Args:
        parcel: what is to go out.
        allow_simulated: whether it may hold what a rehearsal made.
        accepted: the licences that whoever publishes accepts, by name; those free for any use need no word.

    Raises:
        VersionError: it is simulated, or under another licence, and nobody allowed that; or it names an annotator.
        SecretFound: a text in it has the shape of a key.
    """
    what = f"{parcel.manifest['name']} {parcel.manifest['version']}"
    if parcel.simulated and not allow_simulated:
        raise VersionError(f"{what}: a rehearsal made part of it; --allow-simulated publishes it, marked as simulated")
    names = {name for row in parcel.licences for name in licences.of(row)} - set(accepted)
    if asked := [name for name in sorted(names) if not licences.free(name)]:
        raise VersionError(
            f"{what}: not known to be free for any use: licence {', '.join(asked)}; read what it allows, and "
            f"{' '.join(f'--accept-licence {name!r}' for name in asked)} accepts it"
        )
    for name, source in parcel.files.items():
        if name.startswith("annotations/") and isinstance(source, Path):
            _check_pseudonyms(name, source)
    if found := next(_secrets(parcel), None):
        raise SecretFound(f"{found}; exclude that trace or mend that text, and build again: nothing was published")


def _secrets(parcel: Parcel) -> Iterator[secrets.Found]:
    for name, source in sorted(parcel.files.items()):
        if isinstance(source, bytes):
            yield from secrets.in_text(name, source.decode())
        elif name.endswith(".parquet"):
            yield from secrets.in_parquet(name, source)
        else:
            yield from secrets.in_text(name, source.read_text("utf-8"))


def _check_pseudonyms(name: str, file: Path) -> None:
    named = pq.read_table(file, columns=["annotator"])["annotator"]
    if not pc.all(pc.match_substring_regex(named, annotators.PSEUDONYM)).as_py():
        raise VersionError(f"{name}, column annotator: found a name, wanted pseudonyms such as annotator-1 alone")
