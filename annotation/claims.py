"""Tell two claims of one sentence apart, so that an expert can say of one that it is true and of the other not.

The paper's Appendix B rates the halves of such a sentence differently. A cut in the wrong place leaves a fragment that
nobody can judge, which is worse than no cut: so a sentence is cut only where a semicolon, or a comma with and, but,
yet, while or whereas, has a whole claim on either side, with a subject and a finite verb of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

FEWEST = 4  # words in a claim: "ATP falls" belongs to what it follows from
LONGEST = 2_000  # characters; a longer sentence is no prose


def _verbs() -> list[str]:
    lines = (resources.files("annotation") / "verbs.txt").read_text("utf-8").splitlines()
    return [verb for line in lines if not line.startswith("#") for verb in line.split()]


FINITE = re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(_verbs(), key=len, reverse=True))})(?![\w-])", re.IGNORECASE)
# what follows one of these is no finite verb of its own
_HELPED = re.compile(
    r"(?<![\w-])(to|helps?|can|could|may|might|must|will|would|should|shall|cannot|do|does|did|not)"
    r"\s+(?:not\s+)?(?:\w+ly\s+)?\w+",
    re.IGNORECASE,
)
# a clause that hangs on another needs a verb beside its own
_DEPENDENT = re.compile(
    r"(?<![\w-])(?:which|who|whose|whom|where|when|while|whereas|because|although|though|since|after|before|once|until"
    r"|unless|if|as)(?![\w-])",
    re.IGNORECASE,
)
_GOVERNS = re.compile(r"(?<![\w-])(?:that|whether|if|unless|neither|either|both|because)(?![\w-])", re.IGNORECASE)

_CUT = re.compile(r";\s+|,\s+(?=(and|but|yet|while|whereas)\s)")
_LINK = re.compile(
    r"^(?:(?:and|but|yet|while|whereas|however|instead|thus|therefore|hence|then|indeed|moreover|furthermore|so"
    r"|consequently|accordingly|conversely|likewise|similarly|otherwise|here|in\s+turn|as\s+a\s+result|in\s+contrast)"
    r",?\s+)*",
    re.IGNORECASE,
)
# with these a phrase goes on whose subject is the other claim's
_NO_SUBJECT = re.compile(
    r"(?:\w+ly|\w+ing|\w+ed|not|to|also|even|only|more|less|then|of|in|on|at|by|for|from|via|with|without|through|during"
    r"|which|who|whose|that|as|perhaps|still|later|again|often|never|rather|if|when|because|since)(?![\w-])",
    re.IGNORECASE,
)
_STOPS_SUBJECT = re.compile(r",|(?<![\w-])(?:which|who|whose|whom|that|to|if|when|because)(?![\w-])")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\"[^\"]*\"|“[^”]*”|«[^»]*»")


def claims(sentence: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each claim of a sentence; one that is not cut comes back whole."""
    start = 0
    if len(sentence) <= LONGEST and ("," in sentence or ";" in sentence):
        plain = _BRACKETS.sub(lambda found: "x" * len(found[0]), sentence)  # nothing is cut inside
        cuts = list(_CUT.finditer(plain))
        ends = [cut.start() for cut in cuts[1:]] + [len(plain)]
        for cut, end in zip(cuts, ends, strict=False):
            after = plain[cut.end() : end]
            if _parts(plain[start : cut.start()], after, cut[1]):
                yield start, cut.start() + 1
                start = cut.end()
    yield start, len(sentence)


def _parts(before: str, after: str, conjunction: str | None) -> bool:
    """Tell whether a cut has a claim on either side; without a conjunction it is a semicolon's."""
    if conjunction and _GOVERNS.search(before):
        return False  # "it may be that A falls, and B rises" says neither of the two
    return _is_claim(before) and _is_claim(after) and (_has_subject(after) or not conjunction)


def _is_claim(part: str) -> bool:
    own = _HELPED.sub(r"\1", _LINK.sub("", part, count=1))
    return len(part.split()) >= FEWEST and len(FINITE.findall(own)) > len(_DEPENDENT.findall(own))


def _has_subject(part: str) -> bool:
    """Tell whether a subject of its own stands before the first verb."""
    own = _LINK.sub("", part, count=1)
    verb = FINITE.search(own)
    subject = own[: verb.start()] if verb else ""
    return bool(subject.strip()) and not _NO_SUBJECT.match(own) and not _STOPS_SUBJECT.search(subject)
