"""Sources: the files that an import reads, each with the name and digest that its rows carry as their origin."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from curation.errors import BadInput
from curation.importing.records import READERS

ON_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
ASIDE = {"annotations"}  # what experts said of a version's rows is no row of it


class Source(NamedTuple):
    """One file: where it lies, its name without this machine's folders, and its sha256 or its repository's commit."""

    file: Path
    name: str
    digest: str


def find(ref: str, split: str) -> list[Source]:
    """Return the files of a source.

    Args:
        ref: a CSV, JSONL or Parquet file, a folder of such, or ORG/REPO[@REVISION] on the Hub.
        split: of a dataset that has a folder of this name, only the files in there are read.

    Raises:
        BadInput: none of these, no such file in it, or the Hub does not hand it out.
    """
    if (path := Path(ref)).is_file():
        return [_file(path, path.name)]
    if path.is_dir():
        name = path.resolve().name
        return [_file(f, f"{name}/{f.relative_to(path).as_posix()}") for f in _files(path, ref, split)]
    if found := ON_HUB.fullmatch(ref):
        folder = _fetch(ref, **found.groupdict())
        files = _files(folder, ref, split)
        return [Source(f, f"{found['repo']}/{f.relative_to(folder).as_posix()}", folder.name) for f in files]
    raise BadInput(f"{ref}: found no such file or folder, wanted one, or ORG/REPO[@REVISION] on the Hub")


def _file(path: Path, name: str) -> Source:
    if path.suffix.lower() not in READERS:
        raise BadInput(f"{path}: found the ending {path.suffix!r}, wanted one of {', '.join(READERS)}")
    with open(path, "rb") as data:
        return Source(path, name, hashlib.file_digest(data, "sha256").hexdigest())


def _files(folder: Path, ref: str, split: str) -> list[Path]:
    inside = folder / split if (folder / split).is_dir() else folder
    for ending in READERS:
        found = sorted(f for f in inside.rglob(f"*{ending}") if not ASIDE & set(f.relative_to(inside).parts[:-1]))
        if found:
            return found
    raise BadInput(f"{ref}: found no {', '.join(READERS)} file in it, wanted a dataset of traces")


def _fetch(ref: str, repo: str, revision: str | None) -> Path:
    """Return the folder of a dataset of the Hub, named by its commit, fetched if the Hub's cache has it not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import HfHubHTTPError, disable_progress_bars

    disable_progress_bars()
    patterns = [f"*{ending}" for ending in READERS]
    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, OSError) as e:  # no network and offline mode are OSErrors
        said = next((line.strip() for line in str(e).splitlines() if line.strip()), type(e).__name__)
        raise BadInput(f"{ref}: no such file or folder, and the Hub does not hand it out: {said}") from e
