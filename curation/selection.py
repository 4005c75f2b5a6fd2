"""The set: which train-side examples a command works on. The same options name the same examples, always."""

from __future__ import annotations

import math
import random
from importlib import resources
from typing import NamedTuple

import pyarrow as pa

from curation.errors import BadInput
from curation.store import Store

LAST = "g"  # after every hex digit
SPLITS = ("default", "rpe1_holdout", "unseen_pert")


class Selection(NamedTuple):
    """The options that name a set; `shard` is (i, n): the i-th of n parts, where n is the same as 0."""

    split: str = "default"
    fraction: float = 1.0
    limit: int | None = None
    per_label: int | None = None
    cell_line: str | None = None
    seed: int = 0
    shard: tuple[int, int] = (0, 1)

    def given(self) -> dict[str, object]:
        """Return the options that differ from their defaults, as one types them."""
        default = Selection()
        found = {k: v for k, v in self._asdict().items() if v != getattr(default, k) or k == "split"}
        i, n = self.shard
        return found | ({"shard": f"{i or n}/{n}"} if "shard" in found else {})

    def params(self, store: Store) -> dict[str, object]:
        """Return the parameters of the query that selects the set in a store."""
        given = {"split": self.split, "per_label": self.per_label, "cell_line": self.cell_line}
        among = store.rows(query("eligible"), given)[0]["n"]
        most = math.ceil(self.fraction * among - 1e-9)
        most = most if self.limit is None else min(self.limit, most)
        i, n = self.shard
        below = _below(most, among) if self.per_label is None else LAST
        return {**given, "seed": str(self.seed), "shard": i, "shards": n, "most": most, "below": below}


def _below(most: int, among: int) -> str:
    """Return a place, 64 hex digits of a hash, that so many of all stand before; surely enough, and hardly more.

    Hashes are spread evenly, so how many stand before a place has a variance below its mean: ten standard deviations
    and fifty rows more than wanted are never too few. It spares a set of a hundred thousand 100 MB of sorting.
    """
    share = (most + 10 * math.sqrt(most) + 50) / max(among, 1)
    return f"{int(share * 16**12):012x}" if share < 1 else LAST


def query(name: str) -> str:
    """Return the text of sql/queries/NAME.sql."""
    return (resources.files("curation") / "sql" / "queries" / f"{name}.sql").read_text("utf-8")


def select(store: Store, selection: Selection) -> pa.Table:
    """Return the set's examples: example_id, cell_line, pert, gene, label, in the order they are asked in.

    Raises:
        BadInput: a split or cell line that the store does not have, or a set that is empty.
    """
    _check(store, selection)
    chosen = store.sql(query("selection"), selection.params(store))
    if not chosen.num_rows and selection.shard[1] == 1:
        raise BadInput(f"no train-side example in {store.place} fits {selection.given()}")
    return chosen


def in_order(rows: pa.Table, shuffled: bool) -> pa.Table:
    """Return rows as they are, or in a random order."""
    return rows.take(pa.array(random.sample(range(rows.num_rows), rows.num_rows), pa.int64())) if shuffled else rows


def _check(store: Store, selection: Selection) -> None:
    splits = [r["split"] for r in store.rows("SELECT DISTINCT split FROM splits ORDER BY 1")]
    if not splits:
        raise BadInput(f"{store.place}: no examples yet; `synthpert ingest PATH` brings them")
    if selection.split not in splits:
        raise BadInput(f"--split {selection.split}: not one of {', '.join(splits)}")
    if selection.cell_line is not None:
        lines = [r["c"] for r in store.rows("SELECT DISTINCT cell_line AS c FROM examples ORDER BY 1")]
        if selection.cell_line not in lines:
            raise BadInput(f"--cell-line {selection.cell_line}: not one of {', '.join(lines)}")
