"""Publish a model: the folder of an adapter or a merged model to the Hub, in one commit or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curation import hub, secrets
from curation.errors import BadInput, HubError, SecretFound
from curation.hub import Say
from curation.printing import shown
from training.record import FILE

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# what `train`, `merge` and the tokenizers that they save write; whatever else lies there is not sent
SENT = re.compile(
    r"""
    README\.md | training\.json | log\.parquet | loss\.svg
    | (last/)? adapter_(config\.json | model\.safetensors)
    | (generation_)? config\.json | model(-\d+-of-\d+)?\.safetensors | model\.safetensors\.index\.json
    | tokenizer(_config)?\.json | special_tokens_map\.json | added_tokens\.json | tekken\.json
    | vocab\.(json|txt) | merges\.txt | (tokenizer|spiece|sentencepiece\.bpe)\.model | \w+\.tiktoken
    | chat_template\.jinja | additional_chat_templates/[\w-]+\.jinja
    """,
    re.VERBOSE,
)
CONFIG = re.compile(r"(last/)?\w*config\.json")  # in these, models and tokenizers note where they came from
LONGEST = 2**27  # bytes of a header of safetensors


class Uploaded(NamedTuple):
    """What went where; `state`: published, there (it was so already), or dry-run (nothing was sent)."""

    kind: str  # adapter or merged
    base: str
    dataset: str  # NAME VERSION, SPLIT
    repo: str
    commit: str | None  # null in a dry run
    public: bool
    simulated: bool
    state: str
    files: list[dict[str, Any]]  # file, bytes
    left_out: list[str]  # what else lies in the folder, and was not sent

    def __repr__(self) -> str:
        return shown(self)


def publish_model(
    folder: Path,
    repo: str,
    *,
    public: bool = False,
    dry_run: bool = False,
    allow_simulated: bool = False,
    api: HfApi | None = None,
    say: Say = lambda line: None,
) -> Uploaded:
    """Publish what `train` or `merge` wrote: its files, card included, in one commit.

    Args:
        folder: that folder.
        repo: ORG/REPO of a model; made, and private, if it is not there.
        public: let everybody see the repository, once all is in it.
        dry_run: send nothing, ask nothing.
        allow_simulated: publish what was trained on a rehearsal's traces.
        api: the Hub's client, by default `curation.hub.client()`.
        say: told how far it is.

    Raises:
        BadInput: the folder holds no model of ours, one whose training has not ended, one that others could not use,
            or one with a path of this machine in a text.
        SecretFound: a text has the shape of a key.
        HubError: the Hub cannot be reached, does not take it, or holds something else there.
    """
    hub.check_name(repo)
    record = _record(folder)
    kind = _kind(folder, record)
    if record["dataset"]["simulated"] and not allow_simulated:
        raise BadInput(
            f"{folder}: it was trained on what a rehearsal made; --allow-simulated publishes it, marked as simulated"
        )
    files, left_out = _files(folder, record, repo)
    for name, source in files.items():
        _check(name, _text(source), folder)
    data = record["dataset"]
    trained = f"{data['name']} {data['version']}, {data['split']}"
    told = Uploaded(
        kind, record["base"]["name"], trained, repo, None, public, data["simulated"], "dry-run", hub.listed(files),
        left_out,
    )  # fmt: skip
    return told if dry_run else _send(api or hub.client(), files, told, say)


def _record(folder: Path) -> dict[str, Any]:
    """Return the training.json of a folder whose training has ended."""
    wanted = "a folder that `synthpert train` or `synthpert merge` wrote"
    try:
        found = json.loads((folder / FILE).read_text("utf-8"))
    except OSError as e:
        raise BadInput.at(folder / FILE, str(e.strerror), wanted) from e
    except ValueError as e:
        raise BadInput.at(folder / FILE, f"no JSON ({e})", wanted) from e
    if not isinstance(found, dict) or not found.keys() >= {"state", "dataset"}:
        raise BadInput.at(folder / FILE, "another file of this name", wanted)
    if found["state"] != "done":
        raise BadInput(f"{folder}: its training has not ended; the command that began it goes on with it")
    return found


def _kind(folder: Path, record: dict[str, Any]) -> str:
    """Return whether a folder holds an adapter or a merged model, whole and of use to others."""
    adapter = (folder / "adapter_config.json").exists()
    weights = "adapter_model.safetensors" if adapter else "model*.safetensors"
    for needed in (weights, "README.md", "tokenizer_config.json", *(() if adapter else ("config.json",))):
        if not list(folder.glob(needed)):
            raise BadInput.at(folder, f"no {needed}", "an adapter or a merged model, whole")
    base = record["base"]["name"]
    if adapter and _is_local(base):
        raise BadInput(
            f"{folder}: its base {base} is a folder of this machine, so nobody else could load the adapter; "
            "`synthpert merge` it, and publish what that writes"
        )
    return "adapter" if adapter else "merged"


def _files(folder: Path, record: dict[str, Any], repo: str) -> tuple[dict[str, Path | bytes], list[str]]:
    """Return what goes out, path there -> the file here, or its content where that differs; and what does not."""
    inside = {f.relative_to(folder).as_posix(): f for f in sorted(folder.rglob("*")) if f.is_file()}
    files: dict[str, Path | bytes] = {name: f for name, f in inside.items() if SENT.fullmatch(name)}
    told = {key: value for key, value in record.items() if key != "out"}
    texts = {name: inside[name].read_text("utf-8", "surrogateescape") for name in files if CONFIG.fullmatch(name)}
    texts["README.md"] = (folder / "README.md").read_text("utf-8").replace("THIS_FOLDER", repo)
    texts[FILE] = json.dumps(told, indent=2) + "\n"
    files |= {name: _without_folders(text, record).encode("utf-8", "surrogateescape") for name, text in texts.items()}
    return files, [name for name in inside if name not in files]


def _without_folders(text: str, record: dict[str, Any]) -> str:
    """Return a text where each folder of this machine that a training read has its last name alone."""
    settings = record.get("settings", {})
    read = [record["base"]["name"], settings.get("model"), settings.get("template")]
    local = {path for path in read if path and _is_local(path)} | ({record["ref"]} if not record["commit"] else set())
    for path in sorted(local, key=len, reverse=True):
        if "/" in path:
            name = Path(path).resolve().name
            text = text.replace(path, name).replace(json.dumps(path)[1:-1], json.dumps(name)[1:-1])
    return text


def _is_local(base: str) -> bool:
    """Tell whether a model's name is a folder, here or on the machine where it was trained."""
    return Path(base).exists() or base.count("/") > 1 or base.startswith((".", "~", "/"))


