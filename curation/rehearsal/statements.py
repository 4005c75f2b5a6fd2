"""Statements about the planted world, and the sentences that make them: what is written can be read back."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

NAME = r"[\w-]+"
SLOTS = {
    **dict.fromkeys(("pert", "gene", "source", "target", "line"), NAME),
    "complex": r"mQXC\d+",
    "function": r"[a-z]+(?: [a-z]+)?",
    "pathway": r"[a-z]+ [a-z]+",
    "any": r".{1,40}?",  # names as a query gave them, whatever they are
    "other": r".{1,40}?",
}

# kind -> its sentences; every sentence of a kind holds the same slots. Abbreviations and names that begin with a
# small letter stand in them on purpose: real traces have both, and what cuts them into clauses must cope.
TEMPLATES = {
    "function": (
        "{gene} is a {function}.",
        "{gene} works as a {function} (cf. its fold).",
        "By its domains, {gene} must be a {function}.",
        "Like other members of its family, {gene} serves as a {function}.",
    ),
    "pathway": (
        "{gene} belongs to the {pathway}.",
        "The {pathway} depends on {gene}.",
        "{gene} acts in one pathway, i.e. the {pathway}.",
        "Within the {pathway}, {gene} passes the signal on.",
    ),
    "complex": (
        "{gene} is a subunit of {complex}.",
        "{complex} counts {gene} among its subunits.",
        "{complex} falls apart without {gene}.",
        "The subunits of {complex}, e.g. {gene}, hold each other stable.",
    ),
    "activates": (
        "In {line} cells, {source} activates {target}.",
        "{source} drives the promoter of {target} in {line} cells (e.g. after a long arrest).",
        "{target} needs {source} to be transcribed in {line} cells.",
        "{line} cells rely on {source} to keep {target} high.",
    ),
    "represses": (
        "In {line} cells, {source} represses {target}.",
        "{source} keeps {target} low in {line} cells, e.g. by closing its promoter.",
        "{target} is held back by {source} in {line} cells.",
        "{line} cells rely on {source} to keep {target} low.",
    ),
    "expressed": (
        "{gene} is expressed in {line} cells.",
        "{line} cells express {gene} (approx. 40 copies a cell).",
        "The transcript of {gene} is found in {line} cells.",
    ),
    "silent": (
        "{gene} is silent in {line} cells.",
        "{line} cells do not express {gene}.",
        "No transcript of {gene} is found in {line} cells.",
    ),
    "unlinked": (
        "No route leads from {pert} to {gene} in {line} cells.",
        "Nothing ties {pert} to {gene} in {line} cells, i.e. neither a regulator nor a shared complex.",
        "{pert} and {gene} are not connected in {line} cells.",
    ),
    "raises": (
        "Hence knocking down {pert} raises {gene} in {line} cells.",
        "{gene} therefore climbs in {line} cells once {pert} is lost.",
        "With less {pert}, transcripts of {gene} should rise in {line} cells.",
    ),
    "lowers": (
        "Hence knocking down {pert} lowers {gene} in {line} cells.",
        "{gene} therefore drops in {line} cells once {pert} is lost.",
        "With less {pert}, transcripts of {gene} should fall in {line} cells.",
    ),
    "spares": (
        "Hence knocking down {pert} leaves {gene} as it is in {line} cells.",
        "{gene} therefore stays where it was in {line} cells once {pert} is lost.",
        "With less {pert}, transcripts of {gene} should not move in {line} cells.",
    ),
    "remark": (  # neither true nor false in the world, as those below
        "Counts of {gene} in single {line} cells are noisy vs. those of a bulk sample.",
        "How long {gene} lasts in {line} cells would be worth measuring.",
    ),
    "unsure": (
        "The evidence on {gene} in {line} cells points both ways.",
        "Too little is known of {gene} in {line} cells to choose.",
    ),
    "unknown": (
        "The rehearsal knows nothing of {any} or {other}: this text has a trace's form and no biology.",
        "No biology here: of {any} and {other} the rehearsal knows nothing.",
    ),
    "placeholder": (
        "In this place a step would name {any} and say more.",
        "A model would say more about {any} here; the rehearsal cannot.",
        "Here a step about {any} is left out.",
    ),
    "lot": (
        "What is answered about {any} is the outcome that was given, or drawn by lot.",
        "The answer about {any} follows from nothing above.",
    ),
}


class Statement(NamedTuple):
    """A kind of `TEMPLATES` and the values of its slots, in the order of `slots_of`."""

    kind: str
    values: tuple[str, ...]


def slots_of(template: str) -> list[str]:
    """Return the names of a sentence's slots, in the order in which `SLOTS` has them."""
    return sorted(re.findall(r"{(\w+)}", template), key=list(SLOTS).index)


def say(statement: Statement, rng: random.Random) -> str:
    """Return one of the sentences that make the statement."""
    template = rng.choice(TEMPLATES[statement.kind])
    return template.format(**dict(zip(slots_of(template), statement.values, strict=True)))


def read(text: str) -> list[tuple[str, Statement | None]]:
    """Cut a text into the sentences of `TEMPLATES`, each with its statement, and what lies between, with None.

    What lies between is cut at line ends and after full stops; nothing but white space is left out.
    """
    found: list[tuple[str, Statement | None]] = []
    at = 0
    for match in SENTENCE.finditer(text):
        found += _rest(text[at : match.start()])
        found.append((match[0], _statement(match)))
        at = match.end()
    return found + _rest(text[at:])


def _statement(match: re.Match[str]) -> Statement:
    number = match.lastindex or 0  # of the template's own group, which closes last
    kind, template = NUMBERED[int(str(match.lastgroup)[1:])]
    names = re.findall(r"{(\w+)}", template)
    said = dict(zip(names, match.groups()[number : number + len(names)], strict=True))
    return Statement(kind, tuple(said[slot] for slot in slots_of(template)))


def _rest(text: str) -> list[tuple[str, None]]:
    return [(part.strip(), None) for part in re.split(r"\n|(?<=[.!?])\s", text) if part.strip()]


def _pattern(number: int, template: str) -> str:
    literals = re.split(r"{(\w+)}", template)
    parts = [f"({SLOTS[part]})" if i % 2 else re.escape(part) for i, part in enumerate(literals)]
    return f"(?P<t{number}>{''.join(parts)})"


NUMBERED = [(kind, template) for kind, templates in TEMPLATES.items() for template in templates]
# a sentence begins where a word does, which keeps the search short in texts that hold none
SENTENCE = re.compile(r"(?<![\w-])(?:" + "|".join(_pattern(i, t) for i, (_, t) in enumerate(NUMBERED)) + ")")
