"""Publish: a version to the Hub as one commit and one tag, or nothing; and the store told where it went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from curation import hub, named, parcels
from curation.errors import HubError
from curation.hub import Head, Say
from curation.parcels import Parcel
from curation.printing import shown
from curation.published import MANIFEST
from curation.runs import run
from curation.schema import TABLES, now
from curation.store import Store

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class Publication(NamedTuple):
    """What went where; `state`: published, there (it was so already), or dry-run (nothing was sent)."""

    name: str
    version: str
    repo: str
    tag: str
    commit: str | None  # null in a dry run
    public: bool
    licences: list[str]
    simulated: bool
    state: str
    files: list[dict[str, Any]]  # file, bytes

    def __repr__(self) -> str:
        return shown(self)


def publish(
    store: Store,
    ref: str,
    repo: str,
    *,
    folder: Path | None = None,
    public: bool = False,
    dry_run: bool = False,
    allow_simulated: bool = False,
    accept_licences: Sequence[str] = (),
    api: HfApi | None = None,
    say: Say = lambda line: None,
) -> Publication:
    """Publish a version: its files in one commit, then the tag vX.Y.Z; done again, what is missing is done.

    Args:
        store: the store that holds the version; it is told the repository and the commit.
        ref: NAME@VERSION; NAME alone means the newest.
        repo: ORG/REPO; made, and private, if it is not there.
        folder: where the version was built, ./NAME-VERSION by default; made again from the store if not there.
        public: let everybody see the repository, once all is in it.
        dry_run: send nothing, ask nothing.
        allow_simulated: publish what a rehearsal made.
        accept_licences: licences that are accepted, by name, of those not known to be free for any use.
        api: the Hub's client, by default `hub.client()`.
        say: told how far it is.

    Raises:
        BadInput: ORG/REPO is no name.
        VersionError: no such version, a folder that is not as it was built, or something that nobody allowed.
        SecretFound: a text has the shape of a key.
        HubError: the Hub cannot be reached, does not take it, or holds something else there.
    """
    hub.check_name(repo)
    held = named.find(store, ref)
    with parcels.packed(store, held, folder, repo) as parcel:
        parcels.allow(parcel, allow_simulated, accept_licences)
        told = Publication(
            held["name"], held["version"], repo, f"v{held['version']}", None, public, parcel.licences,
            parcel.simulated, "dry-run", hub.listed(parcel.files),
        )  # fmt: skip
        if dry_run:
            return told
        args = {"version": f"{held['name']}@{held['version']}", "repo": repo} | ({"public": True} if public else {})
        with run(store, "publish", args) as this:
            done = _send(api or hub.client(), parcel, told, named.commit(store, held, repo), say)
            _record(store, held, done, this.id)
    return done


def _send(api: HfApi, parcel: Parcel, told: Publication, known: str | None, say: Say) -> Publication:
    """Bring a repository to where it holds the version; returns what had to be done.

    `known`: the commit that the store says it was published there as.
    """
    repo, tag = told.repo, told.tag
    user = hub.writer(api)
    head = hub.head(api, repo)
    if head and tag in head.tags:
        sha, state = _same(api, told, head.tags[tag], known, parcel.manifest), "there"
    else:
        head = head or hub.create(api, repo)
        say(f"publishing to {repo} as {user}")
        stale = _stale(api, head, parcel, told)
        sha = hub.commit(api, repo, parcel.files, stale, head.sha, f"{told.name} {told.version}", say=say)
        hub.tag(api, repo, tag, sha)
        state = "published"
    if told.public and head.private:
        hub.make_public(api, repo)
    return told._replace(commit=sha, state=state, public=told.public or not head.private)


def _same(api: HfApi, told: Publication, sha: str, known: str | None, manifest: dict[str, Any]) -> str:
    """Return the commit of a tag, if it holds this version: the manifest there is believed in nothing."""
    if known not in (None, sha):
        raise HubError(
            f"{told.repo}: somebody moved the tag {told.tag}: it stands on the commit {sha}, and this version was "
            f"published as {known}; have it set back, or build the next version"
        )
    found = hub.manifest(api, told.repo, sha) or {}
    # the store vouches for a commit that it knows; any other holds these rows to the byte, or other ones
    ours = {} if known else {n: d for n, d in manifest["files"].items() if n not in parcels.WRITTEN}
    holds = _holds(found, manifest)
    if not holds and not (other := hub.differing(api, told.repo, sha, found["files"] | ours)):
        return sha
    holds = holds or f"{told.name} {told.version} with another {other}"
    raise HubError(
        f"{told.repo}: the tag {told.tag} is taken: its commit {sha[:12]} holds {holds}; a version never changes, "
        "so build the next one or name another repository"
    )


def _holds(found: dict[str, Any], manifest: dict[str, Any]) -> str:
    """Return what a repository holds by its own manifest; empty if that says it is this version."""
    if not found:
        return "no version of a dataset"
    holds = f"{found['name']} {found['version']}"
    if holds != f"{manifest['name']} {manifest['version']}":
        return holds
    if found["row_hash"] != manifest["row_hash"]:
        return f"{holds} of other rows"
    differs = sorted(k for k in found.keys() | manifest if k != "files" and found.get(k) != manifest.get(k))
    return f"{holds} with another {differs[0]!r} in its {MANIFEST}" if differs else ""


def _stale(api: HfApi, head: Head, parcel: Parcel, told: Publication) -> list[str]:
    """Return what is to be taken out of a repository, if the version may follow on what it holds."""
    repo, before = told.repo, hub.manifest(api, told.repo, head.sha) or {}
    if not head.private and not told.public:
        raise HubError(f"{repo}: this repository is public; --public publishes to it")
    foreign = [f for f in head.files if not hub.EMPTY.fullmatch(f)]
    if not before and foreign:
        raise HubError(f"{repo}: holds {foreign[0]} and no version of a dataset; name another repository")
    if before and before["name"] != told.name:
        raise HubError(f"{repo}: holds the dataset {before['name']}; {told.name} needs a repository of its own")
    if before and named.number(before["version"]) > named.number(told.version):
        raise HubError(f"{repo}: holds {told.name} {before['version']}, and {told.version} is older")
    if before.get("version") == told.version and before["row_hash"] != parcel.manifest["row_hash"]:
        raise HubError(f"{repo}: holds a {told.name} {told.version} of other rows; build the next version")
    known = before.get("files", {}).keys()
    return sorted(f for f in head.files if f not in parcel.files and (f in known or f.endswith(".parquet")))


def _record(store: Store, held: dict[str, Any], done: Publication, run_id: str) -> None:
    """Tell the store where the version went, as the newest row of it."""
    told = {"published_to": done.repo, "commit_sha": done.commit}
    if told.items() <= held.items():
        return
    row = held | told | {"run_id": run_id, "created": now()}
    store.append("versions", pa.Table.from_pylist([row], TABLES["versions"].schema))
