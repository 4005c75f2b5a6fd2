"""Fields: what an import reads, under which names it looks for each, and how --map names others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from curation.errors import BadInput

# field -> the names it is known by, the first that a file has counts; those of the paper's CSV stand last
NAMES: Mapping[str, tuple[str, ...]] = {
    "cell_line": ("cell_line", "cell_type"),
    "pert": ("pert",),
    "gene": ("gene",),
    "label": ("label", "true_answer"),
    "messages": ("messages",),
    "system": ("system", "system_prompt"),
    "user": ("user", "user_prompt"),
    "response": ("response", "assistant_response"),
    "reasoning": ("reasoning", "generated_thinking"),
    "answer": ("answer", "generated_answer"),
    "grade": ("grade", "critic_evaluation"),
    "justification": ("justification", "critic_reasoning"),
    **{
        name: (name,)
        for name in (
            "approach", "generator", "generator_prompt", "critic", "simulated", "finish_reason", "tokens_in",
            "tokens_out", "usd",
        )
    },
}  # fmt: skip
PAIR = ("cell_line", "pert", "gene")


class Odd(Exception):
    """A value that cannot be imported: its field, the kind of trouble, what was found and what was wanted."""

    def __init__(self, field: str | None, reason: str, found: str, wanted: str) -> None:
        super().__init__(reason)
        self.field, self.reason, self.found, self.wanted = field, reason, found, wanted


class Fields(NamedTuple):
    """Which column of a source each field is read from."""

    columns: Mapping[str, str]

    def get(self, values: Mapping[str, Any], field: str) -> Any:
        """Return a field of a row; None where it is empty or has no column."""
        found = values.get(self.columns.get(field, ""))
        return None if found == "" else found

    def text(self, values: Mapping[str, Any], field: str) -> str | None:
        """Return a field that is a text; None where it is blank.

        Raises:
            Odd: it is something else.
        """
        found = self.get(values, field)
        if found is not None and not isinstance(found, str):
            raise Odd(field, "no text", repr(found)[:60], "text")
        return found if found and found.strip() else None

    def number(self, values: Mapping[str, Any], field: str, kind: type) -> Any:
        """Return a count or a sum, also where a CSV file holds it as text; NaN is none, as pandas means it.

        Raises:
            Odd: it is something else, below zero, or too large for a column.
        """
        found = self.get(values, field)
        try:
            if found is None or math.isnan(value := float(found)):
                return None
            if isinstance(found, bool) or not 0 <= value < 2**63 or kind(value) != value:
                raise ValueError
        except (TypeError, ValueError):
            raise Odd(field, "no number", repr(found)[:60], f"a number, 0 or more ({kind.__name__})") from None
        return kind(value)


def mapping(pairs: Iterable[str]) -> dict[str, str]:
    """Return what --map names: our field -> the source's column, empty for a column that is not to be read.

    Raises:
        BadInput: one is no OURS=THEIRS, OURS is no field or said twice, or two fields are to be read from one column.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals:
            raise BadInput(f"--map {pair}: wanted OURS=THEIRS, such as label=true_answer")
        if ours not in NAMES:
            raise BadInput(f"--map {pair}: {ours!r} is none of {', '.join(NAMES)}")
        if ours in found:
            raise BadInput(f"--map {pair}: {ours} is mapped to {found[ours]!r} already; say it once")
        if other := next((o for o, column in found.items() if theirs and column == theirs), None):
            raise BadInput(f"--map {pair}: {theirs} is read as {other} already; a column is one field")
        if ours == "simulated" and not theirs:
            raise BadInput(f"--map {pair}: what is marked as simulated stays so; leave this out")
        found[ours] = theirs
    return found


def choose(file: str, columns: Sequence[str], given: Mapping[str, str]) -> Fields:
    """Return which column is read as which field.

    Args:
        file: the name of the file, for the message.
        columns: those that it has.
        given: what --map says of it.

    Raises:
        BadInput: a column that --map names is not there, or the columns do not make a trace.
    """
    for ours, theirs in given.items():
        if theirs and theirs not in columns:
            raise BadInput(f"--map {ours}={theirs}: {file} has no such column; it has {', '.join(columns)}")
    known = {ours: next((n for n in names if n in columns), "") for ours, names in NAMES.items()}
    chosen = {ours: theirs for ours, theirs in {**known, **given}.items() if theirs}
    if not ({"messages", "response"} & chosen.keys() or {"reasoning", "answer"} <= chosen.keys()):
        wanted = "messages, or assistant_response, or reasoning and answer"
        raise BadInput.at(file, f"the columns {', '.join(columns)}", f"{wanted}; --map OURS=THEIRS names others")
    if "messages" not in chosen and (missing := [name for name in PAIR if name not in chosen]):
        raise BadInput.at(
            file, f"the columns {', '.join(columns)}", f"{missing[0]}; --map {missing[0]}=THEIRS names it"
        )
    return Fields(chosen)
