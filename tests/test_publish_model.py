"""Publishing a model: the folder as it was trained or merged, in one commit, and no folder that is none."""

import json
import os
import shutil

import pytest
from kit.hub import hub
from kit.loopback import online, unchanged

from curation.errors import BadInput, HubError, SecretFound
from curation.rehearsal.tiny import write_model
from training import publishing
from training.publishing import publish_model

REPO = "org/model"
RECORD = {
    "state": "done",
    "out": "/home/ana/lora",
    "dataset": {"name": "traces", "version": "1.0.0", "split": "default", "row_hash": "0" * 64, "simulated": False},
    "ref": "org/traces@v1.0.0",
    "commit": "c" * 40,
    "base": {"name": "org/base", "revision": None},
}


@pytest.fixture
def remote(tmp_path, monkeypatch):
    online(monkeypatch)
    with hub(tmp_path / "home") as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "merged", ["TP53 lowers CDKN1A, its target."] * 9)


@pytest.fixture
def merged(model, tmp_path):
    """A folder as `merge` leaves it."""
    folder = tmp_path / "merged"
    shutil.copytree(model, folder)
    (folder / "README.md").write_text('---\nlicense: other\n---\n# a model\n\nfrom_pretrained("THIS_FOLDER")\n')
    (folder / "training.json").write_text(json.dumps(RECORD))
    return folder


@pytest.fixture
def adapter(merged):
    """A folder as `train` leaves it, the weights but for their shape."""
    (merged / "model.safetensors").rename(merged / "adapter_model.safetensors")
    (merged / "config.json").rename(merged / "adapter_config.json")
    (merged / "last").mkdir()
    shutil.copy(merged / "adapter_model.safetensors", merged / "last")
    return merged


def record(folder, **other):
    (folder / "training.json").write_text(json.dumps(RECORD | other))


def test_a_merged_model_is_one_commit_and_loads(merged, remote, run):
    env = {**os.environ, **remote.env("hf_writer")}
    plan = run("publish-model", merged, REPO, "--dry-run", env=env)
    assert plan.returncode == 0 and not remote.asked, plan.stderr
    assert f"would go: {merged} (merged, traces 1.0.0, default, on org/base) -> {REPO} (private)" in plan.stdout
    done = run("publish-model", merged, REPO, env=env)
    assert done.returncode == 0, done.stderr
    repo = remote.repos["models", REPO]
    assert repo.private and [c.title for c in repo.commits] == ["initial commit", "traces 1.0.0, default"]
    assert repo.head.oid in done.stdout and not repo.tags
    files = {name: remote.blobs[digest] for name, digest in repo.head.files.items()}
    assert files["model.safetensors"] == (merged / "model.safetensors").read_bytes()
    assert b'from_pretrained("org/model")' in files["README.md"] and b"/home/ana" not in files["training.json"]
    again = json.loads(run("--json", "publish-model", merged, REPO, env=env).stdout)
    assert (again["state"], again["commit"], len(repo.commits)) == ("there", repo.head.oid, 2)
    got = remote.api().snapshot_download(REPO, revision=repo.head.oid, local_dir="got")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert AutoTokenizer.from_pretrained(got)("TP53") == AutoTokenizer.from_pretrained(merged)("TP53")
    assert AutoModelForCausalLM.from_pretrained(got).num_parameters() > 0


def test_only_what_a_training_writes_goes_out(merged, remote, run):
    key = "hf_" + "aBcDeFgH" * 4 + "ij"
    wanted = {f.name for f in merged.iterdir()}
    for name in (".env", "run.log", "notes.yaml", ".git/config", "last/notes.txt", "config.json.bak", "my_config.json"):
        (merged / name).parent.mkdir(exist_ok=True)
        (merged / name).write_text(f"HF_TOKEN={key}\n")
    done = run("publish-model", merged, REPO, env={**os.environ, **remote.env("hf_writer")})
    assert done.returncode == 0, done.stderr
    assert "left out, as `train` and `merge` write no such file: .env, .git/config, config.json.bak, " in done.stderr
    assert "last/notes.txt, my_config.json and 2 more\n" in done.stderr
    files = remote.repos["models", REPO].head.files
    assert set(files) - {".gitattributes"} == wanted
    assert not [name for name, digest in files.items() if key.encode() in remote.blobs[digest]]


