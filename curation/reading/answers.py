"""Read the answer of a trace: the label its wording affirms, or the reason why there is none."""

from __future__ import annotations

import re
from typing import NamedTuple

from curation.reading.tags import (
    LONGEST,
    Block,
    Reading,
    clean,
    has_tag,
    is_refusal,
    lay_out,
    plain,
    settle,
    unanswered,
)

LABELS = UP, DOWN, SAME = ("upregulated", "downregulated", "not differentially expressed")
ABSTAIN = "I do not know"

# "up" and "down" alone, but not as a part of another expression ("up-regualted", "up to", "down the line").
_ALONE = (
    r"(?=\W*$| ?[^\w\s]| (?:and|or|nor|in|on|upon|after|when|following|because|due|since|via|rather|instead|not|but"
    r"|than|with|by|for|however|though|strongly|slightly|significantly)\b)"
)
_DE = r"(?:differential(?:ly)? (?:gene )?(?:expressed|expression|regulated)|de(?! novo)\b)"
_WORDS = {
    "other": r"(?:knock|broken?|break|shut|slow)(?:ed|s|ing)? ?down|(?:follow|set|scale|make)s? up"
    r"|not (?:only|just|merely)|no doubt|without (?:a |any )?doubt|as (?:well as|expected)",
    "abstain": r"(?:(?:(?:do|does|did|can|could) not|\w+n't|dont|cannot|(?:unable|not able|impossible|not possible|hard"
    r"|difficult) to)(?: \w+ly)? (?:know|tell|say|determine|decide|predict|conclude|infer"
    r"|be (?:known|told|said|determined|decided|predicted|concluded|inferred|established))"
    r"|(?:not|\w+n't)(?: \w+ly| yet| well| quite)? (?:known|sure|certain|clear|determined|determinable|conclusive)"
    r"|unknown|unsure|uncertain|unclear|undetermined|indeterminate|undecided|inconclusive|ambiguous|idk|no idea"
    r"|(?:insufficient|not enough|too little) (?:\w+ )?(?:information|evidence|data|knowledge))(?: whether| if)?",
    "same": rf"(?:not|non|no)(?: \w+ly)* {_DE}|nondifferentially expressed|nde|un ?(?:changed|affected|altered)"
    r"|not significant(?! ?\w)|(?:remain|stay)(?:s|ed)? (?:the same|stable|constant)",
    "up": rf"up ?regulat(?:ed|ing|ion)|increas(?:e[sd]?|ing)|elevat(?:ed|ion)|higher|over ?expressed|up{_ALONE}",
    "down": r"down ?regulat(?:ed|ing|ion)|decreas(?:e[sd]?|ing)|reduc(?:ed|es?|ing|tion)|lower(?:ed|s|ing)?"
    rf"|under ?expressed|down{_ALONE}",
    "de": rf"{_DE}|degs?|(?:dys|de|mis)regulated",
    "change": r"chang(?:e[sd]?|ing)|alter(?:ed|s|ations?)|affect(?:ed|s|ing)?|effects?|impact(?:ed|s)?"
    r"|differen(?:ces?|t)|(?:mis |dys )?regulated|modulated",
    "deny": r"not|non|no|nothing|none|insignificant|negligible|never|neither|nor|cannot|\w+n't|isnt|hardly|unlikely"
    r"|less likely|without|lack of|absence of|opposite of|anything but|rather than|instead of|as opposed to|than",
    "whether": r"whether",
    "cause": r"because|due to|since|owing to|thanks to|as a result of|via|through|given that"
    r"|(?:caused|driven|mediated) by|in response to"
    r"|as(?= (?:its?|the|this|gene|loss|\w+ (?:\w+ )?(?:is|increases|decreases|reduces|represses)))",
    "join": r"and|or|then",
    "stop": r"but|however|although|though|instead|yet|while|whereas|which|so|thus|therefore|hence",
}
_MENTION = re.compile(
    "|".join(rf"(?P<{kind}>\b(?:{words})\b)" for kind, words in _WORDS.items())
    + r"|(?P<arrow_up>[↑⇑⬆▲])|(?P<arrow_down>[↓⇓⬇▼])|(?P<mark>[][.,;:!?()/|])"
)
_MOODS = {"deny": "denied", "cause": "aside", "whether": "asked"}
_LABEL_AHEAD = re.compile(r"\W*(?:\w+ )?(?:up|down) ?regulated\b")
_COMPLETE = re.compile(
    r"\W*(?:(?:\d|[a-d]|answer)\W+)?(?:up ?regulated|down ?regulated|no[tn] (?:\w+ly )*differentially expressed"
    r"|i (?:do not|don't) know)\W*"
)
_PLACEHOLDER = {"your", "the", "final", "answer", "answers", "label", "choice", "option", "options", "prediction"}
_PLACEHOLDER |= {"solution", "insert", "choose", "chosen", "selected", "goes", "here", "one", "of", "from", "either"}
_PLACEHOLDER |= {"or", "and", "tag", "tags"}


_LEFT_TAG = re.compile(r"</?\s*(think|answer)", re.I)


class TraceReading(NamedTuple):
    """A trace as read: `answer` (a label or ABSTAIN) or the `reason` for none, and the reasoning with its state.

    `think` is ok, unopened, missing, after_answer, contains_answer, nested, unclosed, empty or field.
    """

    answer: str | None
    reason: str | None
    think: str
    reasoning: str | None


