"""A published dataset, read from its folder or from the Hub at a revision: what is trained on and scored against."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import BadInput

MANIFEST = "manifest.json"
AT_ONCE = 500  # rows of a batch
KEYS = {"name", "version", "row_hash", "rows", "files"}  # what a manifest holds at least
ON_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)")


class Published(NamedTuple):
    """One version of a dataset on this machine. `commit` is that of the Hub, None where it was read from a folder."""

    ref: str
    path: Path
    manifest: dict[str, Any]
    commit: str | None = None

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.manifest["name"]

    @property
    def version(self) -> str:
        """Its version."""
        return self.manifest["version"]

    @property
    def row_hash(self) -> str:
        """The hash of its rows: two versions with one hash hold the same."""
        return self.manifest["row_hash"]

    @property
    def splits(self) -> list[str]:
        """The splits that it has."""
        return list(dict.fromkeys(row["split"] for row in self.manifest["rows"]))

    def table(self, split: str, side: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of one side of a split, in the order of the files.

        The Parquet is read here, and not by `load_dataset`, which caches a folder under its name and so may hand out
        yesterday's rows.

        Raises:
            BadInput: no such split or side, or a file is not the one that the manifest vouches for.
        """
        return pa.concat_tables(pq.read_table(file, columns=columns) for file in self.files(split, side))

    def batches(self, split: str, side: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the same rows some at a time, for what must not hold them all."""
        for file in self.files(split, side):
            with pq.ParquetFile(file) as rows:
                yield from rows.iter_batches(batch_size=AT_ONCE, columns=columns)

    def files(self, split: str, side: str) -> list[Path]:
        """Return the Parquet files of one side of a split, each checked.

        Raises:
            BadInput: as `table`.
        """
        if split not in self.splits:
            raise BadInput(f"--split {split}: {self.ref} has {', '.join(self.splits)}")
        files = [name for name in sorted(self.manifest["files"]) if name.startswith(f"{split}/{side}-")]
        if not files:
            raise BadInput(f"{self.ref}: the split {split} has no side {side!r}; wanted train, validation or test")
        return [self._whole(name) for name in files]

    def _whole(self, name: str) -> Path:
        """Return the path of a file, if it is what the manifest says."""
        file = self.path / name
        try:
            with open(file, "rb") as data:
                found = hashlib.file_digest(data, "sha256").hexdigest()
        except OSError as e:
            raise BadInput.at(file, str(e.strerror), f"the file that {MANIFEST} names") from e
        if found != (wanted := self.manifest["files"][name]):
            raise BadInput.at(file, f"sha256 {found[:12]}", f"{wanted[:12]}, as {MANIFEST} says; it was changed or cut")
        return file


def open_dataset(ref: str) -> Published:
    """Open a version of a dataset.

    Args:
        ref: the folder that `build` wrote, or ORG/REPO@REVISION on the Hub, where a revision is a tag such as v1.2.0.

    Raises:
        BadInput: neither, no version of a dataset, or the Hub does not hand it out.
    """
    if (folder := Path(ref)).is_dir():
        return Published(ref, folder, _manifest(folder))
    if found := ON_HUB.fullmatch(ref):
        folder = _fetch(**found.groupdict())
        return Published(ref, folder, _manifest(folder), commit=folder.name)
    hint = "; name its revision as well, such as @v1.0.0" if re.fullmatch(r"[\w.-]+/[\w.-]+", ref) else ""
    raise BadInput(f"{ref}: found no such folder, wanted a version's folder or ORG/REPO@REVISION{hint}")


def _manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    wanted = "the folder of a version, as `synthpert build` writes it"
    try:
        found = json.loads(file.read_text("utf-8"))
    except OSError as e:
        raise BadInput.at(file, str(e.strerror), wanted) from e
    except ValueError as e:
        raise BadInput.at(file, f"no JSON ({e})", wanted) from e
    if missing := KEYS - set(found if isinstance(found, dict) else ()):
        raise BadInput.at(file, f"no {', '.join(sorted(missing))}", wanted)
    return found


def _fetch(repo: str, revision: str) -> Path:
    """Return the folder of a dataset of the Hub, fetched if it is not in the Hub's cache on this machine."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import HfHubHTTPError, disable_progress_bars

    disable_progress_bars()
    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision))
    except (HfHubHTTPError, HFValidationError, OSError) as e:  # no network and offline mode are OSErrors
        raise BadInput(f"{repo}@{revision}: the Hub does not hand it out: {_first_line(e)}") from e


def _first_line(e: Exception) -> str:
    """Return what an error says, without the advice that the Hub's client adds below."""
    return next((line.strip() for line in str(e).splitlines() if line.strip()), type(e).__name__)
