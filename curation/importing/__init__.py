"""Import: traces that were made elsewhere, brought into the store as if it had asked for them, with their origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from curation import views
from curation.asking.journal import Journal, settle
from curation.errors import BadInput, StoreError
from curation.grades import read_grades
from curation.importing import fields, records, sources
from curation.importing.fields import Odd
from curation.importing.rows import APPROACHES, Given, Row, parse
from curation.importing.sources import Source
from curation.locks import lock
from curation.printing import shown
from curation.runs import run
from curation.schema import content_id
from curation.selection import query
from curation.store import Store
from curation.traces import read_traces

if TYPE_CHECKING:
    import duckdb

AT_ONCE = 1_000  # rows that are held in memory and looked up together

__all__ = ["APPROACHES", "Given", "Imported", "import_traces"]


class Imported(NamedTuple):
    """What an import did."""

    source: str
    rows: int  # in its files
    traces: int  # new ones
    grades: int
    read: list[dict[str, Any]]  # reading, valid, n: how the new traces were read
    sides: list[dict[str, Any]]  # split, side, label, n: where they stand
    left_out: list[dict[str, Any]]  # reason, n
    bad: list[dict[str, Any]]  # file, row, line, column, reason, found, wanted
    unread: list[str]  # columns that no field is read from

    def __repr__(self) -> str:
        return shown(self._replace(bad=[]))


def import_traces(
    store: Store,
    source: str,
    *,
    given: Given = Given(),  # noqa: B008 - an immutable tuple
    mapping: Sequence[str] = (),
    split: str = "default",
    skip_bad: bool = False,
) -> Imported:
    """Bring traces that were made elsewhere into the store, all or none; the same ones a second time add nothing.

    They are parsed, checked, graded and split as generated ones are. Each keeps its origin and its own prompt.

    Args:
        store: the store; it holds the benchmark that they are about.
        source: a CSV, JSONL or Parquet file, a folder of such, or ORG/REPO[@REVISION] on the Hub.
        given: generator, critic, approach and licence of rows that do not say theirs.
        mapping: FIELD=COLUMN for columns under other names than `fields.NAMES`.
        split: the one whose sides are counted; of a dataset with a folder of this name, that is read.
        skip_bad: leave out rows that cannot be imported, and tell of each.

    Raises:
        BadInput: a row contradicts the benchmark, or cannot be read. Nothing is written.
        StoreError: another import is running.
    """
    if given.approach not in APPROACHES:
        raise BadInput(f"--approach {given.approach}: not one of {', '.join(APPROACHES)}")
    named = fields.mapping(mapping)
    lines = _lines(store, split)
    files = sources.find(source, split)
    args = _args(source, given, {"split": split, "map": list(mapping), "skip_bad": skip_bad})
    with lock(store.journals / "import.lock") as alone:
        if not alone:
            raise StoreError(f"{store.place}: another import is running; wait for its end")
        settle(store)
        read_traces(store)
        read_grades(store)
        with run(store, "import", args) as this:
            work = Import(store, this.id, given, named, lines, split)
            work.stage(files, skip_bad)
            read_traces(store)
            read_grades(store)
            store.compact()
            read = store.rows(query("imported_read"), {"run": this.id})
    return work.told(source, read)


def _args(source: str, given: Given, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a run notes of an import, as one types it; a file or folder by its name alone."""
    path = Path(source)
    said = {k: v for k, v in given._asdict().items() if v != getattr(Given(), k)}
    return {"path": path.name if path.exists() else source} | said | {k: v for k, v in options.items() if v}


def _lines(store: Store, split: str) -> dict[str, str]:
    """Return the benchmark's cell lines by their names in lower case."""
    known = [r["split"] for r in store.rows("SELECT DISTINCT split FROM splits ORDER BY 1")]
    if not known:
        raise BadInput(f"{store.place}: no examples yet; `synthpert ingest PATH` brings them")
    if split not in known:
        raise BadInput(f"--split {split}: not one of {', '.join(known)}")
    return {r["name"].lower(): r["name"] for r in store.rows("SELECT DISTINCT cell_line AS name FROM examples")}


