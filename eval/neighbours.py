"""Neighbours: a vote of the most similar perturbations and genes, by their co-response in train alone.

Two perturbations are alike if they move the same genes the same way, more than those genes move anyway; two genes, if
the same perturbations move them. No model, and no knowledge from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from eval.lookups import PRIOR, gene_rates, one_hot, shares

if TYPE_CHECKING:
    import numpy as np

VOTERS = 30  # train rows with the most similar perturbation, or gene; chosen on perturbations held out of train
COMPONENTS = 32  # of the co-response, likewise
LEAST = 1e-4  # a probability of up or down
_COLUMNS = ["cell_line", "pert", "gene"]


class _Rows(NamedTuple):
    """Rows of train or test by number: pert (or gene) of each, as codes that both tables share."""

    line: np.ndarray
    pert: np.ndarray
    gene: np.ndarray


def vote(train: pa.Table, test: pa.Table) -> np.ndarray:
    """Return the gene's rates, moved by what its neighbours' rows say beyond their own genes' rates: (test rows, 3).

    Two votes are added: of the train rows of the same gene under the VOTERS most similar perturbations, and of those of
    the same perturbation, in other lines, on the most similar genes. Each row says how far its label was from its
    gene's rate, with the similarity (cosine, negative ones 0) as weight.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    known, asked = _coded(train, test)
    beyond = (one_hot(train["label"])[:, :2] - _own_rates(known, train)).astype(np.float32)
    with threadpool_limits(1):  # narrow tables: several threads spend more time waiting for each other
        perts, genes = _profiles(known.pert, known.gene, beyond), _profiles(known.gene, known.pert, beyond)
        moved = _vote(known.gene, asked.gene, perts, known.pert, asked.pert, beyond)
        moved += _vote(known.pert, asked.pert, genes, known.gene, asked.gene, beyond)
    changed = np.clip(gene_rates(train, test)[:, :2] + moved, LEAST, 1.0)
    changed /= np.maximum(changed.sum(axis=1, keepdims=True), 1.0)
    return np.column_stack([changed, np.maximum(1.0 - changed.sum(axis=1), 0.0)])


def _coded(train: pa.Table, test: pa.Table) -> tuple[_Rows, _Rows]:
    both = pa.concat_tables([train.select(_COLUMNS), test.select(_COLUMNS)]).combine_chunks()
    codes = [both[c].combine_chunks().dictionary_encode().indices.to_numpy() for c in _COLUMNS]
    return _Rows(*(c[: train.num_rows] for c in codes)), _Rows(*(c[train.num_rows :] for c in codes))


def _own_rates(known: _Rows, train: pa.Table) -> np.ndarray:
    """Return the rates of up and down of each train row's gene in its line."""
    import numpy as np

    cell = known.line.astype(np.int64) * (known.gene.max() + 1) + known.gene
    n = np.bincount(cell)
    labels, all_rows = one_hot(train["label"]), shares(train)
    sums = [np.bincount(cell, labels[:, i]) for i in range(2)]
    return np.stack([((s + PRIOR * p) / (n + PRIOR))[cell] for s, p in zip(sums, all_rows, strict=False)], axis=1)


def _profiles(of: np.ndarray, over: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Return unit vectors whose dot products tell how alike the responses are: (things, COMPONENTS).

    They are the leading components of the sparse table of what went beyond the rates, up and down side by side: two
    perturbations share few measured genes, so their plain cosine is mostly chance.
    """
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    wide = over.max() + 1
    places = np.r_[of, of], np.r_[over, over + wide]
    table = csr_matrix((np.r_[beyond[:, 0], beyond[:, 1]], places))
    most = min(COMPONENTS, min(table.shape) - 1)
    if most < 1:
        return np.zeros((table.shape[0], 1), np.float32)
    left, strength, _ = randomized_svd(table, most, random_state=0, n_iter=2)
    found = left * strength
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def _vote(
    shared: np.ndarray,
    shared_test: np.ndarray,
    alike: np.ndarray,
    of: np.ndarray,
    of_test: np.ndarray,
    beyond: np.ndarray,
) -> np.ndarray:
    """Return what the train rows with the same `shared` say, weighed by how alike their `of` is: (test rows, 2)."""
    import numpy as np

    moved = np.zeros((len(shared_test), 2))
    order, asked = np.argsort(shared, kind="stable"), np.argsort(shared_test, kind="stable")
    wanted, begins = np.unique(shared_test[asked], return_index=True)
    ends = [*begins[1:], len(asked)]
    first, last = (np.searchsorted(shared[order], wanted, side=s) for s in ("left", "right"))
    for begin, end, a, b in zip(begins, ends, first, last, strict=True):
        rows, train_rows = asked[begin:end], order[a:b]
        seen = of_test[rows] < len(alike)  # one that is in test alone has no profile
        if len(train_rows) and seen.any():
            weights = _nearest(alike[of_test[rows[seen]]] @ alike[of[train_rows]].T)
            moved[rows[seen]] = weights @ beyond[train_rows] / (weights.sum(axis=1, keepdims=True) + PRIOR)
    return moved


def _nearest(similar: np.ndarray) -> np.ndarray:
    """Return similarities with all but the VOTERS largest of each row, and the negative ones, set to 0."""
    import numpy as np

    similar = np.maximum(similar, 0.0)
    if similar.shape[1] > VOTERS:
        least = np.partition(similar, -VOTERS, axis=1)[:, -VOTERS, None]
        similar[similar < least] = 0.0
    return similar
