"""A server that takes so many requests a second and refuses the rest: time against what it would take at best.

Run `python -m benchmarks.refusals [--passes 3]`. The stub takes ten a second, ten at once; the ideal is the time in
which it takes the last of 300, and one answer. In the beginning 64 are sent to it, so 54 refusals nobody could avoid.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.asking.tools import OURS, Task, Tool, reset, stubbed, told
from benchmarks.engine import Bench, Row, table

N, RATE, CONCURRENCY = 300, 10.0, 64
CASES = (("everything", 1.0), ("retry-after", 1.0), ("nothing", 1.0), ("retry-after", 5.0), ("nothing", 5.0))


def refused(bench: Bench, tool: Tool, says: str, latency: float) -> Row:
    """Ask N rows of a server that says so much of its limits."""
    with stubbed(latency=latency, rate=RATE, says=says) as url:
        reset(url)
        tool.run(Task(N, CONCURRENCY, url, bench.work()))
        counts = told(url)
    ideal = (N - RATE) / RATE + latency
    return {"time / ideal": counts["window"] / ideal, "refused": counts["refused"], "answered": counts["answered"]}


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=3)
    passes = parser.parse_args().passes
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), [OURS])
        for says, latency in CASES:
            title = f"{RATE:g} a second, a refusal says {says}, an answer takes {latency:g} s"
            table(title, [OURS], passes, lambda tool, s=says, t=latency: refused(bench, tool, s, t))


if __name__ == "__main__":
    main()
