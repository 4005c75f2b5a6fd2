"""Features: a logistic regression on vectors of genes that the user has, such as embeddings of their descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from curation.errors import BadInput
from curation.schema import LABELS

if TYPE_CHECKING:
    import numpy as np

WIDEST = 32  # components that wider features are cut down to
ROUNDS = 100  # of the solver, at most; on PerturbQA it ends by itself before 40
WANTED = "a Parquet file with the columns gene and features, or an .npz of the arrays genes and features"


class Features(NamedTuple):
    """Vectors of genes: their symbols, and (genes, width) numbers."""

    genes: list[str]
    values: np.ndarray


def read(file: Path) -> Features:
    """Read vectors of genes.

    Args:
        file: .npz with the arrays `genes` (texts) and `features` (genes, width), read without pickle; or Parquet with
            a column `gene`, and either a column `features` of lists or one column of numbers for each feature.

    Raises:
        BadInput: it is neither, a gene stands there twice, or a number is not finite.
    """
    import numpy as np

    if not file.is_file():
        raise BadInput.at(file, "no such file", WANTED)
    genes, values = _npz(file) if file.suffix == ".npz" else _parquet(file)
    if values.ndim != 2 or len(genes) != len(values) or not values.size:
        raise BadInput.at(file, f"{len(genes)} genes and features of shape {values.shape}", "a row of numbers a gene")
    if len(set(genes)) < len(genes):
        twice = next(gene for n, gene in enumerate(genes) if gene in genes[:n])
        raise BadInput.at(file, f"{twice} twice", "each gene once")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise BadInput.at(file, f"a number of {genes[row]} that is not finite", "finite numbers", line=row + 1)
    return Features(genes, values)


def _npz(file: Path) -> tuple[list[str], np.ndarray]:
    import zipfile

    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as found:
            if missing := {"genes", "features"} - set(found.files):
                raise BadInput.at(file, f"no array {min(missing)}", WANTED)
            return [str(gene) for gene in found["genes"]], found["features"].astype(np.float32)
    except (ValueError, OSError, zipfile.BadZipFile) as e:  # an array of Python objects would need pickle
        raise BadInput.at(file, str(e).splitlines()[0], f"{WANTED}, texts and numbers and no Python objects") from e


def _parquet(file: Path) -> tuple[list[str], np.ndarray]:
    import numpy as np
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as e:
        raise BadInput.at(file, "no Parquet", WANTED) from e
    if "gene" not in table.column_names:
        raise BadInput.at(file, f"the columns {', '.join(table.column_names)}", WANTED)
    genes, rest = table["gene"].cast(pa.string()).to_pylist(), table.drop_columns(["gene"])
    try:
        if "features" in rest.column_names:
            return genes, np.array(rest["features"].to_pylist(), dtype=np.float32)
        return genes, np.column_stack([c.cast(pa.float32()).to_numpy() for c in rest.columns])
    except (ValueError, TypeError, pa.ArrowInvalid) as e:  # lists of unequal lengths, texts, no columns at all
        raise BadInput.at(file, str(e).splitlines()[0], WANTED) from e


def regression(train: pa.Table, test: pa.Table, features: Features) -> np.ndarray:
    """Return what a logistic regression makes of the two genes' vectors: (test rows, 3), as LABELS.

    Its inputs are both vectors, their product place by place, and the cell line. Features wider than WIDEST are cut
    down to that many principal components of the genes at hand. A gene without a vector gets the mean one.

    Source: GenePT's classifier on a pair's two embeddings, here with three classes.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    vectors = _reduced(features, _symbols(train) | _symbols(test))
    lines = sorted(set(train["cell_line"].to_pylist()))
    labels = np.array(train["label"].to_pylist())
    with threadpool_limits(1):  # narrow tables: several threads spend more time waiting for each other
        model = LogisticRegression(max_iter=ROUNDS, tol=1e-3).fit(_inputs(train, vectors, lines), labels)
    found = np.zeros((test.num_rows, len(LABELS)))
    found[:, [LABELS.index(label) for label in model.classes_]] = model.predict_proba(_inputs(test, vectors, lines))
    return found / np.maximum(found.sum(axis=1, keepdims=True), 1e-9)


def without(features: Features, test: pa.Table) -> tuple[int, int]:
    """Count the test genes that have no vector, and the test rows that one of them stands in."""
    known = set(features.genes)
    pairs = zip(test["pert"].to_pylist(), test["gene"].to_pylist(), strict=True)
    return len(_symbols(test) - known), sum(not {p, g} <= known for p, g in pairs)


def _symbols(rows: pa.Table) -> set[str]:
    return {*rows["pert"].unique().to_pylist(), *rows["gene"].unique().to_pylist()}


def _reduced(features: Features, wanted: set[str]) -> dict[str, np.ndarray]:
    """Return the wanted genes' vectors with mean 0 and deviation 1, at most WIDEST wide."""
    import numpy as np
    from sklearn.decomposition import PCA

    rows = [n for n, gene in enumerate(features.genes) if gene in wanted]
    if not rows:
        raise BadInput(f"the features hold none of the genes, such as {min(wanted)}: they are of {features.genes[0]}")
    values = features.values[rows] - features.values[rows].mean(axis=0)
    if values.shape[1] > WIDEST and len(rows) > WIDEST:
        values = PCA(WIDEST, random_state=0).fit_transform(values)
    values = values / np.maximum(values.std(axis=0), 1e-9)
    return dict(zip((features.genes[n] for n in rows), values.astype(np.float32), strict=True))


def _inputs(rows: pa.Table, vectors: dict[str, np.ndarray], lines: list[str]) -> np.ndarray:
    import numpy as np

    pert, gene = (_gathered(rows[column], vectors) for column in ("pert", "gene"))
    line = (np.array(rows["cell_line"].to_pylist())[:, None] == np.array(lines)).astype(np.float32)
    return np.hstack([pert, gene, pert * gene, line])


def _gathered(symbols: pa.ChunkedArray, vectors: dict[str, np.ndarray]) -> np.ndarray:
    import numpy as np

    coded = symbols.combine_chunks().dictionary_encode()
    mean = np.zeros_like(next(iter(vectors.values())))
    return np.stack([vectors.get(symbol, mean) for symbol in coded.dictionary.to_pylist()])[coded.indices.to_numpy()]
