"""Tallies: what a card tells of a version in numbers, counted in its rows and in the store as it was for them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import views
from curation.rows import SIDES, Config
from curation.schema import LABELS
from curation.selection import query
from curation.store import Snapshot, Store

LEARNED = ("train", "validation")
CHECKS = ("answer_leak", "genes_missing", "wrong_line", "contradiction", "cut_off", "after_conclusion")
MADE_BY = {"generator": "generator_prompt", "critic": "critic", "parser": "parser"}
FILLED_BY = ("ingest", "import", "generate", "grade")
RUNS = f"SELECT command, args, started FROM runs WHERE command IN {FILLED_BY} AND state <> 'failed'"
RECKONED = ("asked_by_label", "checks_of", "spent", "spent_on", "agreement", "prompts_sent", "origins")


def learned(configs: Sequence[Config]) -> pa.Table:
    """Return the train and validation rows of all splits, with the column split."""
    sides = [(c.split, c.sides[side]) for c in configs for side in LEARNED]
    return pa.concat_tables(rows.append_column("split", pa.repeat(split, rows.num_rows)) for split, rows in sides)


def made_by(configs: Sequence[Config]) -> dict[str, list[str]]:
    """Return the versions of what made the rows: the generator's and the critic's prompt, the parser."""
    rows = learned(configs)
    found = {name: distinct(rows, column) for name, column in MADE_BY.items()}
    return found | {"critic": sorted({c.rpartition("@")[2] for c in found["critic"]})}


def distinct(rows: pa.Table, column: str) -> list[str]:
    """Return the values of a column, each once; nulls left out."""
    return sorted(v for v in rows[column].unique().to_pylist() if v)


def tallies(store: Store, configs: Sequence[Config], hashes: Sequence[str], at: Snapshot) -> dict[str, Any]:
    """Return the numbers of a version.

    Args:
        store: the store that it is built from.
        configs: its rows.
        hashes: the versions of the prompts that made them.
        at: the store's state that it is built from.

    Returns:
        counts, balance, funnel, kept, checks, spent, spent_on, agreement, prompts_sent, origins: rows of the SQL of
        their names;
        commands: what filled the store; days: the first and the last day on which a model was asked.
    """
    asked = {n: query(n) for n in RECKONED}
    asked |= {"funnel": "FROM funnel", "runs": f"{RUNS} ORDER BY started"}
    mine = learned(configs).select(["split", "trace_id", "tokens_in", "tokens_out", "usd"])
    with store.session(at, views.needed(" ".join(asked.values()))) as con:
        con.register("learned", mine)
        given = {"hashes": list(hashes)}
        found = {
            name: con.sql(sql, params=given if "$hashes" in sql else None).to_arrow_table().to_pylist()
            for name, sql in asked.items()
        }
    days = sorted(f"{r['started']:%Y-%m-%d}" for r in found["runs"] if r["command"] in ("generate", "grade"))
    return {
        "counts": _counts(configs),
        "balance": _balance(configs),
        "funnel": _funnel(found["funnel"], configs),
        "kept": _kept(found["asked_by_label"], configs),
        "checks": found["checks_of"][0],
        "spent": found["spent"],
        "spent_on": found["spent_on"][0],
        "agreement": found["agreement"],
        "prompts_sent": found["prompts_sent"],
        "origins": found["origins"],
        "commands": list(dict.fromkeys(command_line(r["command"], json.loads(r["args"])) for r in found["runs"])),
        "days": list(dict.fromkeys([days[0], days[-1]])) if days else [],
    }


def _counts(configs: Sequence[Config]) -> list[dict[str, Any]]:
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


def _balance(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """Return the rows and the share of each label by split and side."""
    found = []
    for c in configs:
        for side in SIDES:
            labels = c.sides[side]["label"]
            n = {v["values"]: v["counts"] for v in pc.value_counts(labels).to_pylist()}
            shares = [n.get(label, 0) / len(labels) if len(labels) else 0.0 for label in LABELS]
            found.append({"split": c.split, "side": side, "n": len(labels), "shares": shares})
    return found


def _funnel(rows: list[dict[str, Any]], configs: Sequence[Config]) -> list[dict[str, Any]]:
    """Return the funnel with what came into the dataset."""
    kept = {c.split: sum(c.sides[side].num_rows for side in LEARNED) for c in configs}
    return [{**row, "in_dataset": kept[row["split"]]} for row in rows if row["split"] in kept]


def _kept(rows: list[dict[str, Any]], configs: Sequence[Config]) -> list[dict[str, Any]]:
    """Return asked, answered and kept for each split and label, the labels in their order."""
    splits = [c.split for c in configs]
    own = [r for r in rows if r["split"] in splits]
    return sorted(own, key=lambda r: (splits.index(r["split"]), LABELS.index(r["label"])))


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
