"""The record that an expert sees: one clause within its text, and nothing of what a model or a colleague thought of it.

Neither grade nor answer, neither label nor critic is in a record, in a field or in metadata: what is not sent cannot be
seen.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from curation.errors import BadInput
from curation.prompting import fill, load
from curation.schema import content_id

if TYPE_CHECKING:
    import argilla

VERDICTS = {"TRUE": "True", "FALSE": "False", "UNVERIFIABLE": "Cannot tell"}
LEVELS = {
    "gene": "gene function",
    "pathway": "pathway or process",
    "context": "cell context",
    "experiment": "experimental result",
    "other": "other",
}
NCBI = "https://www.ncbi.nlm.nih.gov/gene/{}"
UNIPROT = "https://www.uniprot.org/uniprotkb?query=(gene_exact:{})+AND+(organism_id:9606)+AND+(reviewed:true)"
# Argilla writes a record into a script of the page as it is: after "</script>" in a text, what follows would run as the
# expert; $ and # mean something to what puts it there. NUL is what Postgres does not take.
HTML = str.maketrans({
    "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "$": "&dollar;", "#": "&num;", "\0": "\ufffd",
})  # fmt: skip


class Gene(NamedTuple):
    """What a names file says of a gene: its full name, and its number in NCBI Gene."""

    name: str
    entrez: str


def names(file: Path | None) -> dict[str, Gene]:
    """Read the genes' full names from a TSV file (or .gz) with the columns symbol, name and entrez; None for none.

    Raises:
        BadInput: the file is none, or lacks a column.
    """
    if file is None:
        return {}
    if not file.is_file():
        raise BadInput.at(file, "no such file", "a TSV file with the columns symbol, name, entrez")
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8", newline="") as lines:  # type: ignore[operator]
            reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            if missing := {"symbol", "name", "entrez"} - set(reader.fieldnames or ()):
                raise BadInput.at(file, f"no column {sorted(missing)[0]}", "symbol, name, entrez", line=1)
            return {row["symbol"]: Gene(row["name"] or "", row["entrez"] or "") for row in reader}
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as e:
        raise BadInput.at(file, f"no text ({e})", "a TSV file in UTF-8, or such a file as .gz") from e


def records(placed: list[dict[str, Any]], genes: Mapping[str, Gene]) -> Iterator[dict[str, Any]]:
    """Yield a round's records, as the server's API takes them.

    Args:
        placed: rows of sql/placed.sql, in their order, all clauses of a text together.
        genes: what is known of genes by symbol.
    """
    user = load("standard").user
    for _, clauses in groupby(placed, key=lambda row: row["subject_id"]):
        text = list(clauses)
        about = {"question": _question(user, text[0]), "genes": _genes(text[0], genes), "of": len(text)}
        for number, row in enumerate(text, 1):
            listed = [{"n": n, "text": safe(r["text"]), "judged": r is row} for n, r in enumerate(text, 1)]
            field = {**about, "text": safe(row["text"]), "number": number, "reasoning": listed}
            yield {
                "external_id": row["clause_id"],
                "fields": {"clause": field},
                "metadata": {"trace_id": row["subject_id"], "order": row["place"]},
            }


def safe(text: str) -> str:
    """Return a text as HTML that shows just this text, wherever it is put."""
    return text.translate(HTML)


def _question(user: str, row: dict[str, Any]) -> str:
    return safe(fill(user, {name: row[name] for name in ("pert", "gene", "cell_line")}))


def _genes(row: dict[str, Any], genes: Mapping[str, Gene]) -> list[dict[str, str]]:
    """Return both genes; links only for those that are known, as for others they would lead nowhere."""
    found = []
    for symbol, role in ((row["pert"], "knocked down"), (row["gene"], "measured")):
        one = {"symbol": symbol, "role": role}
        if known := genes.get(symbol):
            one |= {"name": known.name, "uniprot": UNIPROT.format(quote(symbol))}
            one |= {"ncbi": NCBI.format(quote(known.entrez))} if known.entrez else {}
        found.append({key: safe(value) for key, value in one.items()})
    return found


def guidelines() -> str:
    """Return what the experts are told, Markdown."""
    return (resources.files("annotation") / "guidelines.md").read_text("utf-8")


def guidelines_version() -> str:
    """Return the hash of what the experts are told and of the page they are shown."""
    return content_id(guidelines(), template())


def template() -> str:
    """Return the page of a record: HTML with {{{placeholders}}}, which Argilla fills in as they are."""
    return (resources.files("annotation") / "clause.hbs").read_text("utf-8")


def settings(annotators: int) -> argilla.Settings:
    """Return what a dataset of a round is made of, for the Argilla SDK.

    Args:
        annotators: verdicts until a clause leaves the queue of those who have not judged it.
    """
    import argilla as rg

    return rg.Settings(
        guidelines=guidelines(),
        fields=[rg.CustomField("clause", title="Judge the yellow sentence", template=template())],
        questions=[
            rg.LabelQuestion("verdict", title="Is the yellow sentence true?", labels=VERDICTS),
            rg.LabelQuestion("level", title="What is it about? (optional)", labels=LEVELS, required=False),
            rg.TextQuestion("note", title="Note (optional)", required=False),
        ],
        metadata=[
            rg.TermsMetadataProperty("trace_id", title="Trace"),
            rg.IntegerMetadataProperty("order", title="Order"),
        ],
        distribution=rg.TaskDistribution(min_submitted=annotators),
    )
