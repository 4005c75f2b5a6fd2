"""A scoring as a rehearsal: the scripted model, and a tiny one that was trained, asked about test examples, scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.published import open_dataset
from eval.comparing import compare
from eval.gathering import gather
from eval.predict import predict
from eval.scoring import score
from eval.tasks import Wanted

if TYPE_CHECKING:
    from curation.published import Published
    from curation.store import Store

EXAMPLES = 200
TINY = Wanted(sample=40)  # the first of the same: a tiny model on a CPU is slow
LENGTH = 64  # tokens of its answers, which nobody will read
METRIC = "balanced_accuracy"


def rehearse(
    store: Store, dataset: Path, out: Path, model: str, trained: tuple[Path, Path] | None, quiet: bool
) -> dict[str, Any]:
    """Predict test examples of a version's default split, score them, and compare the two models.

    Args:
        store: keeps the replies; its train side is what the baselines look up.
        dataset: the folder of the version.
        out: the folder for the predictions.
        model: name of the scripted model, at the address of the environment.
        trained: folders of a base model and of its adapter; None: there is none.
        quiet: no progress.

    Returns:
        predictions (the files); scores: rows of `scoring.score` of METRIC over all rows and cell lines, three-class;
        compared: that metric of the one less that of the other, null without a trained model.
    """
    data = open_dataset(str(dataset))
    files = [out / f"{model}.parquet"]
    predict(store, data, endpoint(model), Wanted(sample=EXAMPLES), files[0], how=How(quiet=quiet))
    if trained:
        files.append(out / f"{trained[1].name}.parquet")
        _predict_here(store, data, *trained, files[1])
    found = gather(files, str(dataset), store=store)
    rows = score([*found.models, *found.baselines], rounds=200)
    compared = compare(found.models[:1], found.models[1:], rounds=200).metrics if trained else []
    return {
        "predictions": list(map(str, files)),
        "scores": [r for r in rows if _headline(r)],
        "compared": next((r for r in compared if _headline(r)), None),
    }


def _predict_here(store: Store, data: Published, model: Path, adapter: Path, out: Path) -> None:
    import torch

    from eval.local import load

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them only wait for each other on so little work
    try:
        local = load(str(model), adapter, {"max_new_tokens": LENGTH})
        predict(store, data, local.endpoint, TINY, out, how=How(quiet=True), engine=local.ask)
    finally:
        torch.set_num_threads(threads)


def _headline(row: dict[str, Any]) -> bool:
    whole = row["cell_line"] == "all" and row.get("rows", "all") == "all"
    return whole and row["task"] == "three-class" and row["metric"] == METRIC
