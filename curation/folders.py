"""A version's folder: Parquet files by split and side, the card, and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.errors import VersionError
from curation.published import MANIFEST
from curation.rows import SIDES, Config
from curation.store import Store

SHARD_ROWS = 100_000
GROUP_ROWS = 10_000
WRITERS = 4  # shards at once: each is a few hundred megabytes
CARD = "README.md"


def check(store: Store, out: Path) -> Path:
    """Return a folder that may be written to.

    Raises:
        VersionError: it lies in the store, is a file, or holds something.
    """
    if not store.remote and out.resolve().is_relative_to(Path(store.place).resolve()):
        raise VersionError(f"--out {out}: this lies inside the store, which holds tables alone")
    if out.exists() and not out.is_dir():
        raise VersionError(f"--out {out}: this is a file")
    if out.resolve().name != out.name:
        raise VersionError(f"--out {out}: give the folder itself, by its own name")
    if out.is_dir() and any(out.iterdir()):
        raise VersionError(f"--out {out}: this folder is not empty; remove it or name another")
    return out


def write(
    out: Path, configs: Sequence[Config], annotations: pa.Table | None, card: str, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write a version beside its folder and move it into place when it is whole.

    Args:
        out: the folder; empty or not there.
        configs: the rows.
        annotations: what experts said of them; None: nothing.
        card: the text of its README.md.
        facts: the manifest, but for what only the files tell.

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
        (partial / CARD).write_text(card, "utf-8")
        told = {**facts, "files": digests(partial), "prompts": _prompt_hashes(configs)}
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
    return {
        f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if f.is_file() and f.name != MANIFEST
    }


def _write_shards(folder: Path, side: str, rows: pa.Table) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shards = max(1, -(-rows.num_rows // SHARD_ROWS))

    def shard(i: int) -> None:
        # one chunk, one call, one plan of row groups: the bytes depend on these
        part = rows.slice(i * SHARD_ROWS, SHARD_ROWS).combine_chunks()
        file = folder / f"{side}-{i:05}-of-{shards:05}.parquet"
        pq.write_table(part, file, compression="zstd", row_group_size=GROUP_ROWS, write_page_index=True)

    with ThreadPoolExecutor(min(WRITERS, os.cpu_count() or 1)) as pool:
        list(pool.map(shard, range(shards)))


def _prompt_hashes(configs: Sequence[Config]) -> dict[str, list[str]]:
    """Return the versions of the prompts that made the rows."""
    found: dict[str, set[str]] = {"generator": set(), "critic": set()}
    for config in configs:
        for side in ("train", "validation"):
            rows = config.sides[side]
            found["generator"] |= set(pc.unique(rows["generator_prompt"]).to_pylist())
            found["critic"] |= {c.rsplit("@", 1)[1] for c in pc.unique(rows["critic"]).to_pylist() if c}
    return {kind: sorted(v for v in values if v) for kind, values in found.items()}
