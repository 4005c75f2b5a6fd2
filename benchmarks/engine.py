"""The engine against a bare loop and other tools: time, CPU, memory, kills, refusals, stale answers, budgets.

Run `python -m benchmarks.engine [--passes 3] [--rival NAME=PYTHON]...`; PERTURBQA_DIR fills the store with the real
benchmark, else the rehearsal's world does. A rival's Python is that of a virtual environment which has the tool, and
its driver stands in benchmarks/asking/drivers. Every tool asks the same stub, which answers after half a second and
shares the machine with it; the ideal time is that of rounds without a gap: ceil(N / in flight) x 0.5 s.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.asking.stub import USAGE
from benchmarks.asking.tools import BARE, OURS, SDK, Task, Tool, reset, rival, stubbed, told

N, LATENCY, MANY = 2_000, 0.5, 100_000
SYNTHPERT = [sys.executable, "-m", "synthpert", "--quiet"]
PARTS = ["speed", "kill", "stale", "budget", "refused", "memory"]
Row = dict[str, Any]


def store_of_all(folder: Path) -> Path:
    """Make a store that holds the whole benchmark."""
    from curation.rehearsal.world import write_benchmark

    data, store = os.environ.get("PERTURBQA_DIR"), folder / "all"
    if not data:
        write_benchmark(folder / "world")
    subprocess.run([*SYNTHPERT, "--store", str(store), "ingest", data or str(folder / "world")], check=True)
    return store


class Bench:
    """A folder to work in, the tools, and the store that each run of ours begins with a copy of."""

    def __init__(self, folder: Path, tools: list[Tool]) -> None:
        self.folder, self.tools, self.n = folder, tools, 0
        self.store = store_of_all(folder)

    def work(self) -> Path:
        """Return a new folder with a copy of the store."""
        self.n += 1
        work = self.folder / f"work-{self.n}"
        shutil.copytree(self.store, work / "store")
        return work

    def speed(self, tool: Tool, url: str, concurrency: int, n: int = N, latency: float = LATENCY) -> Row:
        """Ask N rows from nothing."""
        work = self.work()
        reset(url)
        seen = tool.run(Task(n, concurrency, url, work))
        counts = told(url)
        shutil.rmtree(work)
        return {
            "window / ideal": counts["window"] / (math.ceil(n / concurrency) * latency),
            "start s": counts["first"] - seen.began,
            "finish s": seen.began + seen.wall - counts["last"],
            "CPU s / 1,000": seen.cpu / n * 1000,
            "peak MB": seen.megabytes,
            "in flight": counts["mean_in_flight"],
            "answered": counts["answered"],
        }

    def killed(self, tool: Tool, url: str) -> Row:
        """Kill it at half, and give the same command again."""
        work, task_of = self.work(), lambda work: Task(N, 100, url, work)
        reset(url)
        tool.run(task_of(work), kill_at=N // 2)
        before = told(url)
        again = tool.run(task_of(work))
        after = told(url)
        shutil.rmtree(work)
        return {
            "asked before": before["total"],
            "asked after": after["total"] - before["total"],
            "answered rows asked again": after["answered_twice"],
            "again s": again.wall,
            "answered": after["answered"],
        }


def table(title: str, tools: list[Tool], passes: int, measure: Callable[[Tool], Row]) -> None:
    """Print the medians of several passes, the tools in turn within each."""
    found: dict[str, list[Row]] = {tool.name: [] for tool in tools}
    for _ in range(passes):
        for tool in tools:
            found[tool.name].append(measure(tool))
    columns = list(found[tools[0].name][0])
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}", flush=True)
    for name, rows in found.items():
        print(f"| {name} | {' | '.join(_cell([row[c] for row in rows]) for c in columns)} |", flush=True)


def _cell(values: list[float]) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    if all(float(v).is_integer() for v in values):
        return f"{middle:,.0f}" + (f" ({low:,.0f} to {high:,.0f})" if low != high else "")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})" if len(values) > 1 else f"{middle:.2f}"


def stale(bench: Bench, url: str) -> None:
    """Print how many of 20 rows are asked again after a change."""
    from importlib import resources

    work, prompts = bench.work(), bench.folder / "prompts"
    shutil.copytree(
        str(resources.files("curation") / "prompts"), prompts, ignore=shutil.ignore_patterns("*.py*", "__*")
    )
    (prompts / "explain.system.txt").write_text((prompts / "explain.system.txt").read_text() + "\nBe brief.\n")
    task, last = Task(20, 20, url, work), 0
    reset(url)
    print("\n20 rows; requests that reach the server\n\n| change | asked |\n|---|---:|")
    for change, this, more in (
        ("first run", task, ()),
        ("same again", task, ()),
        ("system prompt changed", task, ("--prompts", str(prompts))),
        ("one example added", task._replace(n=21), ()),
        ("another number in flight, so another order", task._replace(n=21, concurrency=2), ()),
        ("temperature changed", task, ("--param", "temperature=0.1")),
    ):
        OURS.run(this, *more)
        print(f"| {change} | {(now := told(url)['total']) - last} |", flush=True)
        last = now


def budget(bench: Bench, url: str) -> None:
    """Print what a run with a budget spent, by the stub's own count."""
    price, allowed = {"input": 2.0, "output": 8.0, "max_output": 400}, 0.5
    told_price = ", ".join(f"{k} = {v}" for k, v in price.items())
    tool = OURS._replace(settings=f'[models."gpt-4"]\nprice = {{ {told_price} }}\n')
    reset(url)
    tool.run(Task(N, 100, url, bench.work()), "--budget-usd", str(allowed))
    each = (USAGE["prompt_tokens"] * price["input"] + USAGE["completion_tokens"] * price["output"]) / 1e6
    spent = told(url)["answered"] * each
    print(f"\n--budget-usd {allowed}: ${spent:.4f} spent by the stub's count, ${max(0.0, spent - allowed):.4f} over it")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--only", choices=PARTS, action="append")
    given = parser.parse_args()
    parts = given.only or PARTS
    tools = [OURS, BARE, *map(rival, given.rival)]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), tools)
        with stubbed(latency=LATENCY) as url:
            for c in (100, 250, 500) if "speed" in parts else ():
                title, all_tools = f"{N:,} rows, {c} in flight", [OURS, SDK, *tools[1:]]
                table(title, all_tools, given.passes, lambda tool, c=c: bench.speed(tool, url, c))
            if "kill" in parts:
                table("kill -9 at half, then again", tools, given.passes, lambda tool: bench.killed(tool, url))
            if "stale" in parts:
                stale(bench, url)
            if "budget" in parts:
                budget(bench, url)
        if "refused" in parts:
            with stubbed(latency=LATENCY, flaky=0.05) as url:
                table("5 % of rows refused once", tools, given.passes, lambda tool: bench.speed(tool, url, 100))
        if "memory" in parts:
            with stubbed(latency=0.1) as url:
                for n in (N, MANY):
                    title = f"{n:,} rows, 100 in flight, answers after 0.1 s"
                    table(
                        title,
                        [OURS],
                        1,
                        lambda tool, n=n: bench.speed(tool, url, 100, n, 0.1),
                    )


if __name__ == "__main__":
    main()
