"""The scripted model's words: mechanisms of the planted world, answers and grades, decided by the request alone."""

from __future__ import annotations

import hashlib
import json
import random
import re
from typing import NamedTuple

from curation.rehearsal.faults import FAULTS, flawed, lookalike
from curation.rehearsal.form import Form
from curation.rehearsal.judges import criticise
from curation.rehearsal.statements import Statement, say
from curation.rehearsal.world import DOWN, FUNCTIONS, PATHWAYS, SHARES, UNCHANGED, UP, World, the_world

ABSTAIN, ABSTAINS, ERRS = "I do not know", 0.03, 0.04  # shares of the answers whose outcome was given
SPREAD = 4.0  # a trace's own quality is drawn from Beta(quality x SPREAD, (1 - quality) x SPREAD)
BACKGROUND = (1, 2, 3)  # statements about either gene alone, before those that link the two
REMARKS = 0.3  # share of traces with a sentence that is neither true nor false
CONCLUDES = {UP: "raises", DOWN: "lowers", UNCHANGED: "spares"}
PRETENDS = {UP: "represses", DOWN: "activates", UNCHANGED: "unlinked"}  # what must be said for a wrong answer

OUTCOME = re.compile(rf"^\W*Measured outcome:\W*({'|'.join(CONCLUDES)})", re.I | re.M)
QUERY = re.compile(  # spans are bounded so that a huge text that is no query costs no time
    r"knocking\ down\s(?:the\s)?(\S{1,40})\s.{0,80}?"
    r"\b(?:on|of)\s(?:the\s)?(\S{1,40})\s.{0,80}?single-cell\s(\S{1,40})",
    re.I | re.S,
)
JUSTIFICATIONS = {
    "excellent": "Each step from {pert} to {gene} is specific and follows from the one before.",
    "good": "The route from {pert} to {gene} is sound, though one step is only asserted.",
    "average": "Some of what is said of {pert} does not hold in {line} cells.",
    "bad": "The steps are vague, and little ties {pert} to {gene}.",
    "terrible": "Hardly a step holds, and what is said of {gene} is wrong.",
}


class Pair(NamedTuple):
    """What a query asks about."""

    pert: str
    gene: str
    line: str


class Planted(NamedTuple):
    """The figures that a rehearsal plants, each a probability."""

    quality: float = 0.7  # that a statement is true, on the mean over traces (`reasoning`)
    skill: float = 0.7  # that a blind answer is what the world implies
    critic_accuracy: float = 0.85  # that a grade is the one deserved (`judges.chances`)
    critic_bias: float = 0.1  # that a conclusion of no change is graded one step better
    faults: float = 0.0  # that an explanation has one of the faults that checks look for, each as likely as another
    lookalikes: float = 0.0  # that one without a fault has a wording that looks like one


def draws(*parts: object) -> random.Random:
    """Return random numbers that the parts alone decide, in whatever process and order they are asked for."""
    return random.Random(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest())


def answer(messages: list[dict], seed: int, sample_salt: str = "", planted: Planted = Planted()) -> str:  # noqa: B008
    """Write what the scripted model replies to a chat; the same arguments always give the same text.

    Args:
        messages: a chat as in OpenAI's API. A system text with `<evaluation>` asks for a grade, one with a
            line `Measured outcome: LABEL` for an explanation; anything else is asked blind.
            A sentence of the user text by which only the two directions are options leaves these two.
        seed: another seed gives other texts.
        sample_salt: whatever else tells answers apart, such as the model's name and which sample it is.
        planted: how good the model and the critic are.
    """
    rng = draws(seed, sample_salt, messages)
    system, user = text_of(messages, "system", "developer"), text_of(messages, "user")
    pair = _pair(user)
    if "<evaluation>" in system:
        grade = criticise(user[:20_000], rng, planted.critic_accuracy, planted.critic_bias)
        return Form("reasoning", _justification(pair, grade), "evaluation", grade).text()
    outcome, options = OUTCOME.search(system), _options(user.lower())
    label = _told(outcome[1].lower(), options, rng) if outcome else _guess(pair, options, planted.skill, rng)
    return _written(pair, label, fault_of(messages, seed, sample_salt, planted), planted, rng)


def fault_of(messages: list[dict], seed: int, sample_salt: str = "", planted: Planted = Planted()) -> str | None:  # noqa: B008
    """Return what is wrong with the answer to a chat: one of `FAULTS`, `lookalike`, or None.

    Of genes that are not of the world, of abstentions and of answers whose outcome was not given nothing is.
    """
    outcome, pair = OUTCOME.search(text_of(messages, "system", "developer")), _pair(text_of(messages, "user"))
    if not (planted.faults or planted.lookalikes) or not outcome or not the_world().knows(*pair):
        return None
    label = _told(outcome[1].lower(), _options(text_of(messages, "user").lower()), draws(seed, sample_salt, messages))
    rng = draws(seed, sample_salt, messages, "fault")
    if label == ABSTAIN:
        return None
    if rng.random() < planted.faults:
        return rng.choice(FAULTS)
    return "lookalike" if rng.random() < planted.lookalikes else None


