"""Run every benchmark and print its figures: medians of several passes, each in a process of its own."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PASSES = 5


def measure(what: str, *command: str, passes: int = PASSES) -> None:
    """Print the median seconds and the peak memory of a command."""
    seconds = []
    for _ in range(passes):
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # the largest child so far
    low, mid, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"{what:34} {mid:6.2f} s  ({low:.2f} to {high:.2f}, {passes} passes)  largest process so far {peak:4.0f} MB")


def main() -> None:
    """Measure from the lightest command to the heaviest, so that each peak is its own."""
    synthpert = (sys.executable, "-m", "synthpert")
    measure("synthpert --help", *synthpert, "--help", passes=11)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if data := os.environ.get("PERTURBQA_DIR"):
            for n in range(PASSES):
                store = str(work / f"store-{n}")
                measure(f"ingest of PerturbQA, {n + 1}", *synthpert, "--store", store, "ingest", data, passes=1)
            at = (*synthpert, "--store", str(work / "store-0"))
            measure("the same again, nothing new", *at, "ingest", data, passes=3)
            measure("count by split and side", *at, "sql", "SELECT split, side, count(*) FROM splits GROUP BY ALL")
            out = work / "direct"
            measure(
                "build direct, 1.2 million rows", *at, "build", "direct", "--name", "d", "--out", str(out), passes=1
            )
        else:
            print("PERTURBQA_DIR is not set: ingest and build of the real benchmark are left out")
        measure("synthpert demo", *synthpert, "demo", "--out", str(work / "demo"), passes=3)


if __name__ == "__main__":
    main()
