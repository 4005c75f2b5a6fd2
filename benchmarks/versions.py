"""Recipes and versions on a million traces: preview, build, diff; beside them pandas, `datasets` and bare pyarrow.

Run `python -m benchmarks.versions [FOLDER]`; FOLDER keeps the store for the next time (about 800 MB).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PASSES = 3

PANDAS = """
import time, pandas as pd, pyarrow.parquet as pq
t = pd.read_parquet({flat!r}, columns=["trace_id", "label", "answer", "grade", "cell_line", "side"])
began = time.monotonic()
kept = t[(t.grade == "excellent") & (t.answer == t.label) & (t.side == "train")]
print(len(kept), kept.groupby(["label", "cell_line"]).size().sum())
few = kept.label.value_counts().min()
print(len(kept.sort_values("trace_id").groupby("label").head(few)))
print("SECONDS", time.monotonic() - began)
"""
DATASETS = """
import time, datasets
datasets.disable_progress_bars()
t = datasets.Dataset.from_parquet({flat!r}, cache_dir={cache!r})
began = time.monotonic()
right = [a == b and s == "train" for a, b, s in zip(t["answer"], t["label"], t["side"])]
kept = t.filter(lambda grade, answer, label, side: grade == "excellent" and answer == label and side == "train",
                input_columns=["grade", "answer", "label", "side"], load_from_cache_file=False)
print(len(kept))
print("SECONDS", time.monotonic() - began)
"""
OURS = """
import time
from pathlib import Path
from curation.store import Store
store = Store({place!r})
{setup}
began = time.monotonic()
{what}
print("SECONDS", time.monotonic() - began)
"""


def measure(what: str, code: str, passes: int = PASSES) -> float:
    """Run code in processes of their own; print the median of the seconds it tells, and its peak memory."""
    seconds, peak = [], 0.0
    for _ in range(passes):
        code_with_peak = code + "\nimport resource; print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        done = subprocess.run([sys.executable, "-c", code_with_peak], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        told = dict(line.split() for line in done.stdout.splitlines() if line.startswith(("SECONDS", "PEAK")))
        seconds.append(float(told["SECONDS"]))
        peak = max(peak, float(told["PEAK"]) / 1024)
    mid = statistics.median(seconds)
    print(f"{what:52} {mid:7.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})  peak {peak:5.0f} MB", flush=True)
    return mid


FLAT = (
    """
from curation.store import Store
sql = """
    + repr(
        "SELECT t.trace_id, t.label, t.answer, t.grade, t.cell_line, t.reasoning, s.side FROM traces AS t "
        "JOIN splits AS s USING (example_id) WHERE s.split = 'default'"
    )
    + """
with Store({place!r}).session() as con:
    con.execute("COPY (" + sql + ") TO {flat} (FORMAT parquet)")
print("SECONDS 0")
"""
)
BUILD = "build(store, {recipe!r}, {name!r}, version={version!r}, out=Path({out!r}) / 'v')"
HELD = "if not any(v['version'] == {version!r} for v in named.held(store, {name!r})):\n    "
BARE = """
import glob, time, pyarrow.parquet as pq
tables = [pq.read_table(f) for f in glob.glob("{out}/v/*/*.parquet")]
began = time.monotonic()
for n, table in enumerate(tables):
    pq.write_table(table, "{out}/bare-" + str(n), compression="zstd", row_group_size=10_000)
print("SECONDS", time.monotonic() - began)
"""


def main(work: Path) -> None:
    """Measure each in turn on one store; this process stays small, since a child's peak begins at its parent's."""
    place, flat = str(work / "store"), work / "flat.parquet"
    if not (work / "store" / "grades").exists():
        print("making a store of 1,000,000 traces ...", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks.million", place], check=True)
    if not flat.exists():
        measure("(the same as one flat file, for the others)", FLAT.format(place=place, flat=repr(str(flat))), 1)

    def ours(what: str, setup: str, code: str, passes: int = PASSES) -> float:
        return measure(what, OURS.format(place=place, setup=setup, what=code), passes)

    ours("preview of excellent, both splits", "from curation.preview import preview", "preview(store, 'excellent')")
    measure("same filter and balance: pandas, columns in memory", PANDAS.format(flat=str(flat)))
    with tempfile.TemporaryDirectory() as out:
        measure("same filter: datasets", DATASETS.format(flat=str(flat), cache=out), 1)
    builder = "from curation import named\nfrom curation.versions import build"
    with tempfile.TemporaryDirectory() as out:
        name = f"bench-{time.time_ns()}"
        order = BUILD.format(recipe="good_or_better", name=name, version="1.0.0", out=out)
        build = ours("build of good_or_better, both splits", builder, f"print({order}.rows)", 1)
        bare = measure("bare pyarrow: the same tables to Parquet", BARE.format(out=out), 1)
        print(f"{'':52} build / bare pyarrow: {build / bare:.1f}")
    for version, recipe in (("1.0.0", "good_or_better"), ("1.1.0", "excellent")):
        with tempfile.TemporaryDirectory() as out:
            order = HELD + BUILD
            code = order.format(recipe=recipe, name="pair", version=version, out=out)
            ours(f"(a version for the diff: {recipe})", builder, code, 1)
    ours("diff of the two", "from curation.diff import diff", "print(diff(store, 'pair@1.0.0', 'pair@1.1.0').removed)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
