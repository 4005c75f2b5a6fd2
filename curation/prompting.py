"""Prompts: text files, hashed, replaceable one by one from a folder of the user's own.

The contents follow the paper's Appendix C in this project's own words. NAME.system.txt and NAME.user.txt make
the two messages; a prompt without a file of its own uses the standard one.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from curation.errors import BadInput
from curation.schema import content_id

# name -> the files of its two messages, and the placeholders that they must hold between them
PAIR = frozenset({"pert", "gene", "cell_line"})
FILES = {
    "standard": ("standard.system", "standard.user", PAIR),
    "direction": ("standard.system", "direction.user", PAIR),
    "explain": ("explain.system", "standard.user", PAIR | {"outcome"}),
    "control": ("explain.system", "standard.user", PAIR | {"outcome"}),
    "blind": ("blind.system", "standard.user", PAIR),
    "critic": ("critic.system", "critic.user", frozenset({"query", "reasoning"})),
}
# what the model is trained and tested on must not show the outcome, whoever writes the prompt
HIDDEN = {"standard", "direction", "blind", "critic"}


class Prompt(NamedTuple):
    """A prompt's two texts with {placeholders}, and its version."""

    name: str
    system: str
    user: str
    hash: str

    def messages(self, **values: str) -> list[dict[str, str]]:
        """Fill the placeholders in: the system and the user message, as the chat API takes them."""
        return [
            {"role": "system", "content": fill(self.system, values)},
            {"role": "user", "content": fill(self.user, values)},
        ]


def fill(text: str, values: dict[str, str]) -> str:
    """Replace {name} by its value, once: a value that holds braces stays as it is."""
    return re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], m[0]), text)


def load(name: str, folder: Path | None = None) -> Prompt:
    """Return a prompt; its files are taken from the user's folder where they stand there.

    Raises:
        BadInput: no such folder, not UTF-8, or a placeholder that the prompt needs, or must not have.
    """
    if folder is not None:
        _check_folder(folder)
    system_file, user_file, wanted = FILES[name]
    system, user = _text(system_file, folder), _text(user_file, folder)
    found = set(re.findall(r"\{(\w+)\}", system + user))
    for missing in sorted(wanted - found):
        places = sorted((_place(f, folder) for f in (system_file, user_file)), key=lambda p: p.endswith("(shipped)"))
        raise BadInput.at(places[0], f"no {{{missing}}}", f"it there or in {places[1]}")
    if name in HIDDEN and "outcome" in found:
        raise BadInput.at(_place(system_file, folder), "{outcome}", f"a {name} prompt that hides the outcome")
    return Prompt(name, system, user, content_id(system, user))


def _check_folder(folder: Path) -> None:
    """A file under a wrong name would be left aside without a word, and the shipped prompt paid for."""
    if not folder.is_dir():
        raise BadInput.at(folder, "no such folder", "a folder of prompt files")
    known = sorted({f"{file}.txt" for system, user, _ in FILES.values() for file in (system, user)})
    found = sorted(f.name for f in folder.glob("*.txt"))
    odd = [name for name in found if name not in known]
    if odd or not found:
        raise BadInput.at(folder, odd[0] if odd else "no prompt file", f"files among {', '.join(known)}")


def _place(file: str, folder: Path | None) -> str:
    own = folder / f"{file}.txt" if folder else None
    return str(own) if own and own.exists() else f"{file}.txt (shipped)"


def _text(file: str, folder: Path | None) -> str:
    own = folder / f"{file}.txt" if folder else None
    if own and own.exists():
        try:
            return own.read_text("utf-8").strip()
        except UnicodeDecodeError as e:
            raise BadInput.at(own, "bytes that are not UTF-8", "UTF-8 text") from e
    return (resources.files("curation") / "prompts" / f"{file}.txt").read_text("utf-8").strip()
