"""A version's folder: Parquet files by split and side, the card, and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import BadInput, VersionError
from curation.published import MANIFEST
from curation.reviews import rows_hash
from curation.rows import SIDES, Config, row_hash
from curation.store import Store

SHARD_ROWS = 100_000
GROUP_ROWS = 10_000
WRITERS = 4  # shards at once: each is a few hundred megabytes
CARD = "README.md"
# the Hub's viewer reads single pages, and keeps what two versions share between such cuts once
FOR_THE_HUB = {"write_page_index": True, "use_content_defined_chunking": True}


class File(NamedTuple):
    """One file of a version: its sha256, and its size in bytes."""

    sha256: str
    size: int


class Rows(NamedTuple):
    """The rows of a version: the hash of all of them, as `versions.content` makes it, and split, side, n as counted."""

    hash: str
    counts: list[dict[str, Any]]


def check(store: Store, out: Path) -> Path:
    """Return a folder that may be written to.

    Raises:
        VersionError: it lies in the store, is a file, or holds something.
    """
    if not store.remote and out.resolve().is_relative_to(Path(store.place).resolve()):
        raise VersionError(f"--out {out}: this lies inside the store, which holds tables alone")
    return free(out)


def free(out: Path) -> Path:
    """Return a folder that is empty or not there.

    Raises:
        VersionError: it is a file, or holds something.
    """
    if out.exists() and not out.is_dir():
        raise VersionError(f"--out {out}: this is a file")
    if out.resolve().name != out.name:
        raise VersionError(f"--out {out}: give the folder itself, by its own name")
    if out.is_dir() and any(out.iterdir()):
        raise VersionError(f"--out {out}: this folder is not empty; remove it or name another")
    return out


def write(
    out: Path,
    configs: Sequence[Config],
    annotations: pa.Table | None,
    texts: Callable[[Mapping[str, File]], Mapping[str, str]],
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Write a version beside its folder and move it into place when it is whole.

    Args:
        out: the folder; empty or not there.
        configs: the rows.
        annotations: what experts said of them; None: nothing.
        texts: what is said of them, by file name, given the Parquet files by path.
        facts: the manifest, but for its files.

    Returns:
        The manifest.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for config in configs:
            for side in SIDES:
                _write_shards(partial / config.split, side, config.sides[side])
        if annotations is not None:
            _write_shards(partial / "annotations", "train", annotations)
        held = files(partial)
        for name, words in texts(held).items():
            (partial / name).write_text(words, "utf-8")
            held[name] = File(hashlib.sha256(words.encode()).hexdigest(), len(words.encode()))
        told = {**facts, "files": {name: file.sha256 for name, file in sorted(held.items())}}
        (partial / MANIFEST).write_text(text(told), "utf-8")
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return told


def text(manifest: dict[str, Any]) -> str:
    """Return a manifest as it stands in its file."""
    return json.dumps(manifest, indent=2, sort_keys=True) + "\n"


def read(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder whose files are all as it says; None if it has none, or they are not."""
    try:
        found = json.loads((folder / MANIFEST).read_text("utf-8"))
        return found if isinstance(found, dict) and found.get("files") == digests(folder) else None
    except (OSError, ValueError):
        return None


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a version's folder but the manifest, by its path in there."""
    return {name: file.sha256 for name, file in files(folder).items()}


def files(folder: Path) -> dict[str, File]:
    """Return each file of a version's folder but the manifest, by its path in there."""
    found = {}
    for file in sorted(f for f in folder.rglob("*") if f.is_file() and f.name != MANIFEST):
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        found[file.relative_to(folder).as_posix()] = File(digest, file.stat().st_size)
    return found


def rows_of(folder: Path, manifest: Mapping[str, Any]) -> Rows:
    """Return the rows of a version's folder, worked out from its Parquet, whose digests are those of the manifest.

    Raises:
        BadInput: a file is no Parquet, or holds what no row does.
    """
    hashes, counts, names = [], [], sorted(manifest["files"])
    for split in dict.fromkeys(row["split"] for row in manifest["rows"]):
        sides = {side: _table(folder, [n for n in names if n.startswith(f"{split}/{side}-")]) for side in SIDES}
        with _legible(split):
            hashes.append(row_hash(sides))
        counts += [{"split": split, "side": side, "n": sides[side].num_rows} for side in SIDES]
    if said := [name for name in names if name.startswith("annotations/")]:
        with _legible("annotations"):
            hashes.append(rows_hash(_table(folder, said).to_pylist()))
    return Rows(hashlib.sha256("\n".join(hashes).encode()).hexdigest(), counts)


def _table(folder: Path, names: Sequence[str]) -> pa.Table:
    shards = []
    for name in names:
        with _legible(name):
            shards.append(pq.read_table(folder / name, partitioning=None))
    with _legible(names[0]):
        return pa.concat_tables(shards)


@contextmanager
def _legible(what: str) -> Iterator[None]:
    """Turn what goes wrong with Parquet that another hand wrote into one line."""
    try:
        yield
    except (pa.ArrowException, OSError, TypeError, ValueError) as e:
        raise BadInput(f"{what}: found no rows of a version ({str(e).splitlines()[0]}), wanted its Parquet") from e


def _write_shards(folder: Path, side: str, rows: pa.Table) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shards = max(1, -(-rows.num_rows // SHARD_ROWS))

    def shard(i: int) -> None:
        # one chunk, one call, one plan of row groups: the bytes depend on these
        part = rows.slice(i * SHARD_ROWS, SHARD_ROWS).combine_chunks()
        file = folder / f"{side}-{i:05}-of-{shards:05}.parquet"
        pq.write_table(
            part,
            file,
            compression="zstd",
            row_group_size=GROUP_ROWS,
            write_page_index=True,
            use_content_defined_chunking=True,
        )

    with ThreadPoolExecutor(min(WRITERS, os.cpu_count() or 1)) as pool:
        list(pool.map(shard, range(shards)))
