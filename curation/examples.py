"""Ingest: PerturbQA's files (LINE-de.csv and LINE-dir.csv) into the table `examples`.

A -de file has a row for each measured pair, label 1 = differentially expressed; its -dir file has just the rows
with label 1, where label 1 = increase and 0 = decrease.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.csv

from curation import views
from curation.errors import BadInput
from curation.printing import shown
from curation.runs import run
from curation.schema import TABLES, now
from curation.store import Store

if TYPE_CHECKING:
    import duckdb

CELL_LINES = {"k562": "K562", "rpe1": "RPE1", "hepg2": "HepG2", "jurkat": "Jurkat"}
COLUMNS = ("pert", "gene", "label", "split")
PERTURBQA = {"source": "PerturbQA", "licence": "Genentech Non-Commercial Software License 1.0"}
NO_SYMBOL = r"trim({0}) = '' OR regexp_matches({0}, '[\x00-\x1f]')"
GENE_SETS = "_set"  # k562_set-* ask about sets of genes, under the name of a cell line


class Ingested(NamedTuple):
    """What an ingest did."""

    examples: int  # rows in the files
    new: int  # of them not in the store before
    with_direction: int
    by: list[dict]  # cell_line, side, label, n
    skipped: list[str]  # files left out

    def __repr__(self) -> str:
        return shown(self)


def ingest(store: Store, folder: Path | str) -> Ingested:
    """Read every cell line of a folder into the store; twice is the same as once.

    Args:
        store: where to.
        folder: holds the *-de.csv and *-dir.csv files; a source.json beside them names another benchmark
            than PerturbQA: {"source": ..., "licence": ...}.

    Raises:
        BadInput: a file, line or value is not as the format has it, or the store holds another benchmark or
            another label for a pair. The store is left as it was.
    """
    folder = Path(folder)
    lines, skipped = find_lines(folder)
    origin = _origin(folder)
    _check_source(store, folder, origin["source"])
    with run(store, "ingest", {"path": "PATH"}) as this:
        rows = pa.concat_tables(_examples(folder, line, origin, this.id) for line in lines)
        _check_labels(store, folder, rows)
        new = store.append_new("examples", rows)
    return _ingested(rows, new, skipped)


def _ingested(rows: pa.Table, new: int, skipped: list[str]) -> Ingested:
    by = (
        pa.table({"cell_line": rows["cell_line"], "side": rows["given_side"], "label": rows["label"]})
        .group_by(["cell_line", "side", "label"])
        .aggregate([([], "count_all")])
        .rename_columns({"count_all": "n"})
        .sort_by([(c, "ascending") for c in ("cell_line", "side", "label")])
        .to_pylist()
    )
    directed = sum(r["n"] for r in by if r["label"] != "not differentially expressed")
    return Ingested(rows.num_rows, new, directed, by, skipped)


def find_lines(folder: Path) -> tuple[list[str], list[str]]:
    """Return the cell lines' file stems in a folder, and the names of the gene-set files that are left out."""
    if not folder.is_dir():
        raise BadInput.at(folder, "no such folder", "a folder with *-de.csv and *-dir.csv files")
    found = {kind: {f.name[: -len(kind)] for f in folder.glob(f"*{kind}")} for kind in ("-de.csv", "-dir.csv")}
    skipped = sorted(f.name for f in folder.glob(f"*{GENE_SETS}-d*.csv"))
    lines = sorted(s for s in found["-de.csv"] | found["-dir.csv"] if not s.endswith(GENE_SETS))
    if not lines:
        raise BadInput.at(folder, "no *-de.csv file", "PerturbQA's LINE-de.csv and LINE-dir.csv")
    names = [CELL_LINES.get(line.lower(), line) for line in lines]
    for line, name in zip(lines, names, strict=True):
        if names.count(name) > 1:
            raise BadInput.at(folder / f"{line}-de.csv", f"the cell line {name} under two names", "each line once")
        for kind, stems in found.items():
            if line not in stems:
                raise BadInput.at(folder / f"{line}{kind}", "no such file", "a -de.csv and a -dir.csv for each line")
    return lines, skipped


def _origin(folder: Path) -> dict[str, str]:
    file = folder / "source.json"
    if not file.exists():
        return PERTURBQA
    try:
        found = json.loads(file.read_text("utf-8"))
        return {"source": str(found["source"]), "licence": str(found["licence"])}
    except (ValueError, KeyError, TypeError) as e:
        raise BadInput.at(file, f"{type(e).__name__}: {e}", '{"source": ..., "licence": ...}') from e


def _check_source(store: Store, folder: Path, source: str) -> None:
    held = store.rows("SELECT any_value(source) AS source FROM raw.examples")[0]["source"]
    if held not in (None, source):
        raise BadInput(
            f"{folder}: its benchmark is {source!r} and this store holds {held!r}; "
            "a store holds one benchmark, so name another with --store"
        )


def _examples(folder: Path, line: str, origin: dict[str, str], run_id: str) -> pa.Table:
    """Return one cell line's rows in the shape of the table `examples`."""
    import duckdb

    files = {"de": folder / f"{line}-de.csv", "dir": folder / f"{line}-dir.csv"}
    with duckdb.connect(config={"threads": 1}) as con:
        for name, file in files.items():
            con.register(name, _read(file))
            _check_rows(con, name, file)
        _check_pairs(con, files)
        rows = con.sql(
            """
            SELECT substr(sha256(concat_ws(chr(31), $line, pert, gene)), 1, 16) AS example_id,
                $line AS cell_line, pert, gene,
                CASE dir.label WHEN '1' THEN 'upregulated' WHEN '0' THEN 'downregulated'
                    ELSE 'not differentially expressed' END AS label,
                de.split AS given_side, $source AS source, $licence AS licence,
                $run_id AS run_id, $created::TIMESTAMPTZ AS created
            FROM de LEFT JOIN dir USING (pert, gene) ORDER BY de.line
            """,
            params={"line": CELL_LINES.get(line.lower(), line), "run_id": run_id, "created": now(), **origin},
        ).to_arrow_table()
    return rows.cast(TABLES["examples"].schema)


