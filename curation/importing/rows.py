"""Rows: what a record says, as the calls to models that it stands for: a generator's answer and a critic's grade."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import orjson

from curation.importing.fields import PAIR, Fields, Odd
from curation.importing.records import Record
from curation.prompting import load
from curation.reading import read_trace
from curation.schema import LABELS, REHEARSAL, content_id

IMPORT, UNKNOWN = "import", "unknown"
APPROACHES = ("explain", "blind")
ANSWERED = "<think>\n{}\n</think>\n<answer>{}</answer>"
OUTCOME = re.compile("|".join(LABELS))
WORD = re.compile(r"\w+(?:[.-]\w+)*")  # with the symbols that hold a dot or a hyphen
GRADED = "<reasoning>\n{}\n</reasoning>\n<evaluation>{}</evaluation>"

Messages = list[dict[str, str]]


class Given(NamedTuple):
    """What holds for all rows that do not say it themselves."""

    generator: str = UNKNOWN
    critic: str = UNKNOWN
    approach: str = "explain"
    licence: str | None = None


class Row(NamedTuple):
    """One row that can be imported, but for what the benchmark has to say of it."""

    record: Record
    example: tuple[str, str, str]  # cell line, pert, gene
    label: str | None
    prompt: Messages
    text: str
    thinking: str | None
    generator: str
    prompt_hash: str | None
    approach: str
    evaluation: tuple[str, str] | None  # grade and justification, as they stand there
    critic: str
    simulated: bool
    finish_reason: str | None
    tokens_in: int | None
    tokens_out: int | None
    usd: float | None

    @property
    def example_id(self) -> str:
        """The id of its example."""
        return content_id(*self.example)

    @property
    def key(self) -> str:
        """What tells one trace from another, wherever it came from: its example and what it says."""
        read = read_trace(self.text, self.thinking)
        return content_id(IMPORT, self.example_id, read.answer or "", read.reasoning or self.text)

    @property
    def text_id(self) -> str:
        """The id of what it reasons, whatever example it is about."""
        return content_id(read_trace(self.text, self.thinking).reasoning or self.text)

    def grade_key(self, trace_id: str) -> str:
        """The same for its grade."""
        grade, justification = self.evaluation or ("", "")
        return content_id(IMPORT, trace_id, self.critic, grade, justification)

    def answered(self, request_id: str, outcome: str) -> dict[str, Any]:
        """Return the generator's answer in the columns of `responses`."""
        return {
            "request_id": request_id,
            "subject_id": self.example_id,
            "stage": "generate",
            "provider": REHEARSAL if self.simulated else IMPORT,
            "model": self.generator,
            "messages": self.prompt,
            "prompt": self.approach,
            "prompt_hash": self.prompt_hash,
            "outcome_shown": outcome if self.approach == "explain" else None,
            "text": self.text,
            "thinking": self.thinking,
            **{name: getattr(self, name) for name in ("finish_reason", "tokens_in", "tokens_out", "usd")},
        }

    def graded(self, request_id: str, trace_id: str) -> dict[str, Any]:
        """Return the critic's answer in the columns of `responses`."""
        grade, justification = self.evaluation or ("", "")
        rehearsed = self.simulated or self.critic.startswith(f"{REHEARSAL}/")
        model, _, prompt_hash = self.critic.removeprefix(f"{REHEARSAL}/").partition("@")
        return {
            "request_id": request_id,
            "subject_id": trace_id,
            "stage": "grade",
            "provider": REHEARSAL if rehearsed else IMPORT,
            "model": model,
            "messages": [],
            "prompt": "critic",
            "prompt_hash": prompt_hash or UNKNOWN,
            "text": grade if "<evaluation" in grade.lower() else GRADED.format(justification, grade),
        }


def parse(record: Record, fields: Fields, given: Given, lines: Mapping[str, str]) -> Row | None:
    """Return what a record says; None where it ends with the question, as a dataset's test rows do.

    Args:
        record: the record.
        fields: which column is which.
        given: what holds for rows that do not say it.
        lines: the benchmark's cell lines by their names in lower case.

    Raises:
        Odd: a value is missing, or none that a trace can have.
    """
    if record.odd:
        raise record.odd
    values = record.values
    messages = _messages(fields.get(values, "messages"))
    prompt, said = messages, None
    if messages and messages[-1]["role"] == "assistant":
        prompt, said = messages[:-1], messages[-1]["content"]
    example = _example(values, fields, messages, lines)
    text, thinking = _answer(values, fields, said)
    if text is None:
        return None
    prompt = prompt or _prompt(values, fields)
    return Row(
        record, example, _label(values, fields), prompt, text, thinking,
        generator=fields.text(values, "generator") or given.generator,
        prompt_hash=fields.text(values, "generator_prompt") or _prompt_hash(prompt, example),
        approach=_approach(values, fields, given),
        evaluation=_evaluation(values, fields),
        critic=_critic(fields.text(values, "critic") or given.critic),
        simulated=_simulated(fields.get(values, "simulated")),
        finish_reason=fields.text(values, "finish_reason"),
        tokens_in=fields.number(values, "tokens_in", int),
        tokens_out=fields.number(values, "tokens_out", int),
        usd=fields.number(values, "usd", float),
    )  # fmt: skip


