"""What is wrong with some traces of the scripted model, on purpose: one fault each, of the kinds that checks look for.

And wordings that look like a fault and are none, so that a check that is too eager is found out.
"""

from __future__ import annotations

import random

from curation.rehearsal.statements import Statement, read, say
from curation.rehearsal.world import DOWN, LINES, UNCHANGED, UP, the_world

FAULTS = (
    "answer_leak",
    "genes_missing",
    "wrong_line",
    "contradiction",
    "after_conclusion",
    "cut_off",
    "near_duplicate",
)
GROUPS, SHARED = 5, 24  # texts that near-duplicates are copies of; their common statements

MOVES = {UP: "goes up", DOWN: "goes down", UNCHANGED: "does not change"}
NOUNS = {UP: "increase", DOWN: "decrease", UNCHANGED: "lack of change"}
LEAKS = (
    "As stated, {gene} {moves} after the knock-down.",
    "As given in the question, {gene} {moves}.",
    "Given that {gene} is {label} here, a cause must be found.",
    "The measured outcome is that {gene} {moves} in {line} cells.",
    "We are told that {gene} {moves}.",
    "What follows explains the observed {noun}.",
    "Empirical screens in {line} cells report that {gene} {moves} upon {pert} knock-down.",
    "The data provided show what {gene} does.",
    "Since we know that {gene} {moves}, the route must be found.",
    "The label says {label}.",
    "To arrive at the required {noun} a route is needed.",
    "{gene} {moves} in {line} cells when {pert} is knocked down.",
    "The ground truth is {label}.",
    "I already know how this ends: {gene} {moves}.",
    "My task is to justify the {noun} of {gene}.",
)
TRAILING = (
    "Let me know if another pair is of interest.",
    "The reply follows in the form that was asked for.",
    "Note that I am a language model and cannot run an assay.",
    "References: 1. A review of signalling. 2. A textbook of cell biology.",
    "Wait, the form of the reply must be kept.",
)
ALIASES = {"K562": ("K562", "K-562"), "RPE1": ("RPE1", "RPE-1"), "HepG2": ("HepG2", "Hep G2"), "Jurkat": ("Jurkat",)}
OTHERS = ("HEK293T", "HeLa", "A549")
STAND_INS = ("the factor in question", "its partner", "that transcript")
LOOKALIKES = (
    "Given that {pert} belongs to the {pathway}, its partners matter too.",
    "As stated above, such routes are short.",
    "Given the place of {pert} in the {pathway}, a direct effect is possible.",
    "{gene} is known to be upregulated by cold in other tissues.",
    "The observed half-life of such transcripts is about an hour.",
    "Earlier screens report that {other} is needed for growth.",
    "Provided that the promoter is open, {gene} is transcribed all the time.",
    "In theory a stress response might raise {gene} for an hour.",
    "It is unlikely that {other} lowers {gene} on its own.",
    "Unlike {elsewhere} cells, {line} cells are easy to transduce.",
    "The known increase in {other} after a heat shock is another matter.",
    "If {other} were lost, {gene} would fall.",
    "{other}-like proteins, as reported for yeast, bind {gene}'s promoter.",
    "The result of such a step depends on the dose.",
)


def flawed(fault: str, text: str, pert: str, gene: str, line: str, label: str, rng: random.Random) -> str:
    """Return a text with a fault of `FAULTS`; `contradiction` is planted in the writer, by the label it argues for."""
    said = [clause for clause, _ in read(text)]
    if fault == "answer_leak":
        wording = rng.choice(LEAKS).format(
            pert=pert, gene=gene, line=line, label=label, moves=MOVES[label], noun=NOUNS[label]
        )
        # a statement of the outcome gives it away where it stands first
        at = 0 if wording.startswith(gene) else rng.randrange(len(said))
        return " ".join([*said[:at], wording, *said[at:]])
    if fault == "genes_missing":
        return text.replace(rng.choice((pert, gene)), rng.choice(STAND_INS))
    if fault == "wrong_line":
        elsewhere = [name for other in LINES if other != line for name in ALIASES[other]]
        return text.replace(line, rng.choice([*elsewhere, *OTHERS]))
    if fault == "after_conclusion":
        return f"{text} {rng.choice(TRAILING)}"
    if fault == "cut_off":
        return text[: rng.randrange(len(text) // 2, len(text) - 5)]
    if fault == "near_duplicate":
        return f"{_common(rng.randrange(GROUPS))} {said[-1]}"
    return text


def lookalike(text: str, pert: str, gene: str, line: str, rng: random.Random) -> str:
    """Return a text with a wording that looks like a fault and is none, somewhere before its conclusion."""
    world = the_world()
    said = [clause for clause, _ in read(text)]
    wording = rng.choice(LOOKALIKES).format(
        pert=pert,
        gene=gene,
        line=line,
        pathway=world.pathway[pert],
        other=rng.choice([g for g in world.targets if g != gene]),
        elsewhere=rng.choice([other for other in LINES if other != line]),
    )
    at = rng.randrange(len(said))
    return " ".join([*said[:at], wording, *said[at:]])


def _common(group: int) -> str:
    rng, world = random.Random(f"near-duplicates {group}"), the_world()
    genes = rng.sample(sorted(world.pathway), SHARED)
    return " ".join(say(Statement("pathway", (g, world.pathway[g])), rng) for g in genes)