HOME = "/home/ada.lovelace"


def test_folders_of_this_machine_are_told_by_their_last_name(merged, remote):
    base = f"{HOME}/models/base é"
    settings = {"model": base, "template": "../ada/private.jinja", "rank": 8}
    record(merged, ref=f"{HOME}/secret/traces-1.0.0", commit=None, base={"name": base}, settings=settings)
    card = (merged / "README.md").read_text()
    (merged / "README.md").write_text(f"{card}# x: a LoRA on {base}\n\n`vllm serve {base} --enable-lora`\n")
    for name, key in (("config.json", "_name_or_path"), ("tokenizer_config.json", "name_or_path")):
        (merged / name).write_text(json.dumps(json.loads((merged / name).read_text()) | {key: base}))
    publish_model(merged, REPO, api=remote.api())
    files = {name: remote.blobs[digest] for name, digest in remote.repos["models", REPO].head.files.items()}
    assert not [name for name, data in files.items() if b"ada" in data and name.endswith((".json", ".md"))]
    told = json.loads(files["training.json"])
    assert (told["ref"], told["base"], told["settings"]["rank"]) == ("traces-1.0.0", {"name": "base é"}, 8)
    assert (told["settings"]["model"], told["settings"]["template"]) == ("base é", "private.jinja")
    assert json.loads(files["config.json"])["_name_or_path"] == "base é"
    assert "a LoRA on base é\n\n`vllm serve base é --enable-lora`" in files["README.md"].decode()


@pytest.mark.parametrize("name", ["README.md", "chat_template.jinja", "config.json"])
def test_a_path_that_is_left_stops_it(merged, remote, monkeypatch, name):
    monkeypatch.setenv("HOME", HOME)
    text = (merged / name).read_text()
    for path in (f"{HOME}/notes", merged):
        (merged / name).write_text(f"{text}\nsee {path}")
        with pytest.raises(BadInput, match=rf"^{name}, line \d+: found (?!.*/notes)\S+, a folder of this machine; "):
            publish_model(merged, REPO, api=remote.api())
    (merged / name).write_text(f"{text}\nsee /mnt{HOME}/x and {HOME}y/x")
    publish_model(merged, REPO, dry_run=True)
    assert not remote.asked


def test_an_adapter_whose_base_was_a_folder_elsewhere(adapter, remote):
    record(adapter, base={"name": f"{HOME}/models/base", "revision": None})
    with pytest.raises(BadInput, match="is a folder of this machine, so nobody else could load the adapter"):
        publish_model(adapter, REPO, api=remote.api())


TOKENIZERS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "qwen.tiktoken", "chat_template.jinja",
    "additional_chat_templates/tool_use.jinja",
)  # fmt: skip


def test_every_file_of_a_model_goes_out():
    weights = ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "generation_config.json")
    assert all(map(publishing.SENT.fullmatch, (*TOKENIZERS, *weights)))


@pytest.mark.parametrize("name", ["merges.txt", "tokenizer.model", "chat_template.jinja", "last/adapter_config.json"])
def test_a_key_in_any_text_that_goes_out_stops_it(adapter, remote, name):
    (adapter / name).write_bytes(b"\x00\xff\nhf_" + b"aBcDeFgH" * 4)
    with pytest.raises(SecretFound, match=rf"^{name}, line 2: .*\(Hugging Face token\); nothing was published"):
        publish_model(adapter, REPO, api=remote.api())
    assert not remote.asked


