"""Download: the authors' own files of PerturbQA, at a pinned commit, each checked before it is kept."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from curation.errors import BadInput

COMMIT = "df2fe3a7802f2a46a43876b4f8674734aad3a30a"
BASE_URL = f"https://raw.githubusercontent.com/genentech/PerturbQA/{COMMIT}/perturbqa/datasets"
SHA256 = {
    "hepg2-de.csv": "f94045fb44dcca4af9c69bee5c87de624590061a1123d55d9ee42a9c1ca97932",
    "hepg2-dir.csv": "8c642ab6e6996887dce6c774d5fc58546970ba9216a636c7547b5039062a2cc3",
    "jurkat-de.csv": "cf993f77015bd7df9d71ce9cf1170f6c8e64a571dc6f9ba0aef411ffb103eec5",
    "jurkat-dir.csv": "8e17055a5bbf8c2751317db5284a9e793a2dc5aaccef0afbcdaf87daabc45709",
    "k562-de.csv": "e6ab095f3f970bb29f48427414904136785e8cd4945496f8d9a8fa6eab35ee67",
    "k562-dir.csv": "84a0bc9631b33b8720663ed69506a316dad0f686a51f702f277914cc722000f4",
    "rpe1-de.csv": "a66a86aac5db458e0703bccf7f2d638769400a7ccb9f2615cd9421c106b748ca",
    "rpe1-dir.csv": "25fa0b37c7e86cd73e8135b83513ea9d96c55e5a6c3f222ffbb531b91ab0fb0c",
}
BIGGEST = 2**25  # bytes of a file; the largest is 4 MB


def download(folder: Path, base_url: str = BASE_URL, say: Callable[[str], None] = lambda line: None) -> Path:
    """Fetch the files that are not in the folder yet; each is whole and right, or not there.

    Raises:
        BadInput: an address that does not answer, or a file, fetched or held, of another content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, wanted in SHA256.items():
        file = folder / name
        if not file.exists():
            say(f"fetching {base_url}/{name}")
            _keep(file, _fetch(f"{base_url.rstrip('/')}/{name}"), wanted)
        elif _hash(file.read_bytes()) != wanted:
            raise BadInput.at(file, "other content than the authors'", f"sha256 {wanted}; remove it to fetch it anew")
    return folder


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the address is the user's own
            return answer.read(BIGGEST)
    except (urllib.error.URLError, OSError, ValueError) as e:
        raise BadInput(f"{url}: {getattr(e, 'reason', None) or e}") from e


def _keep(file: Path, data: bytes, wanted: str) -> None:
    if _hash(data) != wanted:
        raise BadInput(f"{file.name}: what came has sha256 {_hash(data)}, wanted {wanted}; it was not kept")
    partial = file.with_suffix(".partial")
    partial.write_bytes(data)
    partial.rename(file)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
