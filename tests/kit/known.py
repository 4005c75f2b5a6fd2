"""Tables of examples for the tests of baselines and audits."""

import pyarrow as pa

from curation.schema import LABELS, content_id

SIGNS = {"+": LABELS[0], "-": LABELS[1], "0": LABELS[2]}


def table(text):
    """Examples of lines `LINE PERT GENE SIGN`, where a sign is + - or 0."""
    rows = [line.split() for line in text.split(",")]
    return pa.Table.from_pylist(
        [
            {"example_id": content_id(*r[:3]), "cell_line": r[0], "pert": r[1], "gene": r[2], "label": SIGNS[r[3]]}
            for r in rows
        ]
    )