def test_a_key_that_was_noted_in_weights_stops_it(merged, remote):
    from safetensors.torch import load_file, save_file

    weights = merged / "model.safetensors"
    save_file(load_file(weights), weights, metadata={"format": "pt", "note": "hf_" + "aBcDeFgH" * 4})
    with pytest.raises(SecretFound, match=r"^model.safetensors, line 1: "):
        publish_model(merged, REPO, api=remote.api())


def test_an_adapter_goes_with_its_last_epoch_and_replaces_what_was_there(adapter, remote):
    first = publish_model(adapter, REPO, api=remote.api())
    repo = remote.repos["models", REPO]
    assert (first.kind, first.base) == ("adapter", "org/base") and "last/adapter_model.safetensors" in repo.head.files
    shutil.rmtree(adapter / "last")
    second = publish_model(adapter, REPO, public=True, api=remote.api())
    assert second.public and not repo.private and "last/adapter_model.safetensors" not in repo.head.files
    with unchanged(repo), pytest.raises(HubError, match="this repository is public; --public"):
        publish_model(adapter, REPO, api=remote.api())


FAULTS = [
    ("POST", "/commit/", 412, "somebody else committed"),
    ("POST", "/commit/", 403, "may not do that"),
    ("PUT", "lfs-upload", "cut", "Error while uploading"),
    ("GET", "/whoami", "cut", "cannot be reached"),
]


@pytest.mark.parametrize(("method", "path", "act", "told"), FAULTS)
def test_a_failure_changes_nothing_and_the_same_command_goes_on(method, path, act, told, merged, remote):
    remote.fault(method, path, act, times=99)
    with pytest.raises(HubError, match=told) as e:
        publish_model(merged, REPO, api=remote.api())
    assert "\n" not in str(e.value)
    repo = remote.repos.get(("models", REPO))
    assert repo is None or len(repo.commits) == 1
    remote.faults.clear()
    assert publish_model(merged, REPO, api=remote.api()).state == "published"


def test_a_name_that_is_taken(merged, remote):
    other = remote.create("models", REPO)
    other.add("weights", other.head.files | {"pytorch_model.bin": remote.keep(b"x")})
    with unchanged(other), pytest.raises(HubError, match="holds pytorch_model.bin and no model of ours"):
        publish_model(merged, REPO, api=remote.api())
    remote.create("datasets", "org/data")
    with pytest.raises(HubError, match="the name is taken, by something that is no model"):
        publish_model(merged, "org/data", api=remote.api())


def test_what_is_no_model_of_ours_does_not_go_out(merged, adapter, remote, tmp_path):
    api = remote.api()
    record(adapter, base={"name": str(tmp_path), "revision": None})
    with pytest.raises(BadInput, match="is a folder of this machine, so nobody else could load the adapter"):
        publish_model(adapter, REPO, api=api)
    record(adapter, dataset=RECORD["dataset"] | {"simulated": True})
    with pytest.raises(BadInput, match="trained on what a rehearsal made; --allow-simulated"):
        publish_model(adapter, REPO, api=api)
    assert publish_model(adapter, REPO, allow_simulated=True, dry_run=True, api=api).simulated
    record(adapter, state="running")
    with pytest.raises(BadInput, match="its training has not ended"):
        publish_model(adapter, REPO, api=api)
    record(adapter)
    readme = (adapter / "README.md").read_text()
    (adapter / "README.md").write_text(readme + "export HF_TOKEN=hf_" + "aBcDeFgH" * 4 + "\n")
    with pytest.raises(SecretFound, match=r"README.md, line 7: .*Hugging Face token"):
        publish_model(adapter, REPO, api=api)
    (adapter / "README.md").write_text(readme)
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"found no adapter_model.safetensors, wanted an adapter or a merged model"):
        publish_model(adapter, REPO, api=api)
    for text, told in (("", "no JSON"), ("[]", "another file of this name"), (None, "No such file")):
        (adapter / "training.json").write_text(text) if text is not None else (adapter / "training.json").unlink()
        with pytest.raises(BadInput, match=f"training.json: found {told}"):
            publish_model(adapter, REPO, api=api)
    assert not remote.asked
