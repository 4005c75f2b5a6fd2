"""The Hub: one client, a commit that lands whole or not at all, and one line for whatever goes wrong on the way.

Why not `push_to_hub` or `upload_folder`: they commit config by config or in batches, and let nobody pin the parent
of all of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from curation.errors import BadInput, HubError
from curation.manifests import unsound
from curation.published import KEYS, MANIFEST

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Say = Callable[[str], None]
Kind = Literal["dataset", "model"]
AT_ONCE = 8  # files sent together: enough to fill a line, and few enough to tell how far it is
REPO = re.compile(r"[\w.-]+/[\w.-]+")
# what a repository may hold before anything of ours comes: what the Hub's own form makes
EMPTY = re.compile(r"\.git\w+|README\.md|LICEN[CS]E(\.\w+)?", re.I)
AGAIN = "the same command goes on from here"
STALE = f"somebody else committed there in the meantime; nothing was changed: look at it, and {AGAIN}"


class Head(NamedTuple):
    """A repository as it is: the newest commit of its main branch, the files there, and the tags."""

    sha: str
    private: bool
    files: Sequence[str]
    tags: Mapping[str, str]


def client() -> HfApi:
    """Return the Hub's client: HF_ENDPOINT and HF_TOKEN say where and as whom, else what `hf auth login` left."""
    from huggingface_hub import HfApi

    return HfApi(library_name="synthpert")


def check_name(repo: str) -> None:
    """Hold a repository's name against ORG/REPO.

    Raises:
        BadInput: it is no such name.
    """
    if not REPO.fullmatch(repo):
        raise BadInput(f"{repo}: no name for a repository; wanted ORG/REPO")


@contextmanager
def speaking(api: HfApi, place: str) -> Iterator[None]:
    """Turn what the Hub or the way there does into one line about a place, such as ORG/REPO@v1.0.0.

    Raises:
        HubError: for each of these.
    """
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )
    from huggingface_hub.utils import disable_progress_bars, httpx, logging

    disable_progress_bars()
    logging.set_verbosity_error()  # its retries and hints; what comes of them is told below
    try:
        yield
    except HFValidationError as e:
        raise HubError(f"{place}: no name for a repository; wanted ORG/REPO") from e
    except LocalTokenNotFoundError as e:
        raise HubError(
            "no token for the Hub: set HF_TOKEN to one that may write (https://huggingface.co/settings/tokens)"
        ) from e
    except HfHubHTTPError as e:
        raise HubError(f"{place}: {_refusal(e)}") from e
    except ValueError as e:  # a card that the Hub cannot read
        raise HubError(f"{place}: the Hub does not take it: {' '.join(str(e).split())}") from e
    except (httpx.HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError) as e:
        raise HubError(f"{place}: {api.endpoint} cannot be reached ({_cause(e)}); {AGAIN}") from e
    except RuntimeError as e:  # what the client makes of an upload that fails
        raise HubError(f"{place}: {str(e).splitlines()[0]} ({_cause(e)}); nothing changed there, {AGAIN}") from e


