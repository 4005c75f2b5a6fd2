"""What does not go out: rehearsals, licences that nobody accepted, keys, and the names of experts."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.hub import hub
from kit.loopback import online
from kit.peer import completion, peer

from curation import parcels, secrets
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.errors import SecretFound, VersionError
from curation.examples import ingest
from curation.fetching import fetch
from curation.publishing import publish
from curation.rehearsal.world import write_benchmark
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate
from curation.versions import build


@pytest.fixture
def remote(tmp_path, monkeypatch):
    online(monkeypatch)
    with hub(tmp_path / "home") as one:
        yield one


def test_a_rehearsal_goes_out_only_if_that_is_allowed(dataset, remote):
    with pytest.raises(VersionError, match="a rehearsal made part of it; --allow-simulated"):
        publish(Store(dataset.parent / "store"), "traces", "org/traces", folder=dataset, api=remote.api())
    assert not remote.repos


@pytest.fixture
def licensed(tmp_path):
    """A store of measured effects that are under a licence of their own."""
    write_benchmark(tmp_path / "measured")
    facts = {"source": "Somebody", "licence": "Somebody's Non-Commercial Licence 2.0"}
    (tmp_path / "measured" / "source.json").write_text(json.dumps(facts))
    store = Store(tmp_path / "licensed", create=True)
    ingest(store, tmp_path / "measured")
    return store


def test_a_non_commercial_licence_is_accepted_by_name(licensed, remote):
    build(licensed, "direct", "effects")
    for accepted in ((), ("MIT",)):
        with pytest.raises(VersionError, match=r"under the Somebody's Non-Commercial Licence 2.0; --accept-licence"):
            publish(licensed, "effects", "org/effects", api=remote.api(), accept_licences=accepted)
    assert not remote.repos
    name = "Somebody's Non-Commercial Licence 2.0"
    done = publish(licensed, "effects", "org/effects", api=remote.api(), accept_licences=(name,))
    assert done.licences == [name] and not done.simulated


KEYS = {
    "private key": "-----BEGIN RSA PRIVATE KEY-----",
    "API key (sk-...)": "sk-proj-" + "aB3_" * 8,
    "Hugging Face token": "hf_" + "aBcDeFgH" * 4 + "ij",
    "AWS access key": "AKIA" + "ABCDEFGH12345678",
    "AWS secret key": "aws_secret_access_key = " + "abCD/+12" * 5,
    "GitHub token": "ghp_" + "aB3d" * 9,
    "Google API key": "AIza" + "aB3_-" * 7,
    "API key": "gsk_" + "aB3d" * 9,
    "Slack token": "xoxb-1234567890-abcdef",
    "bearer token": "Authorization: Bearer " + "aB3d" * 9,
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "password in an address": "https://ana:hunter2@hub.example/v1",
}


@pytest.mark.parametrize("kind", KEYS)
def test_each_kind_of_key_is_found_in_rows_and_texts(kind, tmp_path):
    key = KEYS[kind]
    chat = [
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": t}] for t in ("fine", f"So {key} it is")
    ]
    rows = pa.table({"trace_id": ["a", "b"], "n": [1, 2], "messages": chat, "genes": [["x"], None]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    found = list(secrets.in_parquet("default/train.parquet", tmp_path / "rows.parquet"))
    assert secrets.Found("default/train.parquet", kind, "b", "messages") in found and len({f.row for f in found}) == 1
    assert key not in str(found[0]) and str(found[0]).startswith("default/train.parquet, row b, column messages: ")
    assert secrets.Found("README.md", kind, line=2) in list(secrets.in_text("README.md", f"one\n{key}"))


def test_every_kind_has_a_case_and_plain_words_have_none(dataset):
    assert set(KEYS) == set(secrets.KINDS)
    words = (
        "the bearer of a frameshift-carrying-allele; a risk-dependent-chromatin-remodelling-step; task-based; sk-learn"
    )
    assert not list(secrets.in_text("x", f"{words} sk-not-a-key-but-many-long-words Bearer abcdefghijklmnopqrstuvwxyz"))
    for file in dataset.rglob("*.parquet"):
        assert not list(secrets.in_parquet(file.name, file))


def test_a_key_in_a_row_stops_it(licensed, remote, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    key = KEYS["AWS access key"]
    said = completion(f"<think>It rises, said {key}.</think><answer>upregulated</answer>")
    fine = completion("<think>It rises.</think><answer>upregulated</answer>")
    with peer(lambda n, body: (200, fine if n % 3 else said, {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        generate(licensed, Selection(per_label=20), endpoint("m"), approach="explain", how=How(quiet=True))
    right = "SELECT trace_id FROM candidates WHERE answer = label"
    Path("all.sql").write_text(right)
    build(licensed, "all.sql", "leaky")
    accept = {"accept_licences": ("Somebody's Non-Commercial Licence 2.0",), "api": remote.api()}
    with pytest.raises(SecretFound) as e:
        publish(licensed, "leaky", "org/leaky", **accept)
    place = re.match(r"\w+/\w+-00000-of-00001.parquet, row (\w+), column messages: .*\(AWS access key\)", str(e.value))
    bad = licensed.rows("SELECT reasoning FROM traces WHERE trace_id = $id", {"id": place[1]})
    assert key in bad[0]["reasoning"]
    assert key not in str(e.value) and not remote.asked
    Path("all.sql").write_text(f"{right} AND reasoning NOT LIKE '%said AKIA%'")
    build(licensed, "all.sql", "leaky")
    assert publish(licensed, "leaky", "org/leaky", **accept).state == "published"


@pytest.mark.parametrize("name", ["README.md", "recipe.sql", "manifest.json", "croissant.json"])
def test_a_key_in_a_text_stops_it(name):
    text = f"fine\n{KEYS['Slack token']}".encode()
    parcel = parcels.Parcel({"name": "traces", "version": "1.0.0"}, {name: text}, ["MIT"], False)
    with pytest.raises(SecretFound, match=rf"^{name}, line 2: .*\(Slack token\); exclude .* nothing was published"):
        parcels.allow(parcel, False, ())


def test_experts_go_out_as_pseudonyms_alone(reviewed, remote, tmp_path):
    shutil.copytree(reviewed, tmp_path / "store")
    store = Store(tmp_path / "store")
    build(store, "excellent", "judged")
    publish(store, "judged", "org/judged", allow_simulated=True, api=remote.api())
    done = fetch("org/judged@v1.0.0", out=Path("got"), api=remote.api())
    assert done.rows and pq.read_table("got/annotations")["annotator"].unique().to_pylist()[0].startswith("annotator-")
    known = store.rows("SELECT DISTINCT annotator, annotator_name FROM raw.verdicts")
    texts = [b for n, b in ((n, remote.blobs[d]) for n, d in remote.repos["datasets", "org/judged"].head.files.items())]
    for one in known:
        assert not any(str(one["annotator"]).encode() in text for text in texts)
    rows = pq.read_table("got/annotations")
    named = rows.set_column(rows.schema.names.index("annotator"), "annotator", pa.array(["Ada"] * rows.num_rows))
    pq.write_table(named, "named.parquet")
    with pytest.raises(VersionError, match="column annotator: found a name"):
        parcels._check_pseudonyms("annotations/train.parquet", Path("named.parquet"))
