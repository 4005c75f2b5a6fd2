"""Where a server is and its owner's key: from the environment, or from the data folder of a server on this machine."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from curation.errors import BadInput

FOLDER = Path("annotation-server")  # of the server's data, in the working folder
FILE = "credentials.toml"


class Credentials(NamedTuple):
    """An owner's way to a server."""

    url: str
    api_key: str
    workspace: str
    owner: str = ""
    weak: tuple[str, ...] = ()  # users whose passwords will not do where others reach the server


def found(folder: Path | str | None = None) -> Credentials:
    """Return what ARGILLA_API_URL and ARGILLA_API_KEY name, else the server whose data lies in a folder.

    Args:
        folder: of the server's data; ./annotation-server if none is named. A named one goes before the environment.

    Raises:
        BadInput: neither is there, or only one of the two variables is.
    """
    url, key = (os.environ.get(f"ARGILLA_API_{name}", "") for name in ("URL", "KEY"))
    if folder is None and (url or key):
        if not (url and key):
            raise BadInput(f"ARGILLA_API_{'KEY' if url else 'URL'} is not set, though the other of the two is")
        return Credentials(url.rstrip("/"), key, os.environ.get("ARGILLA_WORKSPACE", "review"))
    known = read(Path(folder or FOLDER))
    if known is None:
        raise BadInput(
            f"{Path(folder or FOLDER) / FILE}: not there; start a server (synthpert annotate serve) or name one"
            " (export ARGILLA_API_URL=... ARGILLA_API_KEY=...)"
        )
    return known


def read(folder: Path) -> Credentials | None:
    """Return the credentials that a data folder keeps; None if it has none yet.

    Raises:
        BadInput: the file is not what `write` wrote.
    """
    file = folder / FILE
    try:
        rows = tomllib.loads(file.read_text("utf-8"))
        return Credentials(**{**rows, "weak": tuple(rows["weak"])})
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, KeyError) as e:
        raise BadInput.at(file, f"{e}", f"the file as a server wrote it, with {', '.join(Credentials._fields)}") from e


def write(folder: Path, known: Credentials) -> None:
    """Keep credentials in a data folder, for its user's eyes alone."""
    text = "# Written at each start of the server. Whoever reads the key is its owner.\n"
    text += "".join(f"{name} = {_toml(value)}\n" for name, value in known._asdict().items())
    fresh = folder / f".{FILE}"
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(folder / FILE)


def _toml(value: str | Iterable[str]) -> str:
    """Return a text, or several, as TOML, whose basic strings are those of JSON but for the character DEL."""
    return json.dumps(value if isinstance(value, str) else list(value), ensure_ascii=False).replace("\x7f", "\\u007f")
