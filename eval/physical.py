"""Physical: a pair whose two proteins bind each other is said to change; from STRING's own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from curation.errors import BadInput
from eval.lookups import shares
from eval.sql import query

if TYPE_CHECKING:
    import numpy as np

LINKS = ("protein1", "protein2", "combined_score")
INFO = ("#string_protein_id", "preferred_name")
STRONGEST = 1000  # STRING's scores are thousandths


class Network(NamedTuple):
    """STRING's two files, plain or gzipped, as its site hands them out.

    links: 9606.protein.physical.links.vNN.txt, split at blanks. info: 9606.protein.info.vNN.txt, split at tabs, which
    names the proteins' genes.
    """

    links: Path
    info: Path


def scores(network: Network, test: pa.Table) -> np.ndarray:
    """Return the score of the link between the two genes of each test pair, 0 to 1; 0 where there is none.

    Raises:
        BadInput: a file is not STRING's, or the links name none of the proteins of the info.
    """
    import duckdb
    import numpy as np

    with duckdb.connect() as con:
        con.register("links", _read(network.links, " ", LINKS))
        con.register("info", _read(network.info, "\t", INFO))
        con.register("test", test)
        if not con.sql("FROM links SEMI JOIN info ON protein1 = protein LIMIT 1").fetchall():
            raise BadInput.at(network.info, f"no protein of {network.links.name}", "the info of the same organism")
        found = con.sql(query("physical")).fetchnumpy()["score"]
    return np.asarray(found, float) / STRONGEST


def physical(train: pa.Table, test: pa.Table, network: Network) -> np.ndarray:
    """Return linked pairs as changed with the link's score as probability; up and down by their shares in train."""
    import numpy as np

    linked, (up, down, _) = scores(network, test), shares(train)
    return np.column_stack([linked * up / (up + down), linked * down / (up + down), 1 - linked])


def _read(file: Path, delimiter: str, wanted: tuple[str, ...]) -> pa.Table:
    import pyarrow.csv as csv

    form = f"STRING's columns {', '.join(wanted)}"
    try:
        with pa.input_stream(str(file)) as stream:  # gunzips by the file's name
            table = csv.read_csv(
                stream,
                parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False),
                convert_options=csv.ConvertOptions(include_columns=list(wanted)),
            )
    except FileNotFoundError as e:
        raise BadInput.at(file, "no such file", form) from e
    except (pa.ArrowInvalid, KeyError, OSError) as e:
        raise BadInput.at(file, str(e).splitlines()[0].strip("'\""), form) from e
    return table.rename_columns([name.replace("#string_protein_id", "protein") for name in wanted])