def _read(file: Path) -> pa.Table:
    """Return a file's four columns as text, with the number of each row's line."""
    data = file.read_bytes()
    _check_text(file, data)
    odd: list[pa.csv.InvalidRow] = []

    def keep(row: pa.csv.InvalidRow) -> str:
        odd.append(row)
        return "skip"

    table = pa.csv.read_csv(
        io.BytesIO(data),
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pa.csv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=keep),
        convert_options=pa.csv.ConvertOptions(
            include_columns=COLUMNS,
            column_types=dict.fromkeys(COLUMNS, pa.string()),
            strings_can_be_null=False,
        ),
    )
    if odd:
        raise BadInput.at(file, f"{odd[0].actual_columns} values", f"{odd[0].expected_columns}", line=odd[0].number)
    if not table.num_rows:
        raise BadInput.at(file, "a header and no rows", "at least one pair", line=2)
    return table.append_column("line", pa.array(range(2, table.num_rows + 2)))


def _check_text(file: Path, data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise BadInput.at(file, f"byte 0x{data[e.start]:02x}, not UTF-8", "UTF-8 text", line=line) from e
    if not data.strip():
        raise BadInput.at(file, "an empty file", f"a header {','.join(COLUMNS)} and rows", line=1)
    header = [c.strip('"') for c in data.split(b"\n", 1)[0].decode("utf-8-sig").strip().split(",")]
    for column in COLUMNS:
        if header.count(column) != 1:
            raise BadInput.at(file, ",".join(header)[:80], f"the column {column} once", line=1, column=column)


def _check_rows(con: duckdb.DuckDBPyConnection, name: str, file: Path) -> None:
    """Stop at the first line whose values are none, or whose pair stood before."""
    allowed = (
        ("label", "label NOT IN ('0', '1')", "0 or 1"),
        ("split", "split NOT IN ('train', 'test')", "train or test"),
        ("pert", NO_SYMBOL.format("pert"), "a gene symbol"),
        ("gene", NO_SYMBOL.format("gene"), "a gene symbol"),
    )
    for column, wrong, wanted in allowed:
        for line, value in con.execute(
            f"SELECT line, {column} FROM {name} WHERE {wrong} ORDER BY line LIMIT 1"
        ).fetchall():
            raise BadInput.at(file, repr(value), wanted, line=line, column=column)
    twice = f"""SELECT unnest(list_sort(list(line))[2:]) AS line, pert, gene, min(line) AS first
        FROM {name} GROUP BY pert, gene HAVING count(*) > 1 ORDER BY line LIMIT 1"""
    for line, pert, gene, first in con.execute(twice).fetchall():
        found = f"the pair {pert}, {gene} that stands on line {first} already"
        raise BadInput.at(file, found, "each pair once", line=line, column="pert,gene")


def _check_pairs(con: duckdb.DuckDBPyConnection, files: dict[str, Path]) -> None:
    """Stop at the first pair on which the two files of a line do not agree."""
    rules = (
        ("dir", "dir ANTI JOIN de USING (pert, gene)", "direction", f"a row for it in {files['de'].name}"),
        ("dir", "dir SEMI JOIN (FROM de WHERE label = '0') AS u USING (pert, gene)", "direction",
         f"label 1 for it in {files['de'].name}, which has 0"),
        ("de", "(FROM de WHERE label = '1') AS d ANTI JOIN dir USING (pert, gene)", "effect (label 1)",
         f"a row for its direction in {files['dir'].name}"),
        ("dir", "dir SEMI JOIN de ON dir.pert = de.pert AND dir.gene = de.gene AND dir.split <> de.split",
         "side", f"the side that {files['de'].name} gives it"),
    )  # fmt: skip
    for name, broken, what, wanted in rules:
        for line, pert, gene in con.execute(f"SELECT line, pert, gene FROM {broken} ORDER BY line LIMIT 1").fetchall():
            column = "split" if what == "side" else "label"
            raise BadInput.at(files[name], f"a {what} for {pert}, {gene}", wanted, line=line, column=column)


def _check_labels(store: Store, folder: Path, rows: pa.Table) -> None:
    """Refuse rows that would say of a pair something else than the store does."""
    for held in _contradictions(store, rows):
        raise BadInput(
            f"{folder}: {held['cell_line']} {held['pert']}, {held['gene']} is {held['label']} ({held['side']}) here, "
            f"and the store has {held['held_label']} ({held['held_side']}); name another store with --store"
        )


def _contradictions(store: Store, rows: pa.Table) -> Iterator[dict]:
    with store.session(None, views.needed("raw.examples")) as con:
        con.register("fresh", rows)
        yield from (
            con.sql(
                """
            SELECT f.cell_line, f.pert, f.gene, f.label, f.given_side AS side,
                e.label AS held_label, e.given_side AS held_side
            FROM fresh AS f JOIN raw.examples AS e USING (example_id)
            WHERE f.label <> e.label OR f.given_side <> e.given_side LIMIT 1
            """
            )
            .to_arrow_table()
            .to_pylist()
        )
