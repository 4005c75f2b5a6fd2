"""Licences: which are known to be free for any use. Of any other a person has to say that it is fine."""

from __future__ import annotations

import re

UNKNOWN = "unknown"
TRACE = "; trace: "  # between the benchmark's licence and that of an imported trace: see queries/rows.sql
# a list of what is free and not of what is not: a licence that nobody thought of is then asked about, and not let out
FREE = re.compile(
    r"(cc0(10)?)+(publicdomain)?|publicdomain|ccby(sa)?([1-4][05])?|mit|apache(20?)?"
    r"|0?bsd|bsd[0-4]clause|[0-4]clausebsd|odcby(10)?|(odc)?(odbl(10)?)+|(odc)?pddl(10)?"
)
LONG = {
    "creative commons": "cc", "open data commons": "odc", "open database": "odbl", "attribution": "by",
    "share ?alike": "sa", "zero": "0", r"\bv(ersion)? ?(?=\d)": "",
    r"\b(the|licen[cs]e|software|international|unported|generic|universal|dedication)\b": "",
}  # fmt: skip


def of(row: str | None) -> set[str]:
    """Return the licences by name that a row's `licence` tells: its benchmark's, and that of the trace if imported."""
    return {one.strip() or UNKNOWN for one in (row or "").split(TRACE)}


def free(name: str) -> bool:
    """Tell whether a licence is known to let anybody use, change and pass on for anything; however it is spelt.

    CC0, CC BY, CC BY-SA, MIT, Apache, BSD, ODC-BY, ODbL, PDDL, and the public domain; nothing beside them.
    """
    words = re.sub(r"[\W_]+", " ", name.lower())
    for long, short in LONG.items():
        words = re.sub(long, short, words)
    return bool(FREE.fullmatch(words.replace(" ", "")))
