"""Croissant: the description is valid for the library that reads it, gives every row, and says what the store knows."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import mlcroissant
import pyarrow.parquet as pq
import pytest
from kit.experts import add

from curation.cards import at_publishing
from curation.findings import note
from curation.published import open_dataset
from curation.rows import COLUMNS, SIDES
from curation.schema import now
from curation.store import Store
from curation.versions import build

ODD = "a: 'b'\n- c # {d} |"  # a generator's name that is no plain YAML


def rename(store):
    """Give one trace a generator of an odd name."""
    where = "valid AND answer = label AND grade = 'excellent' AND approach = 'explain'"
    (one,) = store.rows(f"FROM raw.traces WHERE trace_id = (SELECT min(trace_id) FROM traces WHERE {where})")
    add(store, "traces", [{**one, "generator": ODD, "created": now()}])


@pytest.fixture(scope="module")
def built(reviewed, tmp_path_factory):
    """The folder of a reviewed store and a version of it in several shards."""
    folder = tmp_path_factory.mktemp("croissant")
    shutil.copytree(reviewed, folder / "store")
    rename(Store(folder / "store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curation.folders.SHARD_ROWS", 300)
        build(Store(folder / "store"), "good_or_better", "d", out=folder / "d")
    return folder


@pytest.fixture(scope="module")
def told(built):
    return json.loads((built / "d/croissant.json").read_text())


@pytest.fixture(scope="module")
def read(built):
    return mlcroissant.Dataset(jsonld=built / "d/croissant.json")


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def test_the_library_finds_nothing_to_say_of_it(read):
    issues = read.metadata.ctx.issues
    assert not issues.errors and not issues.warnings
    assert [r.uuid for r in read.metadata.record_sets if not r.uuid.endswith("-sides")] == [
        "default", "rpe1_holdout", "unseen_pert", "annotations",
    ]  # fmt: skip


def test_every_file_is_there_with_its_hash_and_size(built, told):
    objects = {o["contentUrl"]: o for o in told["distribution"] if o["@type"] == "cr:FileObject"}
    files = {f.relative_to(built / "d").as_posix(): f for f in (built / "d").rglob("*.parquet")}
    assert objects.keys() == files.keys() and len(files) > 10
    for path, file in files.items():
        assert objects[path]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert objects[path]["contentSize"] == f"{file.stat().st_size} B"
    manifest = json.loads((built / "d/manifest.json").read_text())
    assert "croissant.json" in manifest["files"]


@pytest.mark.parametrize("config", ["unseen_pert", "annotations"])
def test_the_records_are_the_rows_each_with_its_side(built, read, config):
    rows, sides = {}, Counter()
    for side in SIDES if config != "annotations" else ("train",):
        for file in sorted((built / "d" / config).glob(f"{side}-*.parquet")):
            for row in pq.read_table(file).to_pylist():
                rows[json.dumps(row, sort_keys=True)] = side
                sides[side] += 1
    found = Counter()
    for record in read.records(config):
        plain = {k.removeprefix(f"{config}/"): v for k, v in record.items()}
        side = text(plain.pop("side"))
        row = {k: text(v) for k, v in plain.items()}
        if "messages" in row:
            turns = [{k.rsplit("/", 1)[1]: text(v) for k, v in turn.items()} for turn in row["messages"]]
            row["messages"] = turns
        assert rows[json.dumps(row, sort_keys=True)] == side
        found[side] += 1
    assert found == sides and sum(found.values()) > 100


def test_one_side_can_be_asked_for(built):
    fresh = mlcroissant.Dataset(jsonld=built / "d/croissant.json")
    sides = Counter(text(r["default/side"]) for r in fresh.records("default", filters={"default/side": "validation"}))
    files = (built / "d/default").glob("validation-*.parquet")
    assert sides == {"validation": sum(pq.read_table(f).num_rows for f in files)}


def test_every_column_has_its_meaning(told):
    (default,) = [r for r in told["recordSet"] if r["@id"] == "default"]
    assert {f["name"]: f["description"] for f in default["field"]} == {
        "side": "train, validation, test",
        **{name: about for name, (_, about) in COLUMNS.items()},
    }


def test_the_responsible_ai_fields_are_filled_from_the_store(built, told, read):
    store = Store(built / "store")
    assert "good_or_better" in told["rai:dataCollection"] and told["rai:dataCollection"].startswith("Simulated: ")
    asked = store.rows("SELECT min(started) AS a, max(started) AS b FROM runs WHERE command IN ('generate', 'grade')")
    assert told["rai:dataCollectionTimeFrame"] == sorted({f"{day:%Y-%m-%d}" for day in asked[0].values()})
    assert "the language model a: 'b' - c # {d} |, m was asked" in told["rai:dataCollection"]
    n = Counter(pq.read_table(built / "d/annotations")["clause_id"].to_pylist()).values()
    assert told["rai:annotationsPerItem"].startswith(f"{min(n)} to {max(n)} experts a judged clause")
    factuality, agreement = told["rai:dataAnnotationAnalysis"]
    card = (built / "d/README.md").read_text()
    assert "Krippendorff's alpha" in agreement
    assert f"{factuality.split(': ', 1)[1].split(' ')[0]} (95 % interval" in card
    assert any("mechanism" not in p and "clause by clause" in p for p in told["rai:dataAnnotationProtocol"])
    assert told["rai:machineAnnotationTools"][0] == store.rows("SELECT max(critic) AS c FROM grades")[0]["c"]
    meta = read.metadata
    for name in (
        "data_collection", "data_collection_type", "data_collection_missing_data", "data_collection_raw_data",
        "data_collection_timeframe", "data_preprocessing_protocol", "data_annotation_protocol",
        "data_annotation_platform", "data_annotation_analysis", "annotations_per_item", "annotator_demographics",
        "machine_annotation_tools", "data_biases", "data_use_cases", "data_limitations", "data_social_impact",
        "personal_sensitive_information", "data_release_maintenance_plan",
    ):  # fmt: skip
        assert getattr(meta, name), name


def test_a_dataset_of_answers_alone_claims_no_generator_critic_or_expert(built, tmp_path):
    build(Store(built / "store"), "direct", "bare", out=tmp_path / "b")
    told = json.loads(Path("b/croissant.json").read_text())
    assert not {"rai:machineAnnotationTools", "rai:dataAnnotationPlatform", "rai:annotationsPerItem"} & told.keys()
    assert "nothing was annotated" in told["rai:dataAnnotationProtocol"][0]
    assert "language model" not in told["rai:dataCollection"]
    assert not mlcroissant.Dataset(jsonld=Path("b/croissant.json")).metadata.ctx.issues.errors


def test_published_it_has_addresses_and_what_the_audit_found(built, tmp_path):
    shutil.copytree(built, tmp_path / "own")
    store, folder = Store(tmp_path / "own/store"), tmp_path / "own/d"
    value = {
        "source": "dataset", "train": 1, "test": 40, "pert_seen": 30, "pair_seen": 8, "agrees": 0.75,
        "copy_right": 0.75, "majority_right": 0.5, "traces": 9, "naming": 0, "own_pair": 0, "named": 0, "clean": 10,
        "resistant": 2,
    }  # fmt: skip
    note(store, open_dataset(str(folder)), "eval", "audit", {"default": value})
    told = json.loads(at_publishing(store, "d", "1.0.0", folder, repo="me/d")["croissant.json"])
    assert told["url"] == "https://huggingface.co/datasets/me/d" and told["creator"]["name"] == "me"
    base = "https://huggingface.co/datasets/me/d/resolve/v1.0.0/"
    objects = [o for o in told["distribution"] if o["@type"] == "cr:FileObject"]
    assert {o["contentUrl"] for o in objects} == {base + o["@id"] for o in objects}
    assert (
        "Under default, 8 of 40 test rows have their very pair in another line's train side, with the same label in "
        "75.0 % of them; 10 rows are clean."
    ) in told["rai:dataLimitations"]
    assert not mlcroissant.Dataset(jsonld=told).metadata.ctx.issues.errors
