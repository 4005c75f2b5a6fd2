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

from curation import licences, parcels, secrets
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.errors import SecretFound, VersionError
from curation.examples import ingest
from curation.fetching import fetch
from curation.importing import Given, import_traces
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
        with pytest.raises(VersionError, match=r"free for any use: licence Somebody's Non-Commercial Licence 2.0;"):
            publish(licensed, "effects", "org/effects", api=remote.api(), accept_licences=accepted)
    assert not remote.repos
    name = "Somebody's Non-Commercial Licence 2.0"
    done = publish(licensed, "effects", "org/effects", api=remote.api(), accept_licences=(name,))
    assert done.licences == [name] and not done.simulated


FREE = """
    CC0; CC0-1.0; CC0 1.0 Universal (CC0 1.0) Public Domain Dedication; Creative Commons Zero v1.0 Universal
    Public Domain
    CC BY 4.0; cc-by-4.0; cc_by_4.0; Creative Commons Attribution 4.0 International; CC BY-SA 3.0; CC BY 2.5
    Creative Commons Attribution-ShareAlike 4.0 International; MIT; The MIT License; Apache-2.0
    Apache License, Version 2.0
    BSD; BSD-3-Clause; 2-clause BSD licence; ODC-BY; Open Data Commons Attribution License v1.0; ODbL 1.0
    Open Database License (ODbL); PDDL; odc-pddl-1.0
"""
NOT_FREE = """
    CC-BY-NC-4.0; cc_by_nc_4.0; CC BYNC 4.0; CC BY-ND 4.0; CC BY-NC-SA; CC BY 4.0 (non-commercial); No commercial use
    not for commercial use; Academic research use only; MIT, for academic use; MIT 不可商用
    Apache 2.0 with Commons Clause
    not in the public domain; all rights reserved; none; unknown; CC; by; GPL-3.0
"""


def listed(names):
    return [name.strip() for name in re.split(r"[;\n]", names) if name.strip()]


def test_what_is_known_to_be_free_for_any_use_and_nothing_else():
    assert [name for name in listed(FREE) if not licences.free(name)] == []
    assert [name for name in ("", *listed(NOT_FREE)) if licences.free(name)] == []


@pytest.mark.parametrize("licence", ["CC BY 4.0", "cc_by_nc_4.0", "CC BYNC 4.0", "No commercial use", None])
def test_the_licence_of_imported_traces_is_accepted_as_the_benchmarks_is(licence, tmp_path, remote):
    write_benchmark(tmp_path / "open")
    (tmp_path / "open" / "source.json").write_text('{"source": "Open", "licence": "CC0-1.0"}')
    store = Store(tmp_path / "store", create=True)
    ingest(store, tmp_path / "open")
    pairs = store.rows("SELECT pert, gene, cell_line, label AS answer FROM examples ORDER BY example_id LIMIT 40")
    (tmp_path / "own.jsonl").write_text("\n".join(json.dumps(p | {"reasoning": "It rises."}) for p in pairs))
    import_traces(store, "own.jsonl", given=Given("o3", licence=licence))
    Path("all.sql").write_text("SELECT trace_id FROM candidates WHERE answer = label")
    build(store, "all.sql", "own")
    name, api = licence or "unknown", remote.api()
    if licence != "CC BY 4.0":
        with pytest.raises(
            VersionError, match=f"free for any use: licence {name}; .*--accept-licence '{name}' accepts"
        ):
            publish(store, "own", "org/own", api=api)
        assert not remote.repos
    done = publish(store, "own", "org/own", api=api, accept_licences=() if licence == "CC BY 4.0" else (name,))
    assert done.licences == ["CC0-1.0", f"CC0-1.0; trace: {name}"]


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


BEFORE = ["密钥是", "clé", "key_", "\\n", '"text\\r\\n', "\\t", json.dumps("密钥是")[1:-1], "=", "“"]


@pytest.mark.parametrize("before", BEFORE)
def test_what_stands_before_a_key_does_not_hide_it(before, tmp_path):
    for kind, key in KEYS.items():
        pq.write_table(pa.table({"trace_id": ["a"], "reasoning": [f"{before}{key}是"]}), tmp_path / "rows.parquet")
        assert [f.kind for f in secrets.in_parquet("x", tmp_path / "rows.parquet")] == [kind]
        assert list(secrets.in_text("x", f"\n{before}{key}\n")) == [secrets.Found("x", kind, line=2)]


def test_what_arrow_finds_and_python_cannot_name_is_found(tmp_path, monkeypatch):
    pq.write_table(pa.table({"trace_id": ["a"], "reasoning": ["a key of tomorrow"]}), tmp_path / "rows.parquet")
    monkeypatch.setattr(secrets, "ANY", "tomorrow")
    assert list(secrets.in_parquet("x", tmp_path / "rows.parquet")) == [
        secrets.Found("x", secrets.UNNAMED, "a", "reasoning")
    ]


@pytest.mark.parametrize(
    "address", ["redis://:hunter2pass@host:6379/0", "HTTPS://ana:hunter2@hub.example", "a_b+c://u:pw1@h"]
)
def test_a_password_is_found_in_any_address(address):
    assert [f.kind for f in secrets.in_text("x", address)] == ["password in an address"]


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