def read_trace(text: str | None, thinking: str | None = None) -> TraceReading:
    """Read a generator's reply; `thinking` is the API's own reasoning field, used where the text has no reasoning.

    Rules: tests/cases/parse_cases.jsonl. The original code took the first label found as a substring, so
    that an echo of the options or a denial became "upregulated".
    """
    reply = clean(text or "", "answer")
    layout = lay_out(reply, "think", "answer")
    state, reasoning = layout.state, layout.reasoning
    if state in ("missing", "empty") and thinking and thinking.strip():
        state, reasoning = "field", thinking.strip()
        if has_tag(reasoning, "answer"):
            state = "contains_answer"
    if layout.blocks:
        idle = {"empty_answer", "template_echo"}
        found = settle([read_answer(block) for block in layout.blocks], idle, "conflicting_answers")
    else:
        found = unanswered(reply, "think", "answer", layout.state == "unclosed")
    return TraceReading(found.value, found.reason, state, reasoning)


def is_valid(read: TraceReading) -> bool:
    """Tell whether a dataset may hold a trace: it has an answer, and reasoning that is whole and holds no tag."""
    whole = read.think in ("ok", "unopened", "field") and bool(read.reasoning)
    return read.answer is not None and whole and not _LEFT_TAG.search(read.reasoning or "")


def read_answer(block: Block) -> Reading:
    """Read the wording of one answer block."""
    if not block.text.strip():
        return Reading(None, "empty_answer" if block.ended else "truncated")
    if len(block.text) > LONGEST:
        return Reading(None, "unknown_label" if block.ended else "truncated")
    words = plain(block.text if block.ended else re.sub(r"<[^<>]*$", "", block.text))
    if not block.ended and not _COMPLETE.fullmatch(words):
        return Reading(None, "truncated")
    if not re.search(r"[\w↑⇑⬆▲↓⇓⬇▼]", words):
        return Reading(None, "template_echo" if ".." in words else "empty_answer")
    return _judge(words)


def _judge(words: str) -> Reading:
    """Weigh what is affirmed against what is denied."""
    affirmed, denied = _mentions(words)
    if affirmed & {SAME, ABSTAIN} and "de" in affirmed:  # "not DE" beside "DE"; "DE, direction unknown"
        return Reading(None, "several_labels" if SAME in affirmed else "no_direction")
    labels = affirmed - {"de", "change"}
    if len(labels) > 1:
        return Reading(None, "template_echo" if _is_menu(words, labels) else "several_labels")
    if labels:
        return Reading(None, "negated_label") if labels & denied else Reading(labels.pop(), None)
    if denied == {UP, DOWN} and "de" not in affirmed:
        return Reading(SAME, None)
    if denied or affirmed:
        return Reading(None, "negated_label" if denied else "no_direction")
    if set(re.findall(r"\w+", words)) <= _PLACEHOLDER:
        return Reading(None, "template_echo")
    return Reading(None, "refusal" if is_refusal(words) else "unknown_label")


def _mentions(words: str) -> tuple[set[str], set[str]]:
    """Go once through the words and return what is affirmed and what is denied.

    The mood holds to the end of the clause: plain, denied ("not"), doubted ("not X and Y"), aside (a cause, or
    what is not known), asked ("whether X, Y or Z": to the end of the sentence).
    """
    affirmed: set[str] = set()
    denied: set[str] = set()
    mood = "plain"
    for found in _MENTION.finditer(words):
        kind, word = found.lastgroup or "", found[0]
        if kind in _MOODS:
            mood = _MOODS[kind] if mood != "asked" and (kind, mood) != ("deny", "aside") else mood
        elif kind in ("stop", "mark"):
            mood = _mood_after(mood, word)
        elif kind == "join":
            if mood == "denied" and word == "and":
                mood = "doubted"
            elif mood == "aside" and _LABEL_AHEAD.match(words, found.end()):
                mood = "plain"
        elif kind == "abstain":
            affirmed.add(ABSTAIN)
            mood = "asked" if word.endswith((" whether", " if")) else "aside"
        elif kind != "other" and mood not in ("aside", "asked"):
            _note(kind, mood, affirmed, denied)
    return affirmed, denied


def _mood_after(mood: str, stop: str) -> str:
    """A comma or bracket does not end a question, and a slash goes on with what is denied."""
    if mood == "asked":
        return mood if stop in ",()/|" else "plain"
    return mood if stop in "/|" and mood != "aside" else "plain"


def _note(kind: str, mood: str, affirmed: set[str], denied: set[str]) -> None:
    """Enter one mention; a doubted direction enters on both sides, so that it is not taken for a label."""
    if kind in ("de", "change"):
        if mood != "doubted":
            affirmed.add(SAME if mood == "denied" else kind)
        return
    label = {"same": SAME, "up": UP, "arrow_up": UP, "down": DOWN, "arrow_down": DOWN}[kind]
    if mood in ("plain", "doubted"):
        affirmed.add(label)
    if mood == "denied" or (mood == "doubted" and label != SAME):
        denied.add(label)


def _is_menu(words: str, labels: set[str]) -> bool:
    """Tell a list of the options from a choice of several: all three, or both directions numbered or bracketed."""
    options = ("same", "up", "down", "abstain")
    rest = _MENTION.sub(lambda found: " " if found.lastgroup in options else found[0], words)
    left = {word for word in re.findall(r"[^\W\d]+|\d", rest) if len(word) > 1 or word.isdigit()}
    if not {word for word in left if not word.isdigit()} <= _PLACEHOLDER:
        return False
    if labels >= set(LABELS):
        return True
    return labels == {UP, DOWN} and (left >= {"1", "2"} or bool(re.fullmatch(r"\[.*\]", words)))
