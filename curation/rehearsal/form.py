"""The form of the scripted model's replies, and every way in which it breaks it."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable
from typing import NamedTuple

from curation.rehearsal.judges import DESERVED
from curation.rehearsal.world import SHARES


class Form(NamedTuple):
    """A well-formed text in its parts: <first>body</first><last>choice</last>."""

    first: str
    body: str
    last: str
    choice: str

    def text(self) -> str:
        """Put the parts together."""
        return f"<{self.first}>{self.body}</{self.first}><{self.last}>{self.choice}</{self.last}>"

    def choices(self) -> list[str]:
        """Return what the model was to choose from."""
        return list(SHARES if self.last == "answer" else DESERVED)


def malformed(text: str, rng: random.Random) -> str:
    """Break a text of `answer` in form, in one of the ways `BREAKS` that real models do."""
    parts = re.fullmatch(r"<(\w+)>(.*)</\1><(\w+)>(.*)</\3>", text, re.S)
    assert parts, "only a well-formed text can be broken"
    return rng.choice(BREAKS)(Form(*parts.groups()), rng)


def _cut(form: Form, rng: random.Random) -> str:
    text = form.text()
    return text[: rng.randrange(len(text) // 4, len(text) - len(f"</{form.last}>"))]


def _two_choices(form: Form, rng: random.Random) -> str:
    other = rng.choice([c for c in form.choices() if c != form.choice])
    return form._replace(choice=f"{form.choice} / {other}").text()


def _inside(form: Form, rng: random.Random) -> str:
    return f"<{form.first}>{form.body} <{form.last}>{form.choice}</{form.last}></{form.first}>"


def _echo(form: Form, rng: random.Random) -> str:
    return form._replace(body="your reasoning here", choice=" | ".join(form.choices())).text()


BREAKS: tuple[Callable[[Form, random.Random], str], ...] = (
    _cut,
    _two_choices,
    _inside,
    _echo,
    lambda form, rng: "",
    lambda form, rng: html.escape(form.text()),
    lambda form, rng: f"{form.body} My {form.last} is: {form.choice}.",
    lambda form, rng: "I'm sorry, but I can't help with that.",
)
