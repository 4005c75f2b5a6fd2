"""Parse: how each text of a file is read, for whoever wants to know before paying for many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curation.errors import BadInput
from curation.reading import read_grade, read_trace

KINDS = ("generator", "critic")


def parse(file: Path | str, kind: str) -> list[dict[str, Any]]:
    """Read each text of a file of JSON lines {"id": ..., "text": ...}.

    Returns:
        For each line: id, label, reason, think (generator) or id, grade, reason, reasoning (critic), where
        label and grade are None if invalid, and reason says why.

    Raises:
        BadInput: another kind, no such file, or a line that is no such object.
    """
    if kind not in KINDS:
        raise BadInput(f"--kind {kind}: not one of {', '.join(KINDS)}")
    file = Path(file)
    try:
        data = file.read_bytes()
    except OSError as e:
        raise BadInput.at(file, e.strerror or str(e), "a file of JSON lines") from e
    lines = enumerate(data.split(b"\n"), 1)
    return [_read(kind, _line(file, n, line)) for n, line in lines if line.strip()]


def _line(file: Path, number: int, line: bytes) -> dict[str, Any]:
    wanted = 'an object {"id": ..., "text": ...}'
    try:
        found = json.loads(line)
    except ValueError as e:
        raise BadInput.at(file, f"no JSON ({e})", wanted, line=number) from e
    if not isinstance(found, dict) or not {"id", "text"} <= found.keys():
        raise BadInput.at(file, line[:60].decode(errors="replace"), wanted, line=number)
    if not isinstance(found["text"], str | None):
        raise BadInput.at(file, repr(found["text"])[:60], "text", line=number, column="text")
    return found


def _read(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    if kind == "critic":
        grade = read_grade(item["text"])
        return {"id": item["id"], "grade": grade.grade, "reason": grade.reason, "reasoning": grade.reasoning}
    trace = read_trace(item["text"], item.get("thinking"))
    return {
        "id": item["id"],
        "label": trace.answer,
        "reason": trace.reason,
        "think": trace.think,
    }
