"""Clean a reply, find its tagged blocks, and tell which of them count."""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from typing import NamedTuple

LONGEST = 4000  # characters in an answer or a grade; more is an essay, not a choice

_TAG = re.compile(
    r"<\s*(?P<close>/\s*)?(?P<name>think|answer|reasoning|evaluation)(?:(?<=think)ing)?(?:[\s/][^<>]*)?>",
    re.IGNORECASE,
)
_ESCAPED_TAG = re.compile(r"&(?:amp;)*(?:lt|#60|#x3c);\s*(?:/\s*)?(?:think|answer|reasoning|evaluation)", re.IGNORECASE)
_CUT_TAG = re.compile(r"<\s*/?\s*(\w*)\s*$")

# Chat templates of Llama 3, ChatML, DeepSeek, Gemma, Mistral, Phi and gpt-oss. The start of another turn ends
# the reply as well; gpt-oss closes its analysis with <|end|> and goes on as the assistant in the same reply.
_BEGIN = re.compile(
    r"(?:\s*(?:<\|begin_of_text\|>|<s>|<bos>|<｜begin▁of▁sentence｜>|<｜Assistant｜>|<\|assistant\|>"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<\|im_start\|>assistant\b|<start_of_turn>model\b))+"
)
_END = re.compile(
    r"<\|(?:eot_id|eom_id|im_end|endoftext|end_of_text|end_of_turn|return|start_header_id|im_start|user)\|>"
    r"|<\|end\|>(?!\s*<\|start\|>assistant)|<[|｜](?:end▁of▁sentence|User)[|｜]>"
    r"|</s>|<eos>|<end_of_turn>|<start_of_turn>|\[INST\]"
)

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufe0e\ufe0f\ufeff]")
_QUOTES = str.maketrans("‘’‛´“”„«»′", "''''\"\"\"\"\"'")
_HYPHENS = re.compile("[\u2010-\u2015\u2212]")
_MARKUP = re.compile(
    r"</[a-z][^<>]*>|<(?:b|i|u|em|strong|p|br|span|div|code)\b[^<>]*>"
    r"|\\[a-z]+(?=\s*\{)|\\[nrt]|(?<!\w)'|'(?!\w)|[\"`*~#_$\\{}]"
)
_REFUSAL = re.compile(
    r"^\W*sorry\b|\bi(?:'m| am) (?:\w+ )?sorry\b|\bi apologi[sz]e\b|\bas an ai\b|\bi must decline\b"
    r"|\bi(?: can't| cannot| won't|'m unable to| am unable to| am not able to)"
    r" (?:assist|help|comply|answer|provide|evaluate|rate|assess|fulfil|do (?:that|this))"
)


class Reading(NamedTuple):
    """What a block says: a value, or the reason why it has none."""

    value: str | None
    reason: str | None


class Block(NamedTuple):
    """The text of one answer or evaluation tag; `ended` is false where the reply stops inside it."""

    text: str
    ended: bool


class Layout(NamedTuple):
    """The blocks that count, and the reasoning with the state it was found in."""

    blocks: list[Block]
    reasoning: str | None
    state: str


def clean(text: str, wanted: str) -> str:
    """Cut off what is not the reply, and unescape it where its tags were HTML-escaped on the way here."""
    text = text[begin.end() :] if (begin := _BEGIN.match(text)) else text
    text = text[: end.start()] if (end := _END.search(text)) else text
    for _ in range(3):  # escaped by an API, by a CSV writer, by a web page
        if has_tag(text, wanted) or not _ESCAPED_TAG.search(text):
            break
        text = html.unescape(text)
    return text


def plain(text: str) -> str:
    """Lower-case words on one line: no markup, quotes or LaTeX, every hyphen inside a word a blank.

    A dash that parts two clauses becomes a semicolon, a paragraph break a full stop.
    """
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", html.unescape(text))).translate(_QUOTES).lower()
    text = re.sub(r"(?<!\bup)(?<!\bdown)\u2014", "; ", text)
    text = _HYPHENS.sub("-", text)
    text = re.sub(r"\\(up|down)arrow", r" \1 ", text)
    text = re.sub(r"\((\w+ly)\)", r"\1", text)  # "not (significantly) changed" is one clause
    text = re.sub(r"\n\s*\n", ". ", text.strip())
    text = _MARKUP.sub(" ", text)
    text = re.sub(r"(?<=\w)-(?=\w)", " ", text)
    return re.sub(r"\s+-+\s+", " ; ", re.sub(r"\s+", " ", text)).strip()


def has_tag(text: str, name: str) -> bool:
    """Tell whether a tag of this name, opening or closing, stands in the text."""
    return any(tag["name"].lower() == name for tag in _TAG.finditer(text))


def is_refusal(text: str) -> bool:
    """Tell whether a reply begins with an apology or a refusal to answer."""
    return bool(_REFUSAL.search(plain(text[:300])))