def _messages(found: Any) -> Messages:
    """Return a chat, also where a CSV file holds it as JSON."""
    if isinstance(found, str):
        try:
            found = orjson.loads(found)
        except orjson.JSONDecodeError as e:
            raise Odd("messages", "no chat", f"no JSON ({e.msg})", "a list of {role, content}") from None
    chat = found or []
    if not isinstance(chat, list) or not all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in chat
    ):
        raise Odd("messages", "no chat", repr(found)[:60], "a list of {role, content}, both texts")
    return [{"role": m["role"], "content": m["content"]} for m in chat]


def _example(
    values: Mapping[str, Any], fields: Fields, messages: Messages, lines: Mapping[str, str]
) -> tuple[str, str, str]:
    """Return cell line, pert and gene: of the columns, else of the words of the standard query."""
    asked = _asked(next((m["content"] for m in reversed(messages) if m["role"] == "user"), ""))
    found = []
    for name in PAIR:
        value = fields.text(values, name) or asked.get(name)
        if not value:
            wanted = "a name" if name in fields.columns else "a column for it, or the standard query in the chat"
            raise Odd(name, "no pair", "nothing", wanted)
        found.append(value.strip())
    if found[0].lower() not in lines:
        raise Odd("cell_line", "unknown cell line", repr(found[0]), f"one of {', '.join(sorted(lines.values()))}")
    return lines[found[0].lower()], found[1], found[2]


@cache
def _query() -> re.Pattern[str]:
    """Return what finds the pair in the standard query."""
    parts = re.split(r"\{(\w+)\}", load("standard").user)
    return re.compile("".join(rf"(?P<{p}>\S+)" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


def _asked(query: str) -> Mapping[str, str]:
    found = _query().search(query)
    return found.groupdict() if found else {}


def _answer(values: Mapping[str, Any], fields: Fields, said: str | None) -> tuple[str | None, str | None]:
    """Return the generator's words and, where it stands apart from them, its reasoning."""
    response, reasoning, answer = (fields.text(values, name) for name in ("response", "reasoning", "answer"))
    if response is not None:
        return response, reasoning
    if said is not None or "messages" in fields.columns:
        return said, None
    if reasoning is None and answer is None:
        raise Odd("response" if "response" in fields.columns else "reasoning", "no answer", "nothing", "a trace")
    return ANSWERED.format(reasoning or "", answer or ""), None


def _prompt(values: Mapping[str, Any], fields: Fields) -> Messages:
    said = {role: fields.text(values, role) for role in ("system", "user")}
    return [{"role": role, "content": content} for role, content in said.items() if content]


def _prompt_hash(prompt: Messages, example: tuple[str, str, str]) -> str | None:
    """Return the version of a prompt: the hash of its text with what changes from row to row taken out."""
    if not prompt:
        return None
    line, pert, gene = example
    names = {line: "{cell_line}", line.lower(): "{cell_line}", pert: "{pert}", gene: "{gene}"}

    def plain(found: re.Match[str]) -> str:
        word = found[0]
        return names.get(word) or "".join(names.get(part, part) for part in re.split(r"([.-])", word))

    return content_id(*(WORD.sub(plain, OUTCOME.sub("{outcome}", m["content"])) for m in prompt))


def _label(values: Mapping[str, Any], fields: Fields) -> str | None:
    found = fields.text(values, "label")
    if found is not None and found.strip().lower() not in LABELS:
        raise Odd("label", "no label", repr(found)[:60], f"one of {', '.join(LABELS)}")
    return found and found.strip().lower()


def _approach(values: Mapping[str, Any], fields: Fields, given: Given) -> str:
    found = fields.text(values, "approach") or given.approach
    if found not in APPROACHES:
        raise Odd("approach", "no approach", repr(found), f"one of {', '.join(APPROACHES)}")
    return found


def _evaluation(values: Mapping[str, Any], fields: Fields) -> tuple[str, str] | None:
    grade, justification = fields.text(values, "grade"), fields.text(values, "justification")
    return (grade.strip(), (justification or "").strip()) if grade else None


def _critic(name: str) -> str:
    return name if "@" in name else f"{name}@{UNKNOWN}"


def _simulated(found: Any) -> bool:
    if found is None or isinstance(found, bool):
        return bool(found)
    if str(found).lower() in ("true", "false"):
        return str(found).lower() == "true"
    raise Odd("simulated", "neither true nor false", repr(found)[:60], "true or false")
