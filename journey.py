"""The whole job in order, from a benchmark's files to a dataset one can train on: the best place to start reading.

It is what `synthpert demo` runs, against the scripted model of a rehearsal.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

MODEL = "rehearsal-model"
NAME = "perturb-traces"
TINY = "tiny-lora"
MARK = ".synthpert-demo"  # in the folder, so that a demo begins afresh in its own folder only


def demo(
    ctx: typer.Context,
    data: Annotated[Path | None, Option(help="a folder of PerturbQA's files; default a tiny made-up one")] = None,
    out: Annotated[Path, Option(help="folder to work in, begun afresh")] = Path("demo"),
) -> None:
    """Run the whole job as a rehearsal, free and offline.

    Example: synthpert demo --out demo
    """
    from curation.printing import result as show
    from curation.printing import say

    result = journey(out, data, quiet=ctx.obj["quiet"], say=lambda text: say(ctx, text))
    show(ctx, result, _summary(result, out))


def journey(out: Path, data: Path | None, *, quiet: bool, say: Any) -> dict[str, Any]:
    """Do the whole job in a folder.

    Args:
        out: the folder; what a former demo left there is removed.
        data: a benchmark's files; None writes a made-up benchmark.
        quiet: no progress.
        say: called with a line before each step.

    Returns:
        The funnel (a row a split, with `in_dataset`), the review (null: this machine has no annotation server), the
        version that was built, the epochs of a tiny model trained on it (none without the extra), and, of
        `eval.rehearsal`, the predictions on its test side, their scores beside the baselines', and how the two compare.

    Raises:
        BadInput: the folder holds something else than a former demo.
    """
    from curation.asking.requests import endpoint
    from curation.asking.stage import How
    from curation.checks.running import check
    from curation.environ import environ
    from curation.examples import ingest
    from curation.grades import grade
    from curation.rehearsal.server import serve
    from curation.rehearsal.world import write_benchmark
    from curation.selection import Selection
    from curation.store import Store
    from curation.traces import generate
    from curation.versions import build

    _begin(out)
    how = How(quiet=quiet)
    with (
        serve(fail=0.02, malformed=0.03, faults=0.07, lookalikes=0.1) as server,
        environ(OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY="rehearsal"),
    ):
        if data is None:
            write_benchmark(data := out / "benchmark")
        store = Store(out / "store", create=True)
        say(f"1. ingest: {ingest(store, data).examples:,} measured effects")
        chosen = Selection("default", per_label=400)  # the classes are as unequal as in PerturbQA
        asked = generate(store, chosen, endpoint(MODEL), approach="explain", how=how)
        say(f"2. generate: {asked.answered:,} traces by the scripted model, each shown its outcome")
        graded = grade(store, chosen, endpoint(MODEL), how=how)
        say(f"3. grade: {graded.answered:,} grades by the scripted critic")
        checked = check(store, quiet=True)
        found = ", ".join(f"{r['found']} {r['check']}" for r in checked["by"] if r["found"])
        say(f"4. check: {checked['traces']:,} traces, {found}")
        reviewed = _review(store, out, say)
        built = build(store, "excellent", NAME, out=out / f"{NAME}-1.0.0")
        say(f"6. build: {built.name} {built.version}")
        trained = _train(Path(built.out or ""), out, say)
        scored = _score(store, Path(built.out or ""), out, trained, quiet, say)
    kept = {s: sum(r["n"] for r in built.rows if r["split"] == s and r["side"] != "test") for s in _splits(built)}
    funnel = [{**row, "in_dataset": kept[row["split"]]} for row in store.rows("FROM funnel")]
    made = {"funnel": funnel, "review": reviewed, "version": built._asdict(), "trained": trained}
    return made | {key: scored[key] for key in ("predictions", "scores", "compared")}


def _review(store: Any, out: Path, say: Any) -> dict[str, Any] | None:
    from annotation.rehearsal import rehearse
    from curation.errors import SynthpertError

    try:
        done = rehearse(store, out / "annotation-server", say)
    except SynthpertError as e:  # a machine without the server's environment goes on without a review
        say(f"5. review: skipped: {e}")
        return None
    said = f"{done['submitted']:,} verdicts of three scripted experts in Argilla"
    say(f"5. review: {done['clauses']:,} clauses of {done['texts']:,} traces, {said}")
    return {key: done[key] for key in ("name", "texts", "clauses", "submitted")}


def _train(dataset: Path, out: Path, say: Any) -> list[dict[str, Any]]:
    from training.rehearsal import can_train, rehearse

    if not can_train():
        say("7. train: skipped: the extra is not installed (pip install 'synthpert[train]')")
        return []
    done = rehearse(dataset, out / TINY)
    first, *_, last = done["log"]
    say(f"7. train: a tiny model on {done['rows']['train']['rows']:,} traces, loss {first:.1f} to {last:.1f}")
    return done["epochs"]


def _score(store: Any, dataset: Path, out: Path, trained: Any, quiet: bool, say: Any) -> dict[str, Any]:
    from eval.rehearsal import METRIC, rehearse

    models = (out / "tiny-model", out / TINY) if trained else None
    done = rehearse(store, dataset, out, MODEL, models, quiet)
    told = ", ".join(f"{r['model']} {r['value']:.2f}" for r in done["scores"] if r["kind"] == "model")
    best = max((r for r in done["scores"] if r["kind"] == "baseline"), key=lambda r: r["value"])
    say(f"8. score: {METRIC.replace('_', ' ')} of {told}; the best {best['model']} {best['value']:.2f}")
    return done


def _splits(built: Any) -> list[str]:
    return list(dict.fromkeys(r["split"] for r in built.rows))


def _begin(out: Path) -> None:
    from curation.errors import BadInput

    if out.exists() and not (out / MARK).exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"--out {out}: this holds something else than a former demo; name another folder")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).touch()


def _summary(result: dict[str, Any], out: Path) -> str:
    from curation.printing import table

    folder, store = result["version"]["out"], out / "store"
    about = ", about a made-up benchmark" if (out / "benchmark").exists() else ""
    review = f"\n  synthpert --store {store} annotate report --out {out / 'review.html'}" if result["review"] else ""
    files = " ".join(result["predictions"])
    return f"""
{table(result["funnel"])}

The dataset is in {folder}. Read it with:
  from datasets import load_dataset
  load_dataset({folder!r}, "default")         # or "rpe1_holdout", "unseen_pert"

Every trace is simulated: a scripted model wrote it{about}. Next, look around:
  synthpert --store {store} report --out {out / "report.html"}{review}
  synthpert --store {store} sql "SELECT grade, count(*) FROM traces GROUP BY grade"
  synthpert --store {store} score {files} --dataset {folder} --out {out / "scores.html"}
  synthpert --store {store} build thirds --name {NAME}-thirds --out {out / (NAME + "-thirds")}
With PerturbQA's files and a model's address and key (OPENAI_BASE_URL, OPENAI_API_KEY):
  synthpert ingest PATH
  synthpert generate --split default --limit 100 --model o4-mini"""
