"""Planted clauses, whose truth is known, so that the experts can be measured.

One stands in the place of a clause of a drawn text, in every record of that text, so that nothing gives it away.
Either the user's file names it, or a clause that says one direction is turned round by rule. A clause turned round is
taken to be FALSE: that holds where the clause was true, so only texts are used whose answer is right and whose grade,
if there is one, is excellent, and few clauses of a text.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Collection, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import BadInput
from curation.schema import content_id

TRUTHS = ("TRUE", "FALSE")


class Fake(NamedTuple):
    """A clause to plant, and whether it is TRUE or FALSE."""

    text: str
    truth: str


@cache
def _turns() -> dict[str, str]:
    lines = (resources.files("annotation") / "turns.txt").read_text("utf-8").splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    return dict(pairs) | {b: a for a, b in pairs}  # type: ignore[arg-type]


@cache
def _direction() -> re.Pattern[str]:
    words = "|".join(sorted(_turns(), key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:(an?)(\s+))?({words})(?![\w-])", re.IGNORECASE)


def turned(text: str) -> str | None:
    """Return a clause that says the opposite direction; None unless it says just one."""
    found = list(_direction().finditer(text))
    if len(found) != 1:
        return None
    article, space, word = found[0].groups()
    new = _turns()[word.lower()]
    new = new.upper() if word.isupper() else new.capitalize() if word[0].isupper() else new
    if article:  # "an increase" becomes "a decrease"
        new = f"{article[0]}{'n' if new[0].lower() in 'aeiou' else ''}{space}{new}"
    return text[: found[0].start()] + new + text[found[0].end() :]


def read(file: Path) -> list[Fake]:
    """Read clauses to plant from a CSV file with the columns text and truth (TRUE or FALSE).

    Raises:
        BadInput: the file is none, or a line of it has no text or no truth.
    """
    if not file.is_file():
        raise BadInput.at(file, "no such file", "a CSV file with the columns text and truth")
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            if missing := {"text", "truth"} - set(reader.fieldnames or ()):
                raise BadInput.at(file, f"no column {sorted(missing)[0]}", "the columns text and truth", line=1)
            found = [_fake(file, reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as e:
        raise BadInput.at(file, f"no CSV in UTF-8 ({e})", "the columns text and truth") from e
    if not found:
        raise BadInput.at(file, "no line", "a clause a line under the columns text and truth")
    return found


def _fake(file: Path, line: int, row: dict[str, str | None]) -> Fake:
    text, truth = (row["text"] or "").strip(), (row["truth"] or "").strip().upper()
    if not text:
        raise BadInput.at(file, "nothing", "the clause", line=line, column="text")
    if truth not in TRUTHS:
        raise BadInput.at(file, repr(row["truth"]), "TRUE or FALSE", line=line, column="truth")
    return Fake(text, truth)


def version(fakes: Sequence[Fake]) -> str | None:
    """Return the hash of what a file plants; None for nothing."""
    return content_id(*(word for fake in fakes for word in fake)) if fakes else None


def put(
    rows: list[dict[str, Any]], share: float, fakes: Sequence[Fake], sound: Collection[str], seed: int
) -> list[dict[str, Any]]:
    """Return the clauses of a round with some of them replaced by planted ones.

    Args:
        rows: clauses with place, everybody and truth.
        share: of the clauses, 0 to 1, to turn round.
        fakes: to plant instead, each once.
        sound: ids of the texts in which a clause may be turned round.
        seed: of the lot that decides which.

    Raises:
        BadInput: there are more fakes than clauses.
    """
    if len(fakes) > len(rows):
        raise BadInput(f"{len(fakes)} clauses to plant, and only {len(rows)} in the round: raise --sample")
    if fakes:
        given = dict(zip([row["clause_id"] for row in _spread(rows, seed)], fakes, strict=False))
        return [_planted(row, *given[row["clause_id"]]) if row["clause_id"] in given else row for row in rows]
    can = [row for row in rows if row["subject_id"] in sound and turned(row["text"])]
    chosen = {row["clause_id"] for row in _spread(can, seed)[: round(share * len(rows))]}
    return [_planted(row, turned(row["text"]) or "", "FALSE") if row["clause_id"] in chosen else row for row in rows]


def _spread(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Return clauses by lot, one of each text before a second of any."""
    seen: dict[str, int] = {}
    ordered: list[tuple[int, int, dict[str, Any]]] = []
    for row in sorted(rows, key=lambda r: hashlib.sha256(f"planted\x1f{seed}\x1f{r['clause_id']}".encode()).digest()):
        nth = seen[row["subject_id"]] = seen.get(row["subject_id"], 0) + 1
        ordered.append((nth, len(ordered), row))
    return [row for _, _, row in sorted(ordered, key=lambda o: o[:2])]


def _planted(row: dict[str, Any], text: str, truth: str) -> dict[str, Any]:
    key = content_id("planted", row["subject_id"], row["start_char"], row["end_char"], text)
    # a row of its own, without the run that wrote the clause it stands for
    return {**row, "clause_id": key, "subject": "planted", "text": text, "truth": truth, "run_id": None}
