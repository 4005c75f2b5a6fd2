"""Cut a block into sentences: sentencex finds them, in a copy that leaves it no doubt.

The copy has a character for each of the text's, so an offset in one is an offset in the other. A full stop that ends
no sentence is covered there, and what closes after a full stop (a quote, a bracket, emphasis) changes places with it.
Why sentencex: of eight libraries it and pysbd read most of the catalogue by themselves, also where a sentence begins
with p21, and pysbd takes quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version

from annotation.blocks import MARKER
from annotation.claims import FINITE
from curation.errors import BadInput

try:
    from sentencex import get_sentence_boundaries
except ImportError as e:
    raise BadInput("cutting a text needs sentencex: pip install 'synthpert[annotate]'") from e

LIBRARY = f"sentencex {version('sentencex')}"
COVER = "·"  # sentencex sees a letter in it
LONGEST_BRACKET = 400  # characters; a bracket that closes later closes another one

_SPACE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\u00ad]")
_ENDER = re.compile(r"[.!?。！？…]")
_ORDINARY = r"\s+[a-z]+(?:-[a-z]+)*(?![\w-])"  # a word that begins no sentence: p21 and mTORC1 can
_ALWAYS = r"e\.\s?g|i\.\s?e|cf|vs|viz|approx|ca|resp|al|figs?|eqs?|refs?|suppl|chr|sect|chap|drs?|prof|mrs?|ms|st"
_ALWAYS += r"|nat|natl|genet|proc|acad|sci|biol|chem"  # journals
_MID = r"etc|spp?|subsp|ssp|var|nos?|vol|pp?|incl|excl|conc|avg|temp|min|max|sec|hrs?|wt|mut|sim|est|esp|inc|eds?|tab"
_NO_END = re.compile(
    rf"(?<![^\W_])(?i:{_ALWAYS})\.(?=\s|[,;:)])"
    rf"|(?<![^\W_])(?i:{_MID})\.(?:(?=\s*[,;:)])|(?={_ORDINARY}))"
    r"|(?<![^\W_])(?i:nos?|vol|pp?|tab)\.(?=\s\d)"
    rf"|(?<![^\W_])[A-Z][a-z]?\.(?={_ORDINARY})"  # a genus
    r"|(?<![^\W_])(?:[A-Za-z]\.){2,6}(?=\s[a-z])"  # U.S. lab
    r"|(?<!\.)(?:\.\.+|…)(?=\s[a-z])"
)
# a number, or a "Step 2.", names what follows
_NUMBERED = r"(?:(?:Step|Point|Part|Stage|Fact|Reason|Option|Claim|Case|Evidence|Hypothesis) )?\d{1,2}\."
_LABEL = re.compile(rf"(?:^|(?<=[.!?:;] ))\W{{0,4}}{_NUMBERED}(?=\s+\W{{0,4}}\w)")
_ONLY_A_MARKER = re.compile(r"\W*(?:\d{1,3}|[A-Za-z]|[ivx]{2,4})\W*")
_LEAD_IN = re.compile(r"\s*(\*\*|__)((?:(?!\1).){1,60})\1")
_CLOSED = re.compile(r"(?<![.!?])([.!?]+)((?:[\"'”’»)\]*_`]|\[\d+(?:[-–,]\s?\d+)*\])+)(?=\s|$)")
_GOES_ON = re.compile(_ORDINARY)
# "complex I. The" and "vitamin C. RNA", but not "by J. Smith"
_TITLED = r"[a-z]\w+|Pol|Complex|Type|Class|Vitamin|Cyclin|Factor|Group|Gene|Protein|Subunit|Domain|Phase|Hepatitis"
_NAMED = re.compile(rf"(?<![\w-])({_TITLED}) (?=[A-Za-z]\.\s+[^a-z\s])")
_INITIAL_FOLLOWS = {"by", "of", "and", "with", "from", "to", "in", "for", "or", "the", "see", "as", "versus", "than"}
# sentencex takes no, min, mt, ms and may for abbreviations; those that are one here are covered by now
_SHORT_WORD = re.compile(r"(?<![\w.-])([A-Za-z]{2,6})\.(?=\s+\W{0,3}[A-Z])")
_MARKUP = re.compile(r"[()\[\]{}\"“”«»*`]")
_BRACKET = re.compile(r"[()\[\]{}“”«»]")
_PAIRS = {")": "(", "]": "[", "}": "{", "”": "“", "»": "«"}


def sentences(block: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sentence of a block. A list's number alone goes with what it numbers."""
    start = 0
    for end in _ends(block):
        if end == len(block) or not _ONLY_A_MARKER.fullmatch(block, start, end):
            yield trim(block, start, end)
            start = end


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a span without the white space, seen or unseen, at its ends."""
    while start < end and _SPACE.match(text, start):
        start += 1
    while end > start and _SPACE.match(text, end - 1):
        end -= 1
    return start, end


def _ends(block: str) -> list[int]:
    """Return where sentences end, the block's own end last."""
    return [found["end_index"] for found in get_sentence_boundaries("en", plain_copy(block))] or [len(block)]


