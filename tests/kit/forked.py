"""The command as a process of its own, forked from one that has already imported what most commands import.

It is `python -m synthpert` in all that a test sees: arguments, environment, folder, streams, exit status. Only the
second and a half in which a start imports DuckDB, Arrow, Delta and the SDK is spent once instead of at each start.
Where the start itself is what is tested, or a signal, tests start `COMMAND`.
"""

import gc
import importlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

# not DuckDB, which looks about as it is imported: at whether a file is run, without which it takes itself to be in a
# terminal and draws its progress on stdout
FIRST = (
    "synthpert", "curation.commands.making", "curation.commands.looking", "curation.commands.selecting",
    "annotation.commands", "training.commands", "eval.commands.predicting", "eval.commands.scoring",
    "curation.versions", "curation.plan", "curation.traces", "curation.grades", "curation.checks.running",
    "curation.report", "curation.diff", "pyarrow.dataset", "pyarrow.parquet", "deltalake", "yaml",
    "openai", "scipy.stats", "sklearn.metrics", "sklearn.linear_model", "huggingface_hub.hf_api", "datasets",
)  # fmt: skip
AT_IMPORT = ("huggingface_hub.constants", "datasets.config")  # what was read from the environment as it was then
SECONDS = 300

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(FIRST))


def command(*args, env=None, cwd=None):
    """Run the command to its end; returns what subprocess.run does."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder, name) for name in ("out", "err"))
        given = (list(map(str, args)), dict(os.environ if env is None else env), str(cwd or Path.cwd()), out, err)
        process = _context.Process(target=_main, args=given)
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(given[0], SECONDS)
        return subprocess.CompletedProcess(given[0], process.exitcode, out.read_text(), err.read_text())


def _main(args, env, cwd, out, err):
    """Become the command, in the forked process."""
    os.environ.clear()
    os.environ |= env
    os.chdir(cwd)
    for number, name, place in ((1, "stdout", out), (2, "stderr", err)):
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT), number)
        setattr(sys, name, os.fdopen(number, "w", buffering=1, closefd=False))
    gc.freeze()  # what was there before the command is not looked at, and so not copied, for garbage of its own
    for name in AT_IMPORT:
        importlib.reload(sys.modules[name])
    sys.argv[1:] = args
    runpy.run_module("synthpert", run_name="__main__", alter_sys=True)
