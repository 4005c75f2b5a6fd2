"""Numbered changes of the store's shape, each applied once and recorded in the table `migrations`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from curation.errors import StoreError
from curation.schema import TABLES, content_id, now

if TYPE_CHECKING:
    from curation.store import Store


def m001_first_tables(store: Store) -> None:
    """Begin: tables come into being with their first row."""


# A change is a function that may safely run twice; Delta can add a column and nothing else.
MIGRATIONS: tuple[Callable[[Store], None], ...] = (m001_first_tables,)


def migrate(store: Store, create: bool) -> None:
    """Bring a store to the shape this code knows.

    Raises:
        StoreError: the store is newer than this code, or there is none at an address that was given.
    """
    if store.files("migrations"):
        done = store.rows("SELECT max(number) AS n FROM raw.migrations")[0]["n"]
    elif create:
        done = 0
    else:
        raise StoreError(f"{store.place}: no store here; `synthpert ingest PATH` makes one")
    if done > len(MIGRATIONS):
        raise StoreError(
            f"{store.place}: written by a newer synthpert (shape {done}, this one knows {len(MIGRATIONS)}); "
            "upgrade synthpert"
        )
    for number in range(done + 1, len(MIGRATIONS) + 1):
        _apply(store, number)


def _apply(store: Store, number: int) -> None:
    step = MIGRATIONS[number - 1]
    step(store)
    schema = TABLES["migrations"].schema
    row = {
        "migration_id": content_id(number),
        "number": number,
        "name": step.__name__,
        "run_id": None,
        "created": now(),
    }
    mark = pa.Table.from_pylist([row], schema)
    # two that open a new store at once: the second finds the number moved and appends nothing
    store.append_once("migrations", "migrations", lambda n: (mark.slice(0, 0 if n >= number else 1), number))
