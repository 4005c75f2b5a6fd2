"""What takes long to make and is only read is made once, by whichever of pytest's workers needs it first."""

import fcntl
import os
import shutil


def once(factory, name, make):
    """Return a folder that `make(folder)` has filled, the same for all workers of a run."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, whole = root / name, root / f"{name}.whole"
    with open(root / f"{name}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


def copied(folder, to):
    """Copy a folder that was made once, to write to; returns where to."""
    return shutil.copytree(folder, to, dirs_exist_ok=True)
