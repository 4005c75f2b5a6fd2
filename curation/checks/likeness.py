"""How long a text is and what it is like: an estimate of its tokens, and a MinHash signature."""

from __future__ import annotations

import re
from functools import cache

PIECE = re.compile(r"[A-Za-z]+|\d{1,3}|[^\sA-Za-z\d]+")
PERMUTATIONS, SEED, SHINGLE = 120, 1, 3  # 24 bands of 5 (near_duplicates.sql); words a shingle
WORD = re.compile(r"\w+")


def tokens(text: str) -> int:
    """Estimate the tokens of an English text, without a tokenizer's vocabulary, which would have to be downloaded.

    A word is one token and one more for every five letters above six; capitals in a row, as in gene symbols, are two a
    token; three digits are one; other signs are two a token. Against cl100k_base the error was 5 % on the mean over
    46 paragraphs of a paper on biology and learning, and 4 % over 3 published traces.
    """
    return sum(map(_pieces, PIECE.findall(text)))


def _pieces(piece: str) -> int:
    if piece[0].isdigit():
        return 1
    if piece.isascii() and piece.isalpha() and not (piece.isupper() and len(piece) > 1):
        return 1 + max(len(piece) - 6, 0) // 5
    return (len(piece) + 1) // 2


def shingles(text: str) -> list[str]:
    """Return the runs of three words of a text, in small letters; of a shorter one all its words as one."""
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + SHINGLE]) for i in range(max(len(words) - SHINGLE + 1, 1))]


def signature(text: str) -> list[int]:
    """Return a text's MinHash: two texts have as large a share of equal places as they share of their shingles.

    120 places of 32 bits; the estimate of a share of 0.8 has a standard error of 0.04. Source: Broder 1997; rensa's
    R-MinHash, which is fifty times faster than datasketch and needs nothing else.
    """
    from rensa import RMinHash

    made = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    made.update(shingles(text))
    return list(map(int, made.digest()))


@cache
def fingerprint() -> str:
    """Return what changes if the library begins to hash in another way: signatures could then not be compared."""
    import hashlib

    return hashlib.sha256(repr(signature("the same words give the same numbers")).encode()).hexdigest()[:4]
