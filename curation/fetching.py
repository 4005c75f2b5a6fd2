"""Fetch: a version from the Hub into a folder, once each file and all rows are what its manifest says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curation import folders, hub
from curation.errors import BadInput, HubError
from curation.hub import AGAIN, Say
from curation.printing import shown
from curation.published import MANIFEST, ON_HUB
from curation.versions import VERSION

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class Fetched(NamedTuple):
    """A version that was fetched: every one of its `files` has the sha256 of the manifest, its rows the hash there."""

    repo: str
    revision: str
    commit: str
    name: str
    version: str
    out: str
    files: int
    bytes: int
    rows: int
    row_hash: str
    left_out: list[str]  # files of the repository that are no part of the version

    def __repr__(self) -> str:
        return shown(self)


def fetch(
    ref: str, *, out: Path | str | None = None, api: HfApi | None = None, say: Say = lambda line: None
) -> Fetched:
    """Fetch a version into a folder; it stands there whole and verified, or not at all.

    Args:
        ref: ORG/REPO@REVISION, where a revision is a tag such as v1.2.0, or a commit.
        out: the folder to write, ./NAME-VERSION by default; it must be empty or not there.
        api: the Hub's client, by default `hub.client()`.
        say: told how far it is.

    Raises:
        BadInput: `ref` is no such name.
        VersionError: the folder holds something.
        HubError: the Hub does not hand it out, it is no version, or its files or rows are not what its manifest says.
    """
    if not (asked := ON_HUB.fullmatch(ref)):
        raise BadInput(f"{ref}: wanted ORG/REPO@REVISION, such as org/traces@v1.0.0")
    repo, revision = asked["repo"], asked["revision"]
    api = api or hub.client()
    with hub.speaking(api, ref):
        info: Any = api.repo_info(repo, repo_type="dataset", revision=revision)
    sha = str(info.sha)
    manifest = _check(ref, revision, hub.manifest(api, repo, sha))
    place = folders.free(Path(out or f"{manifest['name']}-{manifest['version']}"))
    # named by the commit: what a stopped fetch left is taken up by the same command, and by no other
    partial = place.with_name(f".{place.name}.{sha[:12]}.partial")
    _download(api, repo, sha, [*manifest["files"], MANIFEST], partial, say)
    size = sum(f.stat().st_size for f in partial.rglob("*") if f.is_file())
    try:
        _verify(ref, partial, manifest)
    except HubError:
        shutil.rmtree(partial)
        raise
    if place.exists():
        place.rmdir()
    partial.rename(place)
    kept = manifest["files"].keys() | {MANIFEST}
    others = sorted(f.rfilename for f in info.siblings or () if f.rfilename not in kept)
    rows = sum(r["n"] for r in manifest["rows"])
    return Fetched(
        repo, revision, sha, manifest["name"], manifest["version"], str(place), len(manifest["files"]), size, rows,
        manifest["row_hash"], others,
    )  # fmt: skip


def _check(ref: str, revision: str, manifest: dict[str, Any] | None) -> dict[str, Any]:
    """Return the manifest of the version that was asked for."""
    if manifest is None:
        raise HubError(f"{ref}: holds no {MANIFEST} of a version, as `synthpert publish` writes it")
    if re.fullmatch(f"v{VERSION.pattern}", revision) and revision != f"v{manifest['version']}":
        what = f"{manifest['name']} {manifest['version']}"
        raise HubError(f"{ref}: the tag stands on {what}: somebody moved it; nothing was fetched")
    return manifest


def _download(api: HfApi, repo: str, sha: str, files: list[str], partial: Path, say: Say) -> None:
    stays = f"what came so far is in {partial}; {AGAIN}"
    for n, name in enumerate(sorted(files), 1):
        try:
            with hub.speaking(api, f"{repo}, {name}"):
                api.hf_hub_download(repo, name, repo_type="dataset", revision=sha, local_dir=partial)
        except OSError as e:  # of this machine's disk
            raise HubError(f"{partial}: {e.strerror or e}; {stays}") from e
        say(f"{repo}: fetched {n} of {len(files)} files")
    shutil.rmtree(partial / ".cache", ignore_errors=True)  # the client's own notes


def _verify(ref: str, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Hold the files and the rows of a folder against a manifest."""
    found = folders.digests(folder)
    if differs := [name for name, digest in manifest["files"].items() if found.get(name) != digest]:
        raise HubError(f"{ref}: {differs[0]} is not the file that {MANIFEST} names (sha256); nothing was kept")
    try:
        rows = folders.rows_of(folder, manifest)
    except BadInput as e:
        raise HubError(f"{ref}: {e}; nothing was kept") from e
    if rows.hash != manifest["row_hash"]:
        raise HubError(
            f"{ref}: its rows have the hash {rows.hash[:12]}, and {MANIFEST} says "
            f"{manifest['row_hash'][:12]}; nothing was kept"
        )
    if differs := [(n, told["n"]) for n, told in zip(rows.counts, manifest["rows"], strict=True) if n != told]:
        n, told = differs[0]
        raise HubError(
            f"{ref}: {n['split']}, {n['side']}: {n['n']:,} rows, and {MANIFEST} says {told:,}; nothing was kept"
        )
