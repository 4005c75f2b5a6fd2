"""The commands that look at what rules without a model get, and at what the test side shares with train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from curation.commands.options import Seed, open_store
from curation.config import store_place
from curation.errors import BadInput
from curation.printing import result, say, say_next, table

if TYPE_CHECKING:
    from curation.store import Store

Dataset = Annotated[str, Argument(help="the folder of a version, or ORG/REPO@TAG on the Hub")]
Split = Annotated[str | None, Option(help="one split of the dataset; default all of them")]
SHOWN = ("auroc_per_gene", "auroc_pooled", "accuracy", "balanced_accuracy", "macro_f1")


def baselines(
    ctx: typer.Context,
    dataset: Dataset,
    split: Split = None,
    features: Annotated[
        Path | None, Option(help="vectors of genes for a logistic regression: .npz or Parquet (docs/baselines.md)")
    ] = None,
    string_links: Annotated[Path | None, Option(help="STRING's protein.physical.links file")] = None,
    string_info: Annotated[Path | None, Option(help="STRING's protein.info file")] = None,
    rounds: Annotated[int, Option(min=20, help="resamples for the intervals")] = 200,
    seed: Seed = 0,
    out: Annotated[Path | None, Option(help="write their predictions as well, as Parquet")] = None,
) -> None:
    """Score rules that need no model on a dataset's test side: what any model must beat.

    Example: synthpert baselines perturb-traces-1.0.0
    """
    from curation.published import open_dataset
    from eval.baselines import Files
    from eval.physical import Network
    from eval.ruled import ruled

    if (string_links is None) != (string_info is None):
        raise BadInput("--string-links and --string-info: the one needs the other")
    network = Network(string_links, string_info) if string_links and string_info else None
    found = ruled(
        open_dataset(dataset), split, _store(ctx), Files(features, network), rounds=rounds, seed=seed,
        out=out, tell=lambda remark: say(ctx, remark),
    )  # fmt: skip
    result(ctx, found, "\n\n".join(_scores(found)))


def _scores(rows: list[dict[str, Any]]) -> list[str]:
    """Return a table a split and task: a line a baseline, on all lines together, and per gene in each line."""
    texts = []
    for split, task in dict.fromkeys((r["split"], r["task"]) for r in rows):
        own = [r for r in rows if (r["split"], r["task"], r["rows"]) == (split, task, "all")]
        lines = sorted({r["cell_line"] for r in own} - {"all"})
        value = {(r["model"], r["cell_line"], r["metric"]): r for r in own}
        shown = [
            {
                "baseline": model.removeprefix("baseline: "),
                **{m: value[model, "all", m]["value"] for m in SHOWN if (model, "all", m) in value},
                "unanswered": value[model, "all", "accuracy"]["unanswered"],
                **{f"per gene {x}": value[model, x, SHOWN[0]]["value"] for x in lines if (model, x, SHOWN[0]) in value},
            }
            for model in dict.fromkeys(r["model"] for r in own)
        ]
        texts.append(f"{split}: {task}\n{table(shown)}")
    return texts


def audit(
    ctx: typer.Context,
    dataset: Dataset,
    split: Split = None,
    out: Annotated[
        Path | None, Option(help="write the test examples with the columns clean and resistant, as Parquet")
    ] = None,
) -> None:
    """Tell what of a dataset's test side leaks from train, how far copying gets, and which part is clean.

    Where the store holds the dataset as one of its versions the sums are noted there, for the version's card.

    Example: synthpert audit perturb-traces-1.0.0 --out subsets.parquet
    """
    from curation.published import open_dataset
    from eval.audit import audited

    held = open_dataset(dataset)
    found = audited(held, split, _store(ctx), out)
    result(ctx, [a._asdict() for a in found], "\n\n".join(map(_audit, found)))
    _noted(ctx, held, found)
    say_next(ctx, f"synthpert baselines {dataset}")


def _noted(ctx: typer.Context, dataset: Any, audits: list[Any]) -> None:
    """Note what was found in the store that was named, or is here; none is made."""
    from eval.noting import note

    place = store_place(ctx.obj["store"])
    if not (ctx.obj["store"] or "://" in place or Path(place).is_dir()):
        return
    if note(open_store(ctx), dataset, audits):
        say(ctx, f"noted in {place} for the card of {dataset.name} {dataset.version}")
    else:
        say(ctx, f"not noted: {place} has no version {dataset.name} {dataset.version} with these rows")


def _audit(a: Any) -> str:
    where = "of the dataset" if a.source == "dataset" else "of the store"
    p, t = a.prompts, a.traces
    return "\n".join(
        [
            f"{a.dataset}, {a.split}: {a.test:,} test examples beside {a.train:,} train examples {where}",
            "",
            "test examples whose perturbation, gene or pair is in train; agrees: share of pairs with the same label",
            table(a.seen),
            "",
            "share of test examples on which looking up is right: the pair's label in other lines (copy), the gene's",
            "usual label, the first else the second (both), the majority label",
            table(a.copying),
            "",
            f"questions: {p['same_text']:,} as in train, {p['same_but_for_the_line']:,} but for the cell line, "
            f"{p['reversed']:,} with the genes reversed ({p['reversed_in_line']:,} in the same line), "
            f"{p['other_spelling']:,} in another spelling",
            f"traces: {t['naming']:,} of {t['traces']:,} name both genes of a test pair ({t['own_pair']:,} of them are "
            f"about it in another line), which makes {t['test_rows']:,} test examples",
            "",
            "clean: the perturbation is in no line's train; resistant: the gene's usual label is wrong, and so is both",
            table(a.subsets),
        ]
    )


def _store(ctx: typer.Context) -> Store | None:
    """Return the store that was named, whose train side is whole; None: the rules look up the dataset's own rows."""
    if ctx.obj["store"]:
        return open_store(ctx)
    say(ctx, "rules look up the dataset's own train rows alone; --store names the store that has all of them")
    return None