def _check(name: str, text: str, folder: Path) -> None:
    """Hold back a file with a key, or with the path of the user's home or of the model's folder."""
    if found := next(secrets.in_text(name, text), None):
        raise SecretFound(f"{found}; nothing was published")
    home = f"{Path.home()}/".replace("//", "/")
    for path in (home, str(folder.absolute()), str(folder.resolve())):
        # one part alone, such as /model, is a word of tokenizers
        if path.count("/") > 1 and (at := re.search(rf"(?<![\w.-]){re.escape(path)}", text)):
            line = text.count("\n", 0, at.start()) + 1
            raise BadInput(
                f"{name}, line {line}: found {path}, a folder of this machine; take it out, and publish again"
            )


def _send(api: HfApi, files: dict[str, Path | bytes], told: Uploaded, say: Say) -> Uploaded:
    repo, user = told.repo, hub.writer(api)
    head = hub.head(api, repo, "model") or hub.create(api, repo, "model")
    if not head.private and not told.public:
        raise HubError(f"{repo}: this repository is public; --public publishes to it")
    foreign = [f for f in head.files if not hub.EMPTY.fullmatch(f)]
    if foreign and FILE not in head.files:
        raise HubError(f"{repo}: holds {foreign[0]} and no model of ours; name another repository")
    say(f"publishing to {repo} as {user}")
    stale = sorted(set(foreign) - files.keys())
    sha = hub.commit(api, repo, files, stale, head.sha, told.dataset, kind="model", say=say)
    if told.public and head.private:
        hub.make_public(api, repo, "model")
    return told._replace(commit=sha, state="there" if sha == head.sha else "published")


def _text(source: Path | bytes) -> str:
    """Return what can be read as text of a file: of weights their head, which holds what was noted of them."""
    if isinstance(source, bytes):
        return source.decode("utf-8", "replace")
    with open(source, "rb") as data:
        if source.suffix == ".safetensors":
            size = min(int.from_bytes(data.read(8), "little"), LONGEST)
            return data.read(size).decode("utf-8", "replace")
        return data.read().decode("utf-8", "replace")
