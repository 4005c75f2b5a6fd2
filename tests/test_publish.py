"""Publishing: one commit and one tag or nothing, whatever fails, and the same command goes on."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.hub import hub
from kit.loopback import copied, online, unchanged

from curation import folders, named
from curation.errors import BadInput, HubError, VersionError
from curation.fetching import fetch
from curation.publishing import publish
from curation.rebuild import rebuild
from curation.store import Store
from curation.versions import build

REPO = "org/traces"
LEARNED = {("default", "train"), ("default", "validation")}


@pytest.fixture
def remote(tmp_path, monkeypatch):
    online(monkeypatch)
    with hub(tmp_path / "home") as one:
        yield one


@pytest.fixture
def mine(dataset, tmp_path):
    return copied(dataset, tmp_path)[0]


@pytest.fixture
def go(mine, remote):
    """Publish traces 1.0.0, which a rehearsal made."""

    def publishing(version="1.0.0", repo=REPO, token="hf_writer", **more):
        api = more.pop("api", None) or remote.api(token)
        return publish(more.pop("store", mine), f"traces@{version}", repo, allow_simulated=True, api=api, **more)

    return publishing


def held(remote, repo=REPO, kind="datasets"):
    return remote.repos[kind, repo]


def names(remote, repo=REPO):
    return set(held(remote, repo).head.files) - {".gitattributes"}


# -- what goes where


def test_a_version_is_one_commit_and_one_tag(mine, remote, run, tmp_path):
    env = {**os.environ, **remote.env("hf_writer")}
    done = run("publish", "traces", REPO, "--allow-simulated", env=env)
    assert done.returncode == 0, done.stderr
    repo = held(remote)
    assert repo.private and [c.title for c in repo.commits] == ["initial commit", "traces 1.0.0"]
    assert repo.tags == {"v1.0.0": repo.head.oid} and repo.head.oid in done.stdout
    built, kept = tmp_path / "traces-1.0.0", repo.head.files
    for file in built.rglob("*.parquet"):
        assert remote.blobs[kept[file.relative_to(built).as_posix()]] == file.read_bytes()
    manifest = json.loads(remote.blobs[kept["manifest.json"]])
    assert {n: kept[n] for n in manifest["files"]} == manifest["files"] and "recipe.sql" in manifest["files"]
    assert f'load_dataset("{REPO}"' in remote.blobs[kept["README.md"]].decode()
    remote.asked.clear()
    again = run("--json", "publish", "traces@1.0.0", REPO, "--allow-simulated", env=env)
    told = json.loads(again.stdout)
    assert (told["state"], told["commit"], told["public"]) == ("there", repo.head.oid, False) and len(repo.commits) == 2
    assert {method for method, _ in remote.asked} == {"GET", "HEAD"}
    shown = json.loads(run("--json", "versions").stdout)[0]
    assert (shown["published_to"], shown["commit_sha"]) == (REPO, repo.head.oid)
    assert shown["created"] == str(mine.rows("SELECT min(created) AS t FROM raw.versions")[0]["t"]).replace(" ", "T")
    assert rebuild(mine, "traces@1.0.0", out=Path("again")).identical
    assert mine.rows("SELECT count(*) AS n FROM raw.versions") == [{"n": 2}]


def test_a_dry_run_sends_and_asks_nothing(mine, remote, run):
    env = {**os.environ, **remote.env()}
    done = run("publish", "traces@1.0.0", REPO, "--dry-run", "--allow-simulated", "--public", env=env)
    assert done.returncode == 0 and not remote.asked and not remote.repos
    assert f"would go: traces 1.0.0 -> {REPO} (public), tag v1.0.0: 13 files" in done.stdout
    assert "CC0-1.0; simulated" in done.stdout and "default/train-00000-of-00001.parquet" in done.stdout
    assert mine.rows("SELECT published_to FROM versions") == [{"published_to": None}]


def test_what_is_not_at_hand_is_made_again_from_the_store(go, remote, mine, tmp_path):
    shutil.move(tmp_path / "traces-1.0.0", tmp_path / "elsewhere")
    other = Store(shutil.copytree(mine.place, "other-store"))
    made = go()
    assert not Path("traces-1.0.0").exists()
    files = held(remote).head.files
    built = folders.digests(tmp_path / "elsewhere")
    assert {name for name, digest in built.items() if files[name] != digest} == {"README.md", "croissant.json"}
    assert go(folder=tmp_path / "elsewhere", store=other).commit == made.commit


def test_stale_shards_go_and_what_others_put_there_stays(go, remote, mine, monkeypatch):
    monkeypatch.setattr(folders, "SHARD_ROWS", 300)
    build(mine, "direct", "many", out=Path("many-1.0.0"))
    publish(mine, "many", "org/many", allow_simulated=True, api=remote.api())
    repo, many = held(remote, "org/many"), names(remote, "org/many")
    repo.add("a licence", repo.head.files | {"LICENSE": remote.keep(b"words")})
    monkeypatch.setattr(folders, "SHARD_ROWS", 10_000)
    build(mine, "excellent", "many")
    done = publish(mine, "many@1.1.0", "org/many", allow_simulated=True, api=remote.api())
    few = names(remote, "org/many")
    assert len(many) > 15 and len([n for n in few if n.endswith(".parquet")]) == 9 and "LICENSE" in few
    assert len(repo.commits) == 4 and repo.tags["v1.1.0"] == done.commit
    assert repo.tags["v1.0.0"] == repo.commits[1].oid


def test_public_is_asked_for_and_comes_last(go, remote):
    remote.fault("POST", "/tag/", 503)
    with pytest.raises(HubError, match="503"):
        go(public=True)
    assert held(remote).private
    assert go(public=True).public and not held(remote).private
    assert go(repo="org/other").public is False
    assert go(repo="org/other", public=True).state == "there" and not held(remote, "org/other").private
    remote.create("datasets", "org/open", private=False)
    with unchanged(held(remote, "org/open")), pytest.raises(HubError, match="--public publishes to it"):
        go(repo="org/open")
    assert go(repo="org/open", public=True).state == "published"


# -- the story that the docs tell, with the real clients

PAGE = (Path(__file__).parent.parent / "docs" / "publishing.md").read_text()
CHECK = """
for tag in ("v1.0.0", "v1.1.0"):
    rows = load_dataset("org/traces", "rpe1_holdout", revision=tag)
    print(tag, *(rows[side].num_rows for side in ("train", "validation", "test")))