def plain_copy(block: str) -> str:
    """Return a copy of the same length in which a full stop, and what else may end a sentence, does so if in doubt."""
    copy = _SPACE.sub(" ", block)
    if marker := MARKER.match(copy):
        copy = _cover(copy, 0, marker.end())
    if (lead := _LEAD_IN.match(copy)) and len(lead[2].split()) <= 6 and not FINITE.search(lead[2]):
        copy = _cover(copy, 0, lead.end())
    copy = _LABEL.sub(_covered, _NO_END.sub(_covered, copy)).replace("…", ".")
    copy = _cover_brackets(copy)
    copy = _NAMED.sub(_joined, copy)
    copy = _CLOSED.sub(_swapped, copy)
    copy = _SHORT_WORD.sub(lambda found: COVER * len(found[1]) + ".", copy)
    return _MARKUP.sub(COVER, copy)  # sentencex has its own ideas about what stands inside


def _cover(copy: str, start: int, end: int) -> str:
    """Cover what could end a sentence in a stretch of the copy."""
    return copy[:start] + _ENDER.sub(COVER, copy[start:end]) + copy[end:]


def _covered(found: re.Match[str]) -> str:
    return _ENDER.sub(COVER, found[0])


def _joined(found: re.Match[str]) -> str:
    """Join a letter to the word before it, so that it is taken for no initial."""
    return found[0] if found[1] in _INITIAL_FOLLOWS else f"{found[1]}_"


def _swapped(found: re.Match[str]) -> str:
    """Put what closes before the full stop; where an ordinary word goes on, nothing has ended."""
    if _GOES_ON.match(found.string, found.end()):
        return COVER * len(found[0])
    return COVER * len(found[2]) + found[1]


def _cover_brackets(copy: str) -> str:
    """Cover what ends sentences inside brackets and quotes, but for the last end of one that opens a sentence."""
    chars = list(copy)
    for start, end in _brackets(copy):
        inside = copy[start + 1 : end]
        opens = not copy[:start].strip() if start < 9 else copy[start - 2 : start].rstrip()[-1:] in (".", "!", "?")
        last = len(inside.rstrip(".!?")) if opens or copy[end] in "”»" else len(inside)
        chars[start + 1 : start + 1 + last] = _ENDER.sub(COVER, inside[:last])
    return "".join(chars)


def _brackets(copy: str) -> list[tuple[int, int]]:
    """Return the outermost pairs of brackets and of quotes that have a direction."""
    found: list[tuple[int, int]] = []
    opened: list[tuple[str, int]] = []
    for match in _BRACKET.finditer(copy):
        char, at = match[0], match.start()
        if char in _PAIRS.values():
            opened.append((char, at))
            continue
        while opened and opened[-1][0] != _PAIRS[char]:
            opened.pop()
        if opened and at - opened[-1][1] <= LONGEST_BRACKET:
            start = opened[-1][1]
            while found and found[-1][0] > start:
                found.pop()
            found.append((start, at))
        if opened:
            opened.pop()
    return found
