"""Reader: what the answers of a stage become, rows of a table of its own, one an answered request.

Answers are read as they reach the store, and those of a killed run, or for a new version of a reader, by a query. Of
two answers to one request, which only two runs at once can have paid for, the first that is read counts.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, NamedTuple

import pyarrow as pa

from curation.arrow import empty, from_rows, to_rows
from curation.asking.asked import Asked
from curation.asking.journal import settle
from curation.schema import TABLES
from curation.selection import query
from curation.store import Store

COLUMNS = (
    *("request_id", "response_id", "subject_id", "provider", "model", "sample", "prompt", "prompt_hash"),
    *("outcome_shown", "text", "thinking", "run_id", "stage", "failure"),
)
AT_ONCE, SLICE = 5_000, 500  # responses


class Reader(NamedTuple):
    """How answers are read.

    Attributes:
        stage: the stage whose answers these are.
        table: where the rows go.
        already: SQL of a relation whose request_ids are read.
        row: makes a row of the columns of a response.
    """

    stage: str
    table: str
    already: str
    row: Callable[[dict[str, Any]], dict[str, Any]]

    def read(self, store: Store) -> int:
        """Read the answers that were not read yet, as after a kill; returns how many."""
        if not store.files("responses"):  # a first run need not wait for a query of nothing
            return 0
        sql = self._sql("unread_responses").replace("{columns}", ", ".join(COLUMNS))

        def unread(number: int) -> tuple[pa.Table, int]:
            return self.rows(store.sql(sql, {"stage": self.stage, "most": AT_ONCE})), number + 1

        total = 0
        while done := store.append_once(self.table, self.app, unread):
            total += done
            if done < AT_ONCE:
                break
        return total

    def follow(self, store: Store) -> Follower:
        """Read what earlier runs left, as a kill does, and return what reads the responses of a run as they come.

        To be called before the run looks at what is answered.
        """
        settle(store)
        self.read(store)
        return Follower(self, store)

    @property
    def app(self) -> str:
        """The name that its commits carry a number under."""
        return f"read-{self.table}"

    def _sql(self, name: str) -> str:
        return query(name).replace("{read_already}", self.already)

    def known(self, store: Store, responses: pa.Table) -> set[str]:
        """Return those of the requests that were read already."""
        ids = responses["request_id"].to_pylist()
        return set(store.sql(self._sql("read_of"), {"ids": ids})["request_id"].to_pylist())

    def rows(self, responses: pa.Table, known: Container[str] = ()) -> pa.Table:
        """Return what is read from the answers among responses, but for those to known requests."""
        schema = TABLES[self.table].schema
        found = [empty(schema)]
        # a few hundred at a time: as Python's objects they take several times the memory
        for start in range(0, responses.num_rows, SLICE):
            answers = filter(self._is_answer, to_rows(responses.slice(start, SLICE).select(COLUMNS)))
            found.append(from_rows((self.row(a) for a in answers if a["request_id"] not in known), schema))
        return pa.concat_tables(found)

    def _is_answer(self, response: dict[str, Any]) -> bool:
        return response["stage"] == self.stage and response["failure"] is None


class Follower:
    """Reads the responses of one run, each commit's once it is in the table.

    As long as nobody else has read any since the run began, none need be looked up: a run asks nothing twice.
    """

    def __init__(self, reader: Reader, store: Store) -> None:
        self.reader, self.store = reader, store
        self.number, self.alone = store.number(reader.table, reader.app), True
        self.total = 0  # answers read

    def __call__(self, responses: pa.Table) -> int:
        """Read responses; returns how many rows came of them."""

        def unread(number: int) -> tuple[pa.Table, int]:
            self.alone = self.alone and number == self.number
            known = set() if self.alone else self.reader.known(self.store, responses)
            return self.reader.rows(responses, known), number + 1

        done = self.store.append_once(self.reader.table, self.reader.app, unread)
        self.number += done > 0
        self.total += done
        return done

    def end(self, asked: Asked | None) -> None:
        """Read what it was not shown, as where the run, of which there is no count then, ended by an error."""
        if asked is None or self.total != asked.answered:
            self.reader.read(self.store)