print("stream", sum(1 for _ in stream))
try:
    load_dataset("org/traces", "default", revision="v1.0.0", token="hf_wrong")
except Exception as e:
    print("refused", type(e).__name__)
"""


def blocks(language=""):
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.S | re.M)
    return (
        "".join(text for kind, text in found if kind == language)
        .replace("ORG/REPO", REPO)
        .replace("perturb-traces", "traces")
    )


def test_build_publish_change_publish_again_fetch_and_load_both(mine, remote, run):
    """By the commands of the page, in its order."""
    env = {**os.environ, **remote.env("hf_writer")}
    for line in blocks().splitlines():
        rehearsed = ["--allow-simulated"] if " publish " in line else []
        done = run(*line.split()[1:], *rehearsed, env=env)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert held(remote).tags["v1.1.0"][:20] in done.stdout and held(remote).tags["v1.0.0"][:20] in done.stdout
    counts = []
    for version in ("1.0.0", "1.1.0"):
        manifest = folders.read(Path(f"fetched-{version}"))
        assert manifest["version"] == version
        n = {r["side"]: str(r["n"]) for r in manifest["rows"] if r["split"] == "rpe1_holdout"}
        counts.append(" ".join([f"v{version}", n["train"], n["validation"], n["test"]]))
    rows = mine.rows("SELECT version, count(*) AS n FROM members GROUP BY version ORDER BY version")
    assert [r["version"] for r in rows] == ["1.0.0", "1.1.0"], "a version that was published has its rows still"
    card = Path("fetched-1.1.0", "README.md").read_text()
    was = sum(r["n"] for r in folders.read(Path("fetched-1.0.0"))["rows"] if (r["split"], r["side"]) in LEARNED)
    assert re.search(rf"^\| default \| {was:,} \|", card, re.M), "the changelog counts what was before"
    default = next(r["n"] for r in folders.read(Path("fetched-1.0.0"))["rows"] if r["split"] == "default")
    read = subprocess.run([sys.executable, "-c", blocks("python") + CHECK], capture_output=True, text=True, env=env)
    assert read.returncode == 0, read.stderr
    assert read.stdout.splitlines()[2:-1] == [*counts, f"stream {default}"] and counts[0] != counts[1]
    assert read.stdout.splitlines()[-1].startswith("refused")


# -- what goes wrong, and a second try


def by_hand(remote, repo=REPO):
    there = held(remote, repo)
    return lambda: there.add("a typo", there.head.files | {"README.md": remote.keep(b"---\n---\nhand made")})


def tag_elsewhere(remote):
    there = held(remote)
    there.tags["v1.0.0"] = there.commits[0].oid


FAULTS = {
    "a stale parent": ("POST", "/commit/", lambda r: by_hand(r)(), "somebody else committed there in the meantime"),
    "a cut upload": ("PUT", "lfs-upload", "cut", "Error while uploading"),
    "a full Hub": ("POST", "/commit/", 507, "the Hub answered 507"),
    "too many requests": ("POST", "/objects/batch", 429, "the Hub answered 429"),
    "no permission": ("POST", "/commit/", 403, "this token may not do that (the Hub was told to fail here)"),
    "no answer": ("POST", "/preupload/", "cut", "cannot be reached"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_failure_changes_nothing_and_the_same_command_goes_on(name, go, remote, capsys):
    method, path, act, told = FAULTS[name]
    remote.create("datasets", REPO)
    remote.fault(method, path, (lambda: act(remote)) if callable(act) else act, times=99)
    with pytest.raises(HubError) as e:
        go()
    assert str(e.value).startswith(f"{REPO}: ") and told in str(e.value) and "\n" not in str(e.value)
    print(name, "->", e.value)
    assert "manifest.json" not in held(remote).head.files and not held(remote).tags
    remote.faults.clear()
    done = go()
    assert done.state == "published" and held(remote).tags == {"v1.0.0": done.commit} == {
        "v1.0.0": held(remote).head.oid
    }
    assert "Retrying" not in capsys.readouterr().err


def test_a_failure_as_the_user_sees_it(mine, remote, run):
    env = {**os.environ, **remote.env("hf_writer")}
    remote.fault("POST", "/create", "cut")
    done = run("publish", "traces", REPO, "--allow-simulated", env=env)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"synthpert: {REPO}: {remote.url} cannot be reached (")
    state = "SELECT state FROM runs WHERE command = 'publish'"
    assert not remote.repos and mine.rows(state) == [{"state": "failed"}]
    assert run("publish", "traces", REPO, "--allow-simulated", env=env).returncode == 0


def test_what_came_through_before_a_cut_is_not_sent_again(go, remote):
    remote.fault("PUT", "lfs-upload", lambda: remote.fault("PUT", "lfs-upload", "cut", 99))
    with pytest.raises(HubError):
        go()
    remote.faults.clear()
    here = set(remote.blobs)
    assert len(here) > 1
    remote.asked.clear()
    go()
    sent = {path.rsplit("/", 1)[1] for method, path in remote.asked if method == "PUT"}
    assert sent and not sent & here


def test_a_commit_without_its_tag_is_only_tagged(go, remote):
    remote.fault("POST", "/tag/", 503)
    with pytest.raises(HubError, match="503.*the commit [0-9a-f]{12} is there, and its tag v1.0.0 may not be"):
        go()
    assert len(held(remote).commits) == 2 and not held(remote).tags
    done = go()
    assert len(held(remote).commits) == 2 and held(remote).tags == {"v1.0.0": done.commit}


def test_a_tag_that_is_taken(go, remote):
    remote.fault("POST", "/tag/", lambda: tag_elsewhere(remote))
    with pytest.raises(HubError, match="the tag v1.0.0 is taken, it stands on the commit"):
        go()
    with unchanged(held(remote)), pytest.raises(HubError, match="v1.0.0 is taken: its commit .* holds no version"):
        go()
    remote.api().delete_tag(REPO, tag="v1.0.0", repo_type="dataset")
    assert go().state == "published" and len(held(remote).commits) == 2


SHARD = "default/train-00000-of-00001.parquet"


def cut(remote, files):
    return files | {SHARD: remote.keep(remote.blobs[files[SHARD]][:-1])}


def vouched(remote, files, **other):
    """The same files, with a manifest that vouches for them."""
    manifest = json.loads(remote.blobs[files["manifest.json"]])
    manifest |= {"files": {name: files[name] for name in manifest["files"]}} | other
    return files | {"manifest.json": remote.keep(json.dumps(manifest).encode())}


MOVED = {
    "a shard cut": (cut, SHARD),
    "a shard cut, and the manifest with it": (lambda r, f: vouched(r, cut(r, f)), SHARD),
    "a shard gone": (lambda r, f: {n: d for n, d in f.items() if n != SHARD}, SHARD),
    "a shard more": (lambda r, f: f | {"default/train-1.parquet": f[SHARD]}, "default/train-1.parquet"),
    "another card": (lambda r, f: f | {"README.md": r.keep(b"hand made")}, "README.md"),
    "another recipe": (lambda r, f: vouched(r, f, recipe={}), "'recipe' in its manifest.json"),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_tag_that_was_moved_to_other_files(name, go, remote, mine):
    other = Store(shutil.copytree(mine.place, "other-store"))  # which is not told of what goes out from this one
    ours = go().commit
    change, differs = MOVED[name]
    moved = held(remote).tags["v1.0.0"] = held(remote).add("by hand", change(remote, held(remote).head.files)).oid
    line = f"somebody moved the tag v1.0.0: it stands on the commit {moved}, and this version was published as {ours};"
    with unchanged(held(remote)), pytest.raises(HubError, match=line):
        go()
    line = f"the tag v1.0.0 is taken: its commit {moved[:12]} holds traces 1.0.0 with another {differs};"
    with unchanged(held(remote)), pytest.raises(HubError, match=line):
        go(store=other)
    assert [v["commit_sha"] for v in named.listed(mine)] == [ours]


def test_a_tag_goes_on_a_commit_of_ours_alone(go, remote):
    remote.fault("POST", "/tag/", 503)
    with pytest.raises(HubError, match="503"):
        go()
    ours = held(remote).head
    for path in ("/validate-yaml", "/tag/"):  # somebody commits in between, as the client finds that nothing differs
        remote.fault("POST", path, by_hand(remote))
    assert go().commit == ours.oid == held(remote).tags["v1.0.0"] != held(remote).head.oid


def test_what_somebody_else_committed_is_not_tagged_as_ours(go, remote):
    go()
    repo = held(remote)
    ours = repo.commits.pop()
    repo.tags.clear()
    # the same files came from another hand after we looked, so the client sends nothing; then they were changed
    remote.fault("POST", "/preupload/", lambda: repo.add("the same", ours.files))
    remote.fault("POST", "/validate-yaml", by_hand(remote))
    with pytest.raises(HubError, match="somebody else committed there in the meantime; nothing was changed"):
        go()
    assert not repo.tags and repo.head.title == "a typo"


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("hf_wrong", "the Hub does not take the token; set HF_TOKEN"),
        ("hf_reader", "the token of ana may only read"),
        ("hf_none", "the token of ana may only be looked at"),
        ("hf_stranger", "this token may not do that (you must be a member of org"),
        (None, "no token for the Hub: set HF_TOKEN"),
    ],
)
def test_a_token_that_will_not_do(token, told, go, remote, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(HubError, match=re.escape(told)) as e:
        go(token=token)
    assert "\n" not in str(e.value) and not remote.repos
    assert go().state == "published"
    if token == "hf_stranger":
        with unchanged(held(remote)), pytest.raises(HubError, match="may not do that"):
            go(token=token)


def test_a_hub_that_is_not_there(go, remote):
    from huggingface_hub import HfApi

    with pytest.raises(HubError, match=r"http://127.0.0.1:9 cannot be reached \(.*refused\); the same command"):
        go(api=HfApi(endpoint="http://127.0.0.1:9", token="hf_writer"))
    assert go().state == "published"


def test_a_name_that_is_taken(go, remote, mine):
    remote.create("models", REPO)
    with unchanged(held(remote, kind="models")), pytest.raises(HubError, match="the name is taken, by something that"):
        go()
    other = remote.create("datasets", "org/other")
    other.add("rows", other.head.files | {"data.csv": remote.keep(b"a,b\n")})
    with unchanged(other), pytest.raises(HubError, match=r"holds data.csv and no version of a dataset"):
        go(repo="org/other")
    for name in ("traces", "org/traces/more", "org/tra ces"):
        with pytest.raises(BadInput, match="wanted ORG/REPO"):
            go(repo=name)
    assert go(repo="org/free").state == "published"
    build(mine, "direct", "other", version="2.0.0")
    with unchanged(held(remote, "org/free")), pytest.raises(HubError, match="holds the dataset traces; other needs"):
        publish(mine, "other", "org/free", allow_simulated=True, api=remote.api())
    held(remote, "org/free").tags["v2.0.0"] = held(remote, "org/free").head.oid
    with unchanged(held(remote, "org/free")), pytest.raises(HubError, match="v2.0.0 is taken: .* holds traces 1.0.0;"):
        publish(mine, "other", "org/free", allow_simulated=True, api=remote.api())


def test_a_manifest_there_that_is_none(go, remote):
    there = remote.create("datasets", REPO)
    odd = {"name": "traces", "version": "1.0.0", "row_hash": "0" * 64, "rows": [], "files": []}
    there.add("by hand", there.head.files | {"manifest.json": remote.keep(json.dumps(odd).encode())})
    with unchanged(there), pytest.raises(HubError, match="'files' in its manifest.json is not what a version's"):
        go()
    there.tags["v1.0.0"] = there.head.oid
    with unchanged(there), pytest.raises(HubError, match="'files' in its manifest.json is not what a version's"):
        go()


def test_a_version_does_not_go_back_nor_change(go, remote, mine):
    build(mine, "good_or_better", "traces")
    other = Store(shutil.copytree(mine.place, "other-store"))  # which is not told of what goes out from this one
    go("1.1.0")
    with unchanged(held(remote)), pytest.raises(HubError, match=r"holds traces 1.1.0, and 1.0.0 is older"):
        go()
    held(remote).tags.clear()
    manifest = json.loads(remote.blobs[held(remote).head.files["manifest.json"]]) | {"row_hash": "0" * 64}
    files = held(remote).head.files | {"manifest.json": remote.keep(json.dumps(manifest).encode())}
    held(remote).tags["v1.1.0"] = held(remote).add("other rows", files).oid
    with unchanged(held(remote)), pytest.raises(HubError, match=r"its commit .* holds traces 1.1.0 of other rows"):
        go("1.1.0", store=other)
    held(remote).tags.clear()
    with unchanged(held(remote)), pytest.raises(HubError, match=r"holds a traces 1.1.0 of other rows"):
        go("1.1.0")


def test_a_folder_that_was_changed_does_not_go_out(go, remote, mine, tmp_path):
    card = tmp_path / "traces-1.0.0" / "README.md"
    text = card.read_text()
    card.write_text(text + "\nmore words")
    with pytest.raises(VersionError, match=r"traces-1.0.0: its files are not those .* is made again from the store"):
        go()
    card.write_text(text)
    build(mine, "direct", "other", out=Path("other"))
    with pytest.raises(VersionError, match="'name' in its manifest.json is not what the store has"):
        go(folder=Path("other"))
    with pytest.raises(VersionError, match="no such version"):
        go("9.9.9")
    assert not remote.repos and go().state == "published"


def rewritten(folder, change):
    """Change each Parquet file of a folder, and have its manifest vouch for them."""
    for file in folder.rglob("*.parquet"):
        pq.write_table(change(pq.read_table(file)), file)
    forged(folder, files=folders.digests(folder))


def forged(folder, **other):
    manifest = json.loads((folder / "manifest.json").read_text()) | other
    (folder / "manifest.json").write_text(folders.text(manifest))


def unmarked(rows):
    for name, value in {"simulated": False, "source": "PerturbQA"}.items():
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), pa.array([value] * rows.num_rows, rows.schema.field(at).type))
    return rows


FORGED = {
    "rows dropped": (lambda f: rewritten(f, lambda rows: rows.slice(1)), r"default/\S+ is not as it was built"),
    "a rehearsal unmarked": (lambda f: rewritten(f, unmarked), r"default/\S+ is not as it was built"),
    "a file more": (
        lambda f: ((f / "more.txt").write_text("words"), forged(f, files=folders.digests(f))),
        "more.txt is not as it was built",
    ),
    "another recipe": (lambda f: forged(f, recipe={"sql": "SELECT 1"}), "'recipe' in its manifest.json is not what"),
    "another code": (lambda f: forged(f, code="9.9.9"), "'code' in its manifest.json is not what"),
    "other counts": (lambda f: forged(f, rows=[]), "'rows' in its manifest.json is not what"),
    "a key more": (lambda f: forged(f, reviewed_by="the NIH"), "'reviewed_by' in its manifest.json is not what"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_folder_whose_manifest_was_changed_along_does_not_go_out(name, mine, remote, tmp_path):
    change, told = FORGED[name]
    change(tmp_path / "traces-1.0.0")
    assert folders.read(tmp_path / "traces-1.0.0"), "by its own word it is whole"
    with pytest.raises(VersionError, match=rf"traces-1.0.0: {told}.*remove it, and traces 1.0.0 is made again"):
        publish(mine, "traces@1.0.0", REPO, api=remote.api())
    assert not remote.repos


def test_the_same_rows_in_other_bytes_go_out(go, remote, tmp_path):
    rewritten(tmp_path / "traces-1.0.0", lambda rows: rows)
    assert go().state == "published" and fetch(f"{REPO}@v1.0.0", api=remote.api(), out="got").rows