def _written(pair: Pair, label: str, fault: str | None, planted: Planted, rng: random.Random) -> str:
    argued = rng.choice([o for o in SHARES if o != label]) if fault == "contradiction" else label
    text = reasoning(pair, argued, planted.quality, rng)
    if fault == "lookalike":
        text = lookalike(text, *pair, rng)
    elif fault:
        text = flawed(fault, text, *pair, label, rng)
    return f"<think>{text}" if fault == "cut_off" else Form("think", text, "answer", label).text()


def reasoning(pair: Pair, label: str, quality: float, rng: random.Random) -> str:
    """Write a trace that leads to a label, or to ABSTAIN.

    Each statement is true with a probability of the trace's own, drawn from the Beta distribution with mean
    `quality`. But the conclusion is as true as the label, and where the world implies another label, so is the
    step before it false. About genes that are not of the world nothing is said, in so many words.
    """
    world = the_world()
    if not world.knows(*pair):
        return _no_biology(pair, rng)
    told = world.mechanism(*pair)
    facts = [f for g in pair[:2] for f in world.facts(g, pair.line) if f not in told.steps]
    claims = rng.sample(facts, rng.choice(BACKGROUND)) + list(told.steps if label == told.effect else ())
    own = rng.betavariate(quality * SPREAD, (1 - quality) * SPREAD) if 0 < quality < 1 else quality
    said = [claim if rng.random() < own else falsify(world, claim, rng) for claim in claims]
    if rng.random() < REMARKS:
        said.insert(rng.randrange(1, len(said) + 1), Statement("remark", (pair.gene, pair.line)))
    if label == ABSTAIN:
        said.append(Statement("unsure", (pair.gene, pair.line)))
    else:
        said += [Statement(PRETENDS[label], pair)] * (label != told.effect) + [Statement(CONCLUDES[label], pair)]
    return " ".join(say(statement, rng) for statement in said)


def falsify(world: World, fact: Statement, rng: random.Random) -> Statement:
    """Turn a fact of `World.facts` or a step of a `Mechanism` into a false statement of the same subject."""
    kind, values = fact
    known = {"function": FUNCTIONS, "pathway": PATHWAYS, "complex": sorted(set(world.complex.values()))}
    if kind in known:
        return Statement(kind, (values[0], rng.choice([v for v in known[kind] if v != values[1]])))
    opposite = {"expressed": "silent", "silent": "expressed", "activates": "represses", "represses": "activates"}
    return Statement(opposite.get(kind) or rng.choice(("activates", "represses")), values)


def text_of(messages: list[dict], *roles: str) -> str:
    """Return the text of the messages with these roles (none given: all), one after the other."""
    said = [m.get("content") for m in messages if not roles or m.get("role") in roles]
    parts = [part for content in said for part in (content if isinstance(content, list) else [content])]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "\n".join(t for t in texts if isinstance(t, str))


def _pair(user: str) -> Pair:
    found = QUERY.search(user[:20_000])
    names = found.groups() if found else ("the one gene", "the other", "these")
    return Pair(*(name.strip("\"'`*.,;:?()[]") or "this" for name in names))


def _no_biology(pair: Pair, rng: random.Random) -> str:
    places = [Statement("placeholder", (name,)) for name in (pair.pert, pair.gene, f"{pair.line} cells")]
    said = [Statement("unknown", pair[:2]), *rng.sample(places, rng.randint(1, 3)), Statement("lot", (pair.gene,))]
    return " ".join(say(statement, rng) for statement in said)


def _justification(pair: Pair, grade: str) -> str:
    if the_world().knows(*pair):
        return JUSTIFICATIONS[grade].format(**pair._asdict())
    return f"The rehearsal knows nothing of {pair.pert} or {pair.gene}: this grade is drawn by lot."


def _options(user: str) -> list[str]:
    for sentence in re.split(r"[.;]|\n\n", user):
        if "only" in sentence and all(d in sentence for d in (UP, DOWN)) and UNCHANGED not in sentence:
            return [UP, DOWN]
    return list(SHARES)


def _told(outcome: str, options: list[str], rng: random.Random) -> str:
    luck = rng.random()
    if luck < ABSTAINS:
        return ABSTAIN
    return rng.choice([o for o in options if o != outcome]) if luck < ABSTAINS + ERRS else outcome


def _guess(pair: Pair, options: list[str], skill: float, rng: random.Random) -> str:
    """Answer what the world implies with the probability `skill`; what the world cannot tell is drawn by lot."""
    implied = the_world().mechanism(*pair).effect if the_world().knows(*pair) else None
    if implied not in options:
        return rng.choices(options, [SHARES[o] for o in options])[0]
    return implied if rng.random() < skill else rng.choice([o for o in options if o != implied])
