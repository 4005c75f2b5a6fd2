"""Cards: what a dataset's README.md and croissant.json say of it, filled into the templates of `datasets_cards`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import findings, folders, named, reviews
from curation.changelog import changelog
from curation.croissant import croissant
from curation.errors import VersionError
from curation.folders import File
from curation.intervals import Interval
from curation.metadata import header, parts
from curation.reviews import Review, review
from curation.rows import COLUMNS, SIDES, Config, row_hash
from curation.schema import LABELS, REHEARSAL
from curation.spending import in_words, spending
from curation.store import Store
from curation.tallies import CHECKS, distinct, learned, tallies
from datasets_cards import templates

CARD, CROISSANT = "README.md", "croissant.json"


def at_building(
    store: Store, configs: Sequence[Config], review: Review | None, facts: dict[str, Any], files: Mapping[str, File]
) -> dict[str, str]:
    """Return the card and croissant.json of a version when it is built, or built again.

    Args:
        store: the store that it is built from.
        configs: its rows.
        review: what experts said of them.
        facts: its manifest, but for its files.
        files: its Parquet files by path.
    """
    since = facts.get("previous") and f"{facts['name']}@{facts['previous']}"
    return _texts(_told(store, configs, review, facts, since), configs, review, files)


def at_publishing(store: Store, name: str, version: str, folder: Path, repo: str | None = None) -> dict[str, str]:
    """Return the card and croissant.json of a version when it is published, with what was found of it since its build.

    What they say of its rows is what held when it was built. The changelog goes from the last version that was
    published, or from the last one that was built if none was.

    Args:
        store: the store that it was built from.
        name: name of the dataset.
        version: its number.
        folder: the folder that `build` wrote.
        repo: the repository it goes to, ORG/REPO, for addresses; None: not said.

    Raises:
        VersionError: there is no such version, or the folder does not hold it.
    """
    facts = folders.read(folder)
    held = named.find(store, f"{name}@{version}")
    if not facts or any(facts[k] != held[k] for k in ("name", "version", "row_hash")):
        raise VersionError(f"{folder}: not {name}@{version} as it was built; `synthpert rebuild` writes it again")
    configs = _read(folder, facts)
    judged = review(store, learned(configs)["trace_id"].drop_null().to_pylist(), facts["store"])
    published = [v for v in named.held(store, name) if v["published_to"] and _before(v["version"], version)]
    last = published[-1]["version"] if published else facts.get("previous")
    told = _told(store, configs, judged, facts, last and f"{name}@{last}")
    told |= {"audit": findings.found(store, name, version, "audit"), "repo": repo, "published": published}
    files = {path: file for path, file in folders.files(folder).items() if path.endswith(".parquet")}
    return _texts(told, configs, judged, files)


def _before(one: str, other: str) -> bool:
    return named.number(one) < named.number(other)


def _read(folder: Path, facts: Mapping[str, Any]) -> list[Config]:
    """Return the rows of a version's folder."""
    found = []
    for split in dict.fromkeys(r["split"] for r in facts["rows"]):
        shards = {side: sorted((folder / split).glob(f"{side}-*.parquet")) for side in SIDES}
        sides = {side: pa.concat_tables(map(pq.read_table, own)) for side, own in shards.items()}
        found.append(Config(split, sides, row_hash(sides)))
    return found


def _told(
    store: Store, configs: Sequence[Config], judged: Review | None, facts: dict[str, Any], since: str | None
) -> dict[str, Any]:
    """Return what the templates say of a version, by the names that they use."""
    mine = learned(configs)
    rows = pa.concat_tables([mine.drop_columns("split"), *(c.sides["test"] for c in configs)])
    hashes = [h for kind in ("generator", "critic") for h in facts["prompts"][kind]]
    counted = tallies(store, configs, hashes, facts["store"])
    return {
        **facts,
        **counted,
        "review": judged,
        "per_clause": _per_clause(judged) if judged else "",
        "traces": len(distinct(mine, "trace_id")),
        "labels": LABELS,
        "lines": distinct(rows, "cell_line"),
        "generators": distinct(mine, "generator"),
        "approaches": distinct(mine, "approach"),
        "critics": distinct(mine, "critic"),
        "sources": sorted({(r["source"], r["licence"]) for r in _pairs(rows)}),
        "simulated": _simulated(mine, rows),
        "spending": spending(counted["spent"]),
        "spent_on": in_words(counted["spent_on"]),
        "imported": counted["spent_on"]["imported"],
        "checked": CHECKS,
        "described": {name: about for name, (_, about) in COLUMNS.items()},
        "annotation_columns": {name: about for name, (_, about) in reviews.COLUMNS.items()},
        "settings": [shlex.quote(f"{name}={value}") for name, value in facts["recipe"]["params"].items()],
        "changes": changelog(store, since, configs, facts) if since else None,
        "audit": {},
        "repo": None,
        "published": [],
    }


def _pairs(rows: pa.Table) -> list[dict[str, Any]]:
    return rows.group_by(["source", "licence"]).aggregate([]).to_pylist()


def _per_clause(judged: Review) -> str:
    """Return how many experts judged a clause."""
    n = [v["counts"] for v in judged.rows["clause_id"].value_counts().to_pylist()]
    return f"{min(n)} to {max(n)} experts a judged clause, {sum(n) / len(n):.1f} on average; a grade a critic and trace"


def _simulated(mine: pa.Table, rows: pa.Table) -> str:
    """Return what of a version was rehearsed, in a sentence; empty if nothing was."""
    found = []
    if REHEARSAL in distinct(rows, "source"):
        found.append("The benchmark is made up")
    if pc.any(pc.fill_null(pc.and_(mine["simulated"], pc.is_valid(mine["trace_id"])), False)).as_py():
        found.append(
            "a scripted model wrote or graded the traces" if found else "A scripted model wrote or graded the traces"
        )
    return ", and ".join(found) + "." if found else ""


def _texts(
    told: dict[str, Any], configs: Sequence[Config], judged: Review | None, files: Mapping[str, File]
) -> dict[str, str]:
    made = templates()
    made.filters |= {"interval": _interval, "cell": _cell, "fenced": _fenced, "n": "{:,}".format}
    held = parts(configs, judged)
    yaml = header(told["name"], held, files, told["sources"])
    told = {**told, "yaml": yaml, "place": told["repo"] or "PATH_OR_REPOSITORY"}
    return {
        CARD: made.get_template("traces.md.j2").render(told),
        CROISSANT: json.dumps(croissant(told, held, files), indent=1, ensure_ascii=False) + "\n",
    }


def _interval(found: Interval) -> str:
    """Return a value and its interval as a sentence has them."""
    if found.value is None or found.low is None or found.high is None:
        return f"undefined ({found.why})" if found.value is None else f"{found.value:.2f} ({found.why})"
    return f"{found.value:.2f} (95 % interval {found.low:.2f} to {found.high:.2f})"


def _cell(text: object) -> str:
    """Return a text that a line or a table of Markdown can hold, whoever chose it: no heading, tag, link or picture."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;").replace("](", "]\\(")


def _fenced(text: str, language: str = "") -> str:
    """Return a text as a block of code, whatever fences it holds itself."""
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text.strip()}\n{fence}"