def _refusal(e: Any) -> str:
    """Return what the Hub refused, in words that tell what to do."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    words = e.server_message or e.response.reason_phrase
    status = e.response.status_code
    if isinstance(e, RepositoryNotFoundError):
        return "the Hub has no such repository, or this token may not see it"
    if isinstance(e, RevisionNotFoundError):
        return "the repository has no such tag, branch or commit"
    told = {
        401: "the Hub does not take the token; set HF_TOKEN to one that is valid",
        403: f"this token may not do that ({words})",
        412: STALE,
    }
    return told.get(status) or f"the Hub answered {status} ({' '.join(str(words).split())}); {AGAIN}"


def _cause(e: BaseException) -> str:
    """Return the first line of what lies behind an error, and of its kind where it says nothing."""
    while e.__cause__ is not None:
        e = e.__cause__
    return next(iter(str(e).strip().splitlines()), "") or type(e).__name__


def listed(files: Mapping[str, Path | bytes]) -> list[dict[str, Any]]:
    """Return what is to be sent: each file with its size in bytes."""
    sizes = {name: len(s) if isinstance(s, bytes) else s.stat().st_size for name, s in sorted(files.items())}
    return [{"file": name, "bytes": size} for name, size in sizes.items()]


def writer(api: HfApi) -> str:
    """Return who the token belongs to.

    Raises:
        HubError: there is none, the Hub does not know it, or it may not write.
    """
    with speaking(api, api.endpoint):
        found = api.whoami()
    role = found.get("auth", {}).get("accessToken", {}).get("role")
    if role in ("read", "none"):
        raise HubError(
            f"the token of {found['name']} may only {'read' if role == 'read' else 'be looked at'}, and to "
            "publish one must write; set HF_TOKEN to one that may"
        )
    return found["name"]


def head(api: HfApi, repo: str, kind: Kind = "dataset") -> Head | None:
    """Return a repository as it is; None if there is none that this token may see."""
    from huggingface_hub.errors import RepositoryNotFoundError

    with speaking(api, repo):
        try:
            info: Any = api.repo_info(repo, repo_type=kind)
            refs = api.list_repo_refs(repo, repo_type=kind)
        except RepositoryNotFoundError:
            return None
    files = [f.rfilename for f in info.siblings or ()]
    return Head(str(info.sha), bool(info.private), files, {t.name: t.target_commit for t in refs.tags})


def create(api: HfApi, repo: str, kind: Kind = "dataset") -> Head:
    """Make a private repository, and return it.

    Raises:
        HubError: the name is taken by what is not a repository of this kind, or that this token may not see.
    """
    with speaking(api, repo):
        api.create_repo(repo, repo_type=kind, private=True, exist_ok=True)
    if found := head(api, repo, kind):
        return found
    raise HubError(f"{repo}: the name is taken, by something that is no {kind} or that this token may not see")


def differing(api: HfApi, repo: str, sha: str, files: Mapping[str, str], kind: Kind = "dataset") -> str | None:
    """Return a file in which a commit differs from these: it lacks it, has it in other bytes, or has Parquet more.

    None if it holds them all. The Hub lists the sha256 of what goes by Git LFS, which all Parquet does; the few others
    are read.

    Args:
        api: the client.
        repo: ORG/REPO.
        sha: the commit.
        files: path there -> sha256.
        kind: dataset or model.
    """
    with speaking(api, f"{repo}@{sha}"), tempfile.TemporaryDirectory() as place:
        info: Any = api.repo_info(repo, repo_type=kind, revision=sha, files_metadata=True)
        held = {f.rfilename: f for f in info.siblings or ()}
        large = {name: f.lfs.sha256 for name, f in held.items() if f.lfs}
        others = {name for name in held.keys() - files.keys() if name.endswith(".parquet")}
        others |= {n for n, digest in files.items() if n not in held or large.get(n, digest) != digest}
        if others:
            return min(others)
        for name in sorted(files.keys() - large.keys()):
            file = api.hf_hub_download(repo, name, repo_type=kind, revision=sha, local_dir=place)
            if hashlib.sha256(Path(file).read_bytes()).hexdigest() != files[name]:
                return name
    return None


def manifest(api: HfApi, repo: str, revision: str) -> dict[str, Any] | None:
    """Return the manifest.json of a dataset at a revision; None if it has none of a version.

    Raises:
        HubError: it has one, and something else stands in it than in one that `build` writes.
    """
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    with speaking(api, f"{repo}@{revision}"), tempfile.TemporaryDirectory() as place:
        try:
            file = api.hf_hub_download(repo, MANIFEST, repo_type="dataset", revision=revision, local_dir=place)
            found = json.loads(Path(file).read_text("utf-8"))
        except LocalEntryNotFoundError:  # no network; a child of the next
            raise
        except (EntryNotFoundError, ValueError, RecursionError):
            return None
    if not isinstance(found, dict) or not found.keys() >= KEYS:
        return None
    if key := unsound(found):
        raise HubError(f"{repo}@{revision}: {key!r} in its {MANIFEST} is not what a version's manifest has there")
    return found


def commit(
    api: HfApi,
    repo: str,
    files: Mapping[str, Path | bytes],
    stale: Sequence[str],
    parent: str,
    message: str,
    *,
    kind: Kind = "dataset",
    say: Say = lambda line: None,
) -> str:
    """Put files into a repository, and take stale ones out, in one commit; returns its hash.

    Large files are sent first and land nowhere until then. Where nothing differs there is no commit, and the parent
    is returned.

    Args:
        api: the client.
        repo: ORG/REPO.
        files: path there -> the file here, or its content.
        stale: paths to take out.
        parent: the commit that it must follow; if another came in between nothing is changed.
        message: its title.
        kind: dataset or model.
        say: told how far it is.

    Raises:
        HubError: it is not there, and nothing has changed.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    adds = [CommitOperationAdd(name, source) for name, source in sorted(files.items())]
    deletes = [CommitOperationDelete(name) for name in stale]
    # the client makes no commit where nothing differs, and then names the newest, which may be anybody's
    wanted = {add.path_in_repo: add.upload_info.sha256.hex() for add in adds}
    if not stale and differing(api, repo, parent, wanted, kind) is None:
        return parent
    with speaking(api, repo):
        for start in range(0, len(adds), AT_ONCE):
            api.preupload_lfs_files(repo, adds[start : start + AT_ONCE], repo_type=kind)
            say(f"{repo}: sent {min(start + AT_ONCE, len(adds))} of {len(adds)} files")
        made = api.create_commit(repo, [*adds, *deletes], commit_message=message, repo_type=kind, parent_commit=parent)
    if differing(api, repo, made.oid, wanted, kind):
        raise HubError(f"{repo}: {STALE}")
    return made.oid


def tag(api: HfApi, repo: str, name: str, sha: str) -> None:
    """Tag a commit of a dataset.

    Raises:
        HubError: the commit stands without its tag, or the tag is on another commit.
    """
    try:
        with speaking(api, repo):
            api.create_tag(repo, tag=name, revision=sha, repo_type="dataset", exist_ok=True)
            refs = api.list_repo_refs(repo, repo_type="dataset")
    except HubError as e:
        raise HubError(f"{e}; the commit {sha[:12]} is there, and its tag {name} may not be") from e
    on = {t.name: t.target_commit for t in refs.tags}[name]
    if on != sha:
        raise HubError(f"{repo}: the tag {name} is taken, it stands on the commit {on[:12]} and not on {sha[:12]}")


def make_public(api: HfApi, repo: str, kind: Kind = "dataset") -> None:
    """Let everybody see a repository."""
    with speaking(api, repo):
        api.update_repo_settings(repo, private=False, repo_type=kind)