def lay_out(text: str, inner: str, outer: str) -> Layout:
    """Find the `outer` blocks (answer) and the `inner` reasoning (think) of a cleaned reply.

    A block ends at its closing tag, at the next tag of its kind, or with the reply. Blocks outside the reasoning
    win over those inside it, which may only quote the form asked for. States: ok, missing, unclosed, empty,
    contains_<outer>, after_<outer>, nested, unopened.
    """
    tags = [tag for tag in _TAG.finditer(text) if tag["name"].lower() in (inner, outer)]
    outers = [tag for tag in tags if tag["name"].lower() == outer]
    spans = _reasoning_spans(tags, inner, max((tag.start() for tag in outers if not tag["close"]), default=-1))
    starts = [span.start for span in spans]

    inside: list[Block] = []
    outside: list[Block] = []
    for i, tag in enumerate(outers):
        if tag["close"]:
            continue
        end = outers[i + 1].start() if i + 1 < len(outers) else len(text)
        block = Block(_without(text[tag.end() : end], inner), i + 1 < len(outers))
        at = bisect_right(starts, tag.start()) - 1
        (inside if at >= 0 and spans[at].holds(tag.start()) else outside).append(block)
    opened = [tag.start() for tag in outers if not tag["close"]]
    return Layout(list(dict.fromkeys(_told(outside or inside))), *_reasoning(text, spans, opened, outer, bool(inside)))


def settle(readings: list[Reading], idle: set[str], conflict: str) -> Reading:
    """Make one reading of several: equal ones count once, `idle` ones not beside others, different ones clash."""
    distinct = list(dict.fromkeys([r for r in readings if r.reason not in idle] or readings))
    if len(distinct) > 1 and any(reading.value for reading in distinct):
        return Reading(None, conflict)
    return distinct[0]


def unanswered(text: str, inner: str, outer: str, cut: bool) -> Reading:
    """Say why a reply holds no block: blank, `cut` off, a refusal, or the tag is just not there."""
    if not text.strip():
        return Reading(None, "empty_output")
    half = _CUT_TAG.search(text[-40:])
    if cut or (half and any(name.startswith(half[1].lower()) for name in (inner, outer))):
        return Reading(None, "truncated")
    said = text[text.lower().rfind(f"</{inner}>") + 1 :]
    return Reading(None, "refusal" if is_refusal(said) else f"missing_{outer}")


class _Span:
    """One stretch of reasoning; `end` stays None until a closing tag is seen."""

    def __init__(self, start: int, opens: int) -> None:
        self.start, self.opens = start, opens
        self.end: int | None = None

    def holds(self, position: int) -> bool:
        return self.start <= position and (self.end is None or position < self.end)


def _reasoning_spans(tags: list[re.Match[str]], inner: str, last_block: int) -> list[_Span]:
    """Join inner tags to spans: a new one only after a block, and the last closing tag ends it.

    A reply may quote its own tags, so a later closing tag moves the end (ollama PR 17125), unless no block follows.
    """
    spans: list[_Span] = []
    block_since = False
    for tag in tags:
        closed = bool(spans) and spans[-1].end is not None
        if tag["name"].lower() != inner:
            block_since = block_since or not tag["close"]
        elif not tag["close"]:
            if not spans or (closed and block_since):
                spans.append(_Span(tag.end(), 0))
            spans[-1].opens += 1
            spans[-1].end, block_since = None, False
        elif not closed or tag.start() < last_block:
            if not spans:  # the chat template of R1-type models ends the prompt with the opening tag
                spans.append(_Span(0, 0))
            spans[-1].end, block_since = tag.start(), False
    return spans


def _reasoning(text: str, spans: list[_Span], opened: list[int], outer: str, holds: bool) -> tuple[str | None, str]:
    """Return the first span's text and the state of all."""
    if not spans:
        return None, "missing"
    first, last = spans[0], spans[-1]
    end = first.end if first.end is not None else next((at for at in opened if at > first.start), len(text))
    body = text[first.start : end].strip()
    if last.end is None:
        return body, "unclosed"
    if not re.search(r"\w", body):
        return None, "empty"
    if holds:
        return body, f"contains_{outer}"
    if opened and opened[0] < last.start:
        return body, f"after_{outer}"
    return body, {0: "unopened", 1: "ok"}.get(first.opens, "nested")


def _without(text: str, inner: str) -> str:
    """Take a reasoning block out of an answer or evaluation."""
    tags = [tag for tag in _TAG.finditer(text) if tag["name"].lower() == inner] if "<" in text else []
    if not tags or tags[0]["close"]:
        return text
    return text[: tags[0].start()] + " " + (text[tags[-1].end() :] if tags[-1]["close"] else "")


def _told(blocks: list[Block]) -> list[Block]:
    """Drop a blank block that the reply stops in when others stand before it: often a miswritten closing tag."""
    return blocks[:-1] if len(blocks) > 1 and not blocks[-1].ended and not blocks[-1].text.strip() else blocks
