"""The commands `publish` and `fetch`: versions to the Hub, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from curation.commands.options import open_store
from curation.printing import result, say, say_next, table

Repo = Annotated[str, Argument(metavar="ORG/REPO", help="repository on the Hub; made, and private, if not there")]
Public = Annotated[bool, Option("--public", help="let everybody see the repository, once all is in it")]
DryRun = Annotated[bool, Option("--dry-run", help="tell what would go where; send nothing, ask nothing")]
Simulated = Annotated[bool, Option("--allow-simulated", help="publish what a rehearsal made, marked as such")]


def publish(
    ctx: typer.Context,
    version: Annotated[str, Argument(metavar="NAME@VERSION", help="a version of the store; NAME alone is the newest")],
    repo: Repo,
    public: Public = False,
    dry_run: DryRun = False,
    allow_simulated: Simulated = False,
    accept_licence: Annotated[
        list[str] | None, Option(metavar="NAME", help="a licence in it that you accept; not asked if free for any use")
    ] = None,
    folder: Annotated[Path | None, Option(help="where it was built; default ./NAME-VERSION, else made again")] = None,
) -> None:
    """Publish a version to the Hub, in one commit with one tag.

    HF_TOKEN is a token that may write. Typed again it goes on where it stopped, and what is there stays as it is.

    Example: synthpert publish perturb-traces@1.0.0 ORG/REPO --dry-run
    """
    from curation.publishing import publish as work

    done = work(
        open_store(ctx), version, repo, folder=folder, public=public, dry_run=dry_run, allow_simulated=allow_simulated,
        accept_licences=accept_licence or (), say=lambda line: say(ctx, line),
    )  # fmt: skip
    size = f"{len(done.files)} files, {sum(f['bytes'] for f in done.files):,} bytes"
    seen = "public" if done.public else "private"
    under = f"{', '.join(done.licences)}{'; simulated' if done.simulated else ''}"
    what = f"{done.name} {done.version} -> {done.repo} ({seen}), tag {done.tag}"
    if done.state == "dry-run":
        return result(ctx, done._asdict(), f"would go: {what}: {size}; examples: {under}\n{table(done.files)}")
    there = "is there already, nothing sent" if done.state == "there" else f"{size}; examples: {under}"
    result(ctx, done._asdict(), f"{what}, commit {done.commit}: {there}")
    say_next(ctx, f"synthpert fetch {done.repo}@{done.tag}")


def fetch(
    ctx: typer.Context,
    version: Annotated[str, Argument(metavar="ORG/REPO@REVISION", help="a tag such as v1.0.0, or a commit")],
    out: Annotated[Path | None, Option(help="folder to write; default ./NAME-VERSION")] = None,
) -> None:
    """Fetch a version from the Hub into a folder, checked against its manifest.

    A stopped fetch goes on where it was.

    Example: synthpert fetch ORG/REPO@v1.0.0
    """
    from curation.fetching import fetch as work

    done = work(version, out=out, say=lambda line: say(ctx, line))
    checked = f"each of {done.files} files has the sha256 of the manifest, and {done.rows:,} rows the hash there"
    left = f"\nnot fetched, as no part of it: {', '.join(done.left_out)}" if done.left_out else ""
    head = f"{done.name} {done.version} -> {done.out}: {done.bytes:,} bytes; {checked} ({done.row_hash[:12]})"
    result(ctx, done._asdict(), f"{head}\ncommit {done.commit}{left}")
