"""Read a critic's evaluation: one grade of the scale, said without reserve, or the reason why there is none.

Only "excellent" traces are kept for training (paper, section 3), so in doubt a grade is not read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from curation.reading.tags import LONGEST, Block, Reading, clean, is_refusal, lay_out, plain, settle, unanswered

GRADES = ("excellent", "good", "average", "bad", "terrible")

_TAG = re.compile(r"<\s*(/?\s*(?:think|reasoning|evaluation))\b[^<>]*>", re.IGNORECASE)
_GRADE = re.compile(rf"\b(?:{'|'.join(GRADES)})\b")
_DENIAL = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|\w+n't|hardly|than|instead of|as opposed to|far from|unlikely|without)\b"
    r"(?! doubt\b)"
)
_CLAUSE_END = re.compile(r"[.,;:!?()\[\]]")
_RATIO = re.compile(r"(\d+(?:\.\d+)?) ?(?:/|out of) ?(\d+)")
_RESERVE = re.compile(
    r"\b(?:but|however|although|though|except|apart from|aside from|despite|yet|whereas|while|unless|if|otherwise"
    r"|(?:would|could|might|may) (?:\w+ )?be|could|partly|partially|mostly|minor|at (?:best|most)"
    r"|with (?:some|a few|slight)|as far as|borderline|almost|nearly|not quite|to some (?:extent|degree))\b"
)
_FLAW = re.compile(
    r"(?<!\bno )(?<!\bany )(?<!\bno major )(?<!\bwithout )"
    r"\b(?:lack(?:s|ing)?|miss(?:es|ing)|weak(?:ness(?:es)?)?|flaws?|flawed"
    r"|errors?|mistakes?|incorrect|wrong|inaccura\w+|vague|unsupported|fails?|incomplete|poor|gaps?"
    r"|caveats?|reservations?|limit\w+|somewhat|too|not|\w+n't)\b"
)
# What may stand before and after the grade in its clause; any other word may take something from it.
_BEFORE = {"is", "are", "was", "be", "as", "a", "an", "the", "it", "this", "therefore", "thus", "final", "overall"}
_BEFORE |= {"rated", "considered", "deemed", "verdict", "assessment"}
_AFTER = {"reasoning", "logic", "explanation", "work", "analysis", "trace", "overall", "quality"}
_AFTER |= {"evaluation", "rating", "grade", "score"}
_BEFORE |= _AFTER
_OPENS_REASON = {"because", "since", "as", "due", "with", "that", "which", "and", "rather"}
_FILLER = {"your", "the", "evaluation", "grade", "rating", "score", "value", "option", "here", "insert", "choose"}
_FILLER |= {"one", "single", "of", "to", "or", "either", "and", "tag", "tags"}


class GradeReading(NamedTuple):
    """An evaluation as read: `grade` or the `reason` for none, the justification and the state it was found in.

    `reasoning` is ok, missing, unclosed, empty, unopened, nested or contains_evaluation.
    """

    grade: str | None
    reason: str | None
    reasoning: str
    justification: str | None


def read_grade(text: str | None) -> GradeReading:
    """Read a critic's reply; the critic's own leading think block is not part of it.

    The original code took the exact word alone, which drops "excellent." and the "[excellent]" that its own
    prompt shows; reading more loosely must not let "very good" or "not excellent" through.
    """
    whole = clean(text or "", "evaluation")
    reply = _after_thinking(whole)
    layout = lay_out(reply, "reasoning", "evaluation")
    state = "ok" if layout.state == "after_evaluation" else layout.state  # the paper's own user query asks for it
    if layout.blocks:
        idle = {"empty_evaluation", "template_echo"}
        found = settle([read_evaluation(block) for block in layout.blocks], idle, "conflicting_grades")
    else:
        cut = "unclosed" in (state, lay_out(reply, "think", "evaluation").state)
        found = unanswered(reply if reply.strip() else whole, "reasoning", "evaluation", cut)
    return GradeReading(found.value, found.reason, state, layout.reasoning)


def read_evaluation(block: Block) -> Reading:
    """Read the wording of one evaluation block."""
    if not block.text.strip():
        return Reading(None, "empty_evaluation" if block.ended else "truncated")
    if len(block.text) > LONGEST:
        return Reading(None, "unknown_grade" if block.ended else "truncated")
    words = plain(re.sub(r"\n", ". ", block.text.strip()))
    if not block.ended:
        word = re.sub(r"<[^<>]*$", "", words).strip(" .!:;,[]()")
        return Reading(word, None) if word in GRADES else Reading(None, "truncated")
    if not re.search(r"\w", words):
        return Reading(None, "template_echo" if ".." in words else "empty_evaluation")
    return _judge(words)


def _judge(words: str) -> Reading:
    """Take the one grade that is affirmed, if nothing said beside it takes something away."""
    found = list(_GRADE.finditer(words))
    if not found:
        if set(re.findall(r"\w+", words)) <= _FILLER:
            return Reading(None, "template_echo")
        return Reading(None, "refusal" if is_refusal(words) else "unknown_grade")
    affirmed = [grade for grade in found if not _DENIAL.search(_clause_before(words, grade.start()))]
    if not affirmed:
        return Reading(None, "negated_grade")
    grades = {grade[0] for grade in affirmed}
    if len(grades) > 1:
        rest = set(re.findall(r"[^\W\d]+", _GRADE.sub(" ", words)))
        return Reading(None, "template_echo" if len(grades) == len(GRADES) and rest <= _FILLER else "several_grades")
    if _is_qualified(words, affirmed[0]):
        return Reading(None, "qualified_grade")
    return Reading(affirmed[0][0], None)


def _is_qualified(words: str, grade: re.Match[str]) -> bool:
    """Tell whether the words around the grade, a reserve, a flaw or a score take something from it."""
    if _RESERVE.search(words) or re.match(r" ?[+?]| ?-(?!\w)| (?:plus|minus|ish)\b", words[grade.end() :]):
        return True
    if grade[0] == GRADES[0]:
        ratios = _RATIO.findall(words)
        if _FLAW.search(words) or any(float(got) < float(best) for got, best in ratios):
            return True
    before = re.findall(r"[a-z']+", _clause_before(words, grade.start()))
    after = re.findall(r"[a-z']+", _CLAUSE_END.split(_RATIO.sub(" ", words[grade.end() :]), maxsplit=1)[0])
    if before and before[-1] not in _BEFORE and before[-2:] != ["rating", "of"]:
        return True
    first_reason = next((i for i, word in enumerate(after) if word in _OPENS_REASON), len(after))
    return not set(after[:first_reason]) <= _AFTER


def _clause_before(words: str, end: int) -> str:
    return _CLAUSE_END.split(words[:end])[-1]


def _after_thinking(text: str) -> str:
    """Drop the critic's own thinking, up to the last </think> before a block; one quoted by a block stays."""
    tags = list(_TAG.finditer(text))
    ends = [tag.end() for tag in tags if tag[1].startswith("/") and tag[1].lower().endswith("think")]
    if not ends or not tags[0][1].lower().endswith("think"):
        return text
    last_block = max((tag.start() for tag in tags if tag[1].lower() in ("reasoning", "evaluation")), default=len(text))
    return text[max((end for end in ends if end <= last_block), default=ends[-1]) :]
