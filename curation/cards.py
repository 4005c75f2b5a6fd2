"""Cards: what a dataset's README.md says of it, filled into the templates of `datasets_cards`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from curation import reviews
from curation.intervals import Interval
from curation.reviews import Review
from curation.rows import COLUMNS, SCHEMA, SIDES, Config
from curation.schema import LABELS
from curation.store import Snapshot, Store
from datasets_cards import templates


def dataset_card(store: Store, configs: Sequence[Config], review: Review | None, facts: dict[str, Any]) -> str:
    """Return the card of one version, with the Hub's YAML at its head.

    Args:
        store: the store that the version is built from.
        configs: its rows.
        review: what experts said of them.
        facts: its manifest, as far as it is known before the files are hashed.
    """
    learned = pa.concat_tables(c.sides[s] for c in configs for s in ("train", "validation"))
    rows = pa.concat_tables([learned, *(c.sides["test"] for c in configs)])
    made = templates()
    made.filters["interval"] = _interval
    return made.get_template("traces.md.j2").render(
        **facts,
        yaml=_yaml(configs, review, facts),
        review=review,
        traces=len(set(learned["trace_id"].drop_null().to_pylist())),
        annotation_columns={name: about for name, (_, about) in reviews.COLUMNS.items()},
        simulated=_simulated(learned, rows),
        counts=_counts(configs),
        labels=LABELS,
        lines=sorted(rows["cell_line"].unique().to_pylist()),
        balance=_balance(configs),
        generators=_distinct(learned, "generator"),
        generator_prompts=_distinct(learned, "generator_prompt"),
        approaches=_distinct(learned, "approach"),
        critics=_distinct(learned, "critic"),
        sources=sorted(set(zip(rows["source"].to_pylist(), rows["licence"].to_pylist(), strict=True))),
        funnel=_funnel(store, configs, facts["store"]),
        commands=_commands(store, facts["store"]),
        described={name: about for name, (_, about) in COLUMNS.items()},
        settings=[shlex.quote(f"{name}={value}") for name, value in facts["recipe"]["params"].items()],
    )


def _simulated(learned: pa.Table, rows: pa.Table) -> str:
    """Return what of a version was rehearsed, in a sentence; empty if nothing was."""
    found = []
    if "rehearsal" in rows["source"].unique().to_pylist():
        found.append("The benchmark is made up")
    if pc.any(pc.fill_null(pc.and_(learned["simulated"], pc.is_valid(learned["trace_id"])), False)).as_py():
        found.append(
            "a scripted model wrote or graded the traces" if found else "A scripted model wrote or graded the traces"
        )
    return ", and ".join(found) + "." if found else ""


def _distinct(rows: pa.Table, column: str) -> list[str]:
    return sorted(v for v in rows[column].unique().to_pylist() if v)


def _yaml(configs: Iterable[Config], review: Review | None, facts: dict[str, Any]) -> str:
    """Return the Hub's metadata.

    Each config's description holds the hash of its rows: `datasets` caches a local folder by its name and this
    block, and would otherwise hand out another folder's rows, or yesterday's.
    """
    import yaml

    told = [(c.split, c.hash, SCHEMA, c.sides) for c in configs]
    if review:
        told.append(("annotations", review.hash, reviews.SCHEMA, {"train": review.rows}))
    head = {
        "pretty_name": facts["name"],
        "license": "other",
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["biology", "reasoning", "perturbation", "crispri", "synthetic"],
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": s, "path": f"{name}/{s}-*.parquet"} for s in sides],
                **({"default": True} if name == "default" else {}),
            }
            for name, _, _, sides in told
        ],
        "dataset_info": [
            {
                "config_name": name,
                "description": f"rows sha256:{digest}",
                "features": _features(schema),
                "splits": [{"name": s, "num_examples": t.num_rows, "num_bytes": t.nbytes} for s, t in sides.items()],
            }
            for name, digest, schema, sides in told
        ],
    }
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()


def _features(schema: pa.Schema) -> Any:
    from datasets import Features

    # a copy each, or YAML writes a reference
    return orjson.loads(orjson.dumps(Features.from_arrow_schema(schema)._to_yaml_list()))


def _interval(found: Interval) -> str:
    """Return a value and its interval as a sentence has them."""
    if found.value is None or found.low is None or found.high is None:
        return f"undefined ({found.why})" if found.value is None else f"{found.value:.2f} ({found.why})"
    return f"{found.value:.2f} (95 % interval {found.low:.2f} to {found.high:.2f})"


def _counts(configs: Iterable[Config]) -> list[dict[str, Any]]:
    """Return rows by split, side and cell line, with a count for each label."""
    found = []
    for c in configs:
        for side in SIDES:
            table = c.sides[side].select(["cell_line", "label"])
            counted = table.group_by(["cell_line", "label"]).aggregate([([], "count_all")]).to_pylist()
            n = {(r["cell_line"], r["label"]): r["count_all"] for r in counted}
            for line in sorted({line for line, _ in n}):
                by = [n.get((line, label), 0) for label in LABELS]
                found.append({"split": c.split, "side": side, "cell_line": line, "labels": by, "n": sum(by)})
    return found


def _balance(configs: Iterable[Config]) -> list[dict[str, Any]]:
    """Return the share of each label by split and side."""
    found = []
    for c in configs:
        for side in SIDES:
            labels = c.sides[side]["label"]
            n = {v["values"]: v["counts"] for v in pc.value_counts(labels).to_pylist()}
            shares = [n.get(label, 0) / len(labels) if len(labels) else 0.0 for label in LABELS]
            found.append({"split": c.split, "side": side, "shares": shares})
    return found


def _funnel(store: Store, configs: Sequence[Config], at: Snapshot) -> list[dict[str, Any]]:
    """Return the funnel with what came into the dataset."""
    kept = {c.split: c.sides["train"].num_rows + c.sides["validation"].num_rows for c in configs}
    return [
        {**row, "in_dataset": kept[row["split"]]} for row in store.rows("FROM funnel", at=at) if row["split"] in kept
    ]


def _commands(store: Store, at: Snapshot) -> list[str]:
    """Return the command lines that filled the store, each once, in order."""
    runs = store.rows(
        "SELECT command, args FROM runs WHERE command IN ('ingest', 'generate', 'grade') "
        "AND state <> 'failed' ORDER BY started",
        at=at,
    )
    return list(dict.fromkeys(command_line(r["command"], json.loads(r["args"])) for r in runs))


def command_line(command: str, args: dict[str, Any]) -> str:
    """Return a command as one types it; the argument `PATH` stands without a name."""
    words = ["synthpert", command]
    for name, value in args.items():
        if name == "path":
            words.append(str(value))
        elif value is True:
            words.append(f"--{name.replace('_', '-')}")
        else:
            for one in value if isinstance(value, list) else [value]:
                words += [f"--{name.replace('_', '-')}", str(one)]
    return shlex.join(words)