class Import:
    """One import while it runs: what is in the store already, and what was counted."""

    def __init__(
        self, store: Store, run_id: str, given: Given, mapping: dict[str, str], lines: dict[str, str], split: str
    ) -> None:
        self.store, self.run_id, self.given, self.mapping = store, run_id, given, mapping
        self.lines, self.split = lines, split
        known = store.sql(query("imported_known"))
        self.traces = dict(zip(known["key"].to_pylist(), known["trace_id"].to_pylist(), strict=True))
        self.grades = set(store.sql(query("imported_grades"))["key"].to_pylist())
        self.rehearsed = set(store.sql(query("imported_rehearsed"))["key"].to_pylist())
        self.rows = 0
        self.new: Counter[str] = Counter()  # stage
        self.sides: Counter[tuple[str, str]] = Counter()  # side, label
        self.left_out: Counter[str] = Counter()  # reason
        self.bad: list[dict[str, Any]] = []
        self.unread: dict[str, None] = {}

    def stage(self, files: Sequence[Source], skip_bad: bool) -> None:
        """Write what is new to a journal that counts only when every row has been looked at."""
        journal = Journal(self.store, self.run_id, staged=True)
        with ExitStack() as undo:
            undo.callback(journal.discard)
            sql = query("imported_pairs")
            with self.store.session(wanted=views.needed(sql)) as con:
                for source in files:
                    self._file(source, journal, con, sql)
            if self.bad and not skip_bad:
                raise BadInput(self._refusal())
            undo.pop_all()
        journal.publish()
        journal.close()

    def _file(self, source: Source, journal: Journal, con: duckdb.DuckDBPyConnection, sql: str) -> None:
        rows, first = self._parsed(source), len(self.bad)
        while some := list(islice(rows, AT_ONCE)):
            fresh = pa.table({"n": range(len(some)), "example_id": [row.example_id for row, _ in some]})
            con.register("fresh", fresh)
            told = con.sql(sql, params={"split": self.split}).to_arrow_table().to_pylist()
            for (row, chosen), known in zip(some, told, strict=True):
                try:
                    _check(row, known["label"])
                except Odd as odd:
                    self._note(source, row.record, odd, chosen)
                    continue
                self._take(row, known["label"], known["side"], _origin(source, row, self.given), journal)
        self.bad[first:] = sorted(self.bad[first:], key=itemgetter("row"))  # pairs are looked up some at a time

    def _parsed(self, source: Source) -> Iterator[tuple[Row, fields.Fields]]:
        chosen, seen = fields.Fields({}), dict[str, None]()
        for record in records.read(source.file, source.name):
            self.rows += 1
            if record.values.keys() - seen.keys():  # lines of JSON may begin to have a column
                seen |= dict.fromkeys(record.values)
                chosen = fields.choose(source.name, list(seen), self.mapping)
            try:
                row = parse(record, chosen, self.given, self.lines)
            except Odd as odd:
                self._note(source, record, odd, chosen)
                continue
            if row is None:
                self.left_out["no answer: the row ends with the question"] += 1
            else:
                yield row, chosen
        self.unread |= dict.fromkeys(c for c in seen if c not in chosen.columns.values())

    def _take(self, row: Row, label: str, side: str, origin: dict[str, Any], journal: Journal) -> None:
        """Write a row's trace and its grade, each if it is new; what a rehearsal said is marked, whoever brings it."""
        row = row._replace(simulated=row.simulated or row.text_id in self.rehearsed)
        key = row.key
        trace_id = self.traces.get(key)
        if trace_id is None:
            trace_id = content_id(journal.write({**row.answered(key, label), **origin}))
            self.traces[key] = trace_id
            self.new["traces"] += 1
            self.sides[side, label] += 1
        else:
            self.left_out["in the store already, or twice in the source"] += 1
        if row.evaluation and (graded := row.grade_key(trace_id)) not in self.grades:
            self.grades.add(graded)
            self.new["grades"] += 1
            journal.write({**row.graded(graded, trace_id), **origin})

    def _note(self, source: Source, record: records.Record, odd: Odd, chosen: fields.Fields) -> None:
        column = ",".join(chosen.columns.get(f, f) for f in (odd.field or "").split(",")) or None
        place = {"file": source.name, "row": record.row, "line": record.line, "column": column}
        self.bad.append({**place, "reason": odd.reason, "found": odd.found, "wanted": odd.wanted})

    def _refusal(self) -> str:
        """Return the first bad row with its place, and how many others there are."""
        first = self.bad[0]
        file = first["file"] if first["line"] else f"{first['file']}, row {first['row']}"
        line = BadInput.at(file, first["found"], first["wanted"], line=first["line"], column=first["column"])
        by = Counter(b["reason"] for b in self.bad)
        counts = ", ".join(f"{n:,} {reason}" for reason, n in by.most_common())
        return f"{line}; nothing was imported ({len(self.bad):,} bad of {self.rows:,} rows: {counts}; --skip-bad)"

    def told(self, source: str, read: list[dict[str, Any]]) -> Imported:
        """Return what was counted."""
        left = self.left_out + Counter(f"bad: {b['reason']}" for b in self.bad)
        sides = [
            {"split": self.split, "side": side, "label": label, "n": n}
            for (side, label), n in sorted(self.sides.items())
        ]
        out = [{"reason": reason, "n": n} for reason, n in left.most_common()]
        traces, grades = self.new["traces"], self.new["grades"]
        return Imported(source, self.rows, traces, grades, read, sides, out, self.bad, list(self.unread))


def _check(row: Row, label: str | None) -> None:
    """Refuse a row that says something else than the benchmark.

    Raises:
        Odd: the pair is not in it, or the row has another label for it.
    """
    line, pert, gene = row.example
    if label is None:
        raise Odd("pert,gene", "unknown pair", f"{pert}, {gene} in {line}", "a pair of the store's benchmark")
    if row.label not in (None, label):
        raise Odd(
            "label", "another label", repr(row.label), f"{label!r}, as the store has it for {line} {pert}, {gene}"
        )


def _origin(source: Source, row: Row, given: Given) -> dict[str, Any]:
    where = {"file": source.name, "digest": source.digest, "row": row.record.row, "licence": given.licence}
    return {"params": "{}", "sample": 0, "attempt": 1, "origin": where}
