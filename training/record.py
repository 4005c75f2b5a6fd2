"""Record: training.json, which says what an adapter was made of and how, and the model card made from it."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import BadInput
from curation.published import Published
from datasets_cards import templates
from training.settings import Settings

if TYPE_CHECKING:
    from training.backends import Backend
    from training.rows import Rows

FILE, LOG, PLOT, CHECKPOINTS = "training.json", "log.parquet", "loss.svg", "checkpoints"
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "unsloth", "bitsandbytes")
# what may differ between a training and the run that goes on with it
SAME = ("dataset", "settings", "rendering", "processes")


def is_main() -> bool:
    """Tell whether this process is the one that writes, where several train."""
    return os.environ.get("RANK", "0") == "0"


def begun(
    out: Path,
    data: Published,
    split: str,
    settings: Settings,
    backend: Backend,
    sides: Mapping[str, Rows],
    rendering: dict[str, Any],
) -> dict[str, Any]:
    """Return what is known before the first step: the dataset and its hash, settings, versions, hardware, rows."""
    return {
        "state": "running",
        "out": str(out),
        "dataset": {
            "name": data.name,
            "version": data.version,
            "row_hash": data.row_hash,
            "split": split,
            "simulated": any(rows.simulated for rows in sides.values()),
        },
        "ref": data.ref,
        "commit": data.commit,
        "settings": settings.told(),
        "rendering": rendering,
        "backend": backend._asdict(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "rows": {
            side: {
                "rows": r.table.num_rows,
                "tokens": r.tokens,
                "tokens_trained": r.trained,
                "longest": r.longest,
                "too_long": r.too_long,
            }
            for side, r in sides.items()
        },
        "versions": versions(),
        "hardware": hardware(),
        "started": _now(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, synthpert and all that trains."""
    found = {"python": platform.python_version(), "synthpert": version("synthpert")}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Return what it runs on: device, its memory in GB, cores."""
    import torch

    if not torch.cuda.is_available():
        return {"device": f"CPU {platform.machine()}", "memory_gb": None, "cores": os.cpu_count()}
    about = torch.cuda.get_device_properties(0)
    return {"device": about.name, "memory_gb": about.total_memory / 1e9, "cores": os.cpu_count()}


def take_up(out: Path, begun: dict[str, Any]) -> dict[str, Any] | None:
    """Begin in a folder, or go on in one that a stopped training left.

    Returns:
        What the training found, if it is done already; else None.

    Raises:
        BadInput: the folder holds another training, or something else.
    """
    from training import checkpoints

    file = out / FILE
    if not file.exists():
        if is_main() and (other := [f.name for f in out.iterdir() if f.name != ".lock"]):
            raise BadInput(f"--out {out}: this holds {other[0]} and no {FILE}; name an empty folder")
        write(file, begun)
        return None
    held = json.loads(file.read_text("utf-8")) | {"out": str(out)}
    if held["state"] == "running" and not checkpoints.newest(out / CHECKPOINTS):
        write(file, begun)  # one that came to nothing does not stand in the way of another
        return None
    now = json.loads(json.dumps({key: begun[key] for key in SAME}))
    for key in SAME:
        if differs := _differs(held[key], now[key]):
            raise BadInput(f"--out {out}: holds a training of {key} {differs}; name another folder, or remove this one")
    return held if held["state"] == "done" else None


def _differs(held: Any, now: Any) -> str | None:
    """Tell the first difference of two values in words."""
    if not isinstance(held, dict):
        return None if held == now else f"{held}, and not {now}"
    first = next((k for k in {**held, **now} if held.get(k) != now.get(k)), None)
    return None if first is None else f"with {first} {held.get(first)}, and not {now.get(first)}"


def finish(out: Path, folder: Path, begun: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """Write what a training found: adapters, tokenizer, log, plot, card, and last of all training.json.

    Args:
        out: the folder.
        folder: its checkpoints; they are removed when all is written.
        begun: what was known before the first step.
        tokenizer: the model's, with the chat template that was used.
    """
    from training import checkpoints
    from training.curve import curve

    held = checkpoints.held(folder)
    last = next(reversed(held))
    entries = checkpoints.log(held[last])
    best = checkpoints.best_step(entries) or last
    checkpoints.copy_adapter(held[best], out)
    if best != last:
        checkpoints.copy_adapter(held[last], out / "last")
    tokenizer.save_pretrained(out)
    found = begun | {"state": "done", "base": _base(out), **told(entries, best, last), "ended": _now()}
    write_log(out / LOG, entries)
    (out / PLOT).write_text(curve(entries, best), "utf-8")
    (out / "README.md").write_text(card(found), "utf-8")
    write(out / FILE, found)
    shutil.rmtree(folder)
    (out / ".lock").unlink(missing_ok=True)
    return found


def told(entries: list[dict[str, Any]], best: int, last: int) -> dict[str, Any]:
    """Return what the log says in short: losses by epoch, the best and the last, tokens, seconds, the most memory."""
    steps = [e for e in entries if "loss" in e]
    epochs: list[dict[str, Any]] = []
    for e in (e for e in entries if "eval_loss" in e):
        before = epochs[-1]["step"] if epochs else 0
        losses = [s["loss"] for s in steps if before < s["step"] <= e["step"]]
        mean = sum(losses) / len(losses) if losses else None
        epochs.append({"epoch": e["epoch"], "step": e["step"], "loss": mean, "validation": e["eval_loss"]})
    end = steps[-1]
    return {
        "epochs": epochs,
        "best": next((e for e in epochs if e["step"] == best), None),
        "last": next((e for e in epochs if e["step"] == last), None),
        "steps": last,
        "log": [steps[0]["loss"], end["loss"]],
        "tokens": end["tokens"],
        "seconds": end["seconds"],
        "tokens_per_second": end["tokens"] / end["seconds"],
        "memory_gb": max(s["memory_gb"] for s in steps),
    }


def _base(out: Path) -> dict[str, Any]:
    config = json.loads((out / "adapter_config.json").read_text("utf-8"))
    return {"name": config["base_model_name_or_path"], "revision": config.get("revision")}


def write_log(file: Path, entries: list[dict[str, Any]]) -> None:
    """Write what was logged, a row a step or evaluation; each column is a number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for e in entries for name in e))
    columns = {name: [None if e.get(name) is None else float(e[name]) for e in entries] for name in names}
    columns["step"] = [int(e["step"]) for e in entries]  # type: ignore[misc]
    pq.write_table(pa.table(columns), file)


def card(found: dict[str, Any]) -> str:
    """Return the model card, with the Hub's YAML at its head."""
    on_hub = found["ref"].partition("@")[0] if found["commit"] else None
    return (
        templates()
        .get_template("model.md.j2")
        .render(**found, on_hub=on_hub, base_on_hub=not Path(found["base"]["name"]).exists())
    )


def write(file: Path, facts: dict[str, Any]) -> None:
    """Write facts as JSON, whole or not at all."""
    if not is_main():
        return
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    partial.replace(file)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
