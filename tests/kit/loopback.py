"""What tests of the Hub share: the client as it is where there is a network, and versions of one's own to publish."""

import shutil
from contextlib import contextmanager

from huggingface_hub import constants

from curation.store import Store


def online(monkeypatch):
    """Have the client of this process ask, not wait between its tries, and take the way that the loopback Hub has."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


def copied(dataset, tmp_path):
    """A store of one's own with the version traces 1.0.0, and the folder where it was built."""
    shutil.copytree(dataset.parent / "store", tmp_path / "store")
    shutil.copytree(dataset, tmp_path / dataset.name)
    return Store(tmp_path / "store"), tmp_path / dataset.name


@contextmanager
def unchanged(repo):
    """Check that a repository is the same after the block."""
    before = [c.oid for c in repo.commits], dict(repo.tags), repo.private
    yield
    assert before == ([c.oid for c in repo.commits], repo.tags, repo.private)
