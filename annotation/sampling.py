"""What a round of review asks about: which texts are drawn, and which of their clauses are planted or for everybody.

A text is a trace, or a prediction of a trained model. All clauses of a text that is drawn are judged, so that a whole
reasoning can be scored. The same scheme over the same store draws the same, whatever machine draws it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from annotation.clauses import of_traces
from annotation.planting import Fake, put
from annotation.sql import query
from curation.apart import answer
from curation.errors import BadInput
from curation.locked import condition
from curation.prompting import fill
from curation.store import Store

PLACES = 1_000  # places of a text in the order of a round, so that the clauses of one stand together


class Scheme(NamedTuple):
    """How a round is drawn: what a second push under the same name must not change.

    Attributes:
        sample: how many texts.
        by: columns of `traces` whose every combination gives as many texts, as long as it has them; `disagreement`
            tells whether critics' grades differ. For predictions `correct`, if none is named.
        seed: another seed is another draw.
        where: a condition over the same columns.
        everybody: share of the clauses that every annotator is to judge, 0 to 1.
        planted: share of the clauses that are turned round, 0 to 1.
        planted_file: hash of the file whose clauses are planted.
        subject: trace or prediction.
        source: hash of the predictions to draw from.
    """

    sample: int
    by: tuple[str, ...] = ()
    seed: int = 0
    where: str | None = None
    everybody: float = 0.0
    planted: float = 0.0
    planted_file: str | None = None
    subject: str = "trace"
    source: str | None = None


class Draw(NamedTuple):
    """What was drawn: rows of `clauses` with `place`, `everybody` and `truth` beside, and what of each stratum."""

    clauses: list[dict[str, Any]]
    strata: list[dict[str, Any]]
    texts: int


def draw(store: Store, scheme: Scheme, ids: Sequence[str] | None = None, fakes: Sequence[Fake] = ()) -> Draw:
    """Draw a round; writes nothing.

    Args:
        store: the store.
        scheme: how.
        ids: for predictions, those to draw from.
        fakes: clauses to plant whose truth the user knows.

    Raises:
        BadInput: a column that is none, nothing that fits, or more to plant than there are clauses.
        RefusedSQL: the condition is none.
    """
    texts = _texts(store, scheme, ids)
    if not texts:
        what = f"--where {' '.join(scheme.where.split())}" if scheme.where else "the round"
        raise BadInput(f"{what}: no {scheme.subject} with readable reasoning fits")
    rows = of_traces(store, [t["text_id"] for t in texts], scheme.subject).to_pylist()
    rank = {t["text_id"]: i for i, t in enumerate(texts)}
    shared = _everybody(rows, scheme)
    for row in rows:
        row["place"] = rank[row["subject_id"]] * PLACES + min(row["n"], PLACES - 1)
        row["everybody"], row["truth"] = row["subject_id"] in shared, None
    sound = {t["text_id"] for t in texts if t["sound"]}
    return Draw(put(rows, scheme.planted, fakes, sound, scheme.seed), _strata(texts), len(texts))


def columns(store: Store, subject: str) -> list[str]:
    """Return the columns that --by and --where may name."""
    params: dict[str, Any] = {"ids": []} if subject == "prediction" else {}
    return store.sql(f"SELECT * FROM ({query(f'texts_{subject}')}\n) LIMIT 0", params).column_names


def _texts(store: Store, scheme: Scheme, ids: Sequence[str] | None) -> list[dict[str, Any]]:
    known = columns(store, scheme.subject)
    if odd := [c for c in scheme.by if c not in known or c == "text_id"]:
        raise BadInput(f"--by {odd[0]}: not one of {', '.join(c for c in known if c != 'text_id')}")
    by = ", ".join(f'"{column}"' for column in scheme.by)
    filled = {
        "texts": query(f"texts_{scheme.subject}"),
        "stratum": f"struct_pack({by})" if scheme.by else "NULL",
        "where": condition("true" if scheme.where is None else scheme.where),
    }
    params = {"seed": str(scheme.seed), "n": scheme.sample, "ids": list(ids or ())}
    found: pa.Table = answer(store, fill(query("draw"), filled), params)
    return found.to_pylist()


def lot(*words: object) -> str:
    """Return what decides an order: a hash that is the same everywhere."""
    return hashlib.sha256("\x1f".join(map(str, words)).encode()).hexdigest()


def _everybody(rows: list[dict[str, Any]], scheme: Scheme) -> set[str]:
    """Return the texts that everybody judges: by lot, until they hold the share of the clauses."""
    size = Counter(row["subject_id"] for row in rows)
    chosen: set[str] = set()
    for text in sorted(size, key=lambda text: lot("everybody", scheme.seed, text)):
        if sum(size[t] for t in chosen) >= scheme.everybody * len(rows):
            break
        chosen.add(text)
    return chosen


def _strata(texts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each stratum its values, how many there are and how many were drawn."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        row = found.setdefault(str(text["stratum"]), {**(text["stratum"] or {}), "there": text["there"], "drawn": 0})
        row["drawn"] += 1
    return [found[key] for key in sorted(found)]
