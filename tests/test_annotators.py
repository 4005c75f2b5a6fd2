"""Names of annotators, looked for in what goes out: found in code, remarks and rounds, and no word taken for one."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.experts import add, verdict

from curation import annotators
from curation.errors import VersionError
from curation.exclusions import exclude
from curation.publishing import publish
from curation.store import Store
from curation.versions import build

NAMES = ["ben", "Renée Miller", "王明", "a", "expert", "max", "David", "ana@hospital.org", "annotator-1", "100"]


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A store with a verdict of each."""
    store = Store(tmp_path_factory.mktemp("judged") / "store", create=True)
    add(store, "verdicts", [verdict(f"c{n}", name, "TRUE", n) for n, name in enumerate(NAMES)])
    return store


LEAKS = {
    "a literal": ("SELECT 1\nFROM verdicts WHERE annotator_name <> 'ben'", "ben", 2),
    "a comment": ("-- without Ben, who was tired\nSELECT 1", "ben", 1),
    "an alias": ("WITH without_ben AS (SELECT 1)", "ben", 1),
    "an id": ("SELECT 1 WHERE annotator = 'id-ben'", "ben", 1),
    "a full name": ("x\n\n- 4 (RENÉE miller judged these drunk)", "Renée Miller", 3),
    "a script without spaces": ("除王明外", "王明", 1),
    "a short one in quotes": ("annotator_name = 'a'", "a", 1),
    "a word in quotes": ("annotator_name IN ('Expert')", "expert", 1),
    "whom we cite": ("-- David was in haste", "David", 1),
    "an address": ("(ana@hospital.org)", "ana@hospital.org", 1),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_name_is_found_with_its_file_and_place(judged, case):
    text, name, line = LEAKS[case]
    for file, said in (("recipe.sql", text), ("manifest.json", json.dumps({"sql": f" {text}"}))):
        with pytest.raises(VersionError) as e:
            annotators.check(judged, {file: said.encode()})
        place = f"{file}, line {1 if file.endswith('json') else line}"
        assert re.match(
            rf"{place}: found the annotator's name '(id-)?{name}'; annotators go out as numbers", str(e.value)
        )


WORDS = (
    "A benign gene; the experts, annotator-1 to annotator-9, found a share of 100 TRUE: max(grade), bend, Davids.",
    '{"a": 100, "expert": "max"}',
)


def test_no_word_is_taken_for_a_name(judged, dataset, tmp_path):
    own = {name: dataset / name for name in ("README.md", "croissant.json", "manifest.json")}
    annotators.check(judged, own | {f"{n}.md": text.encode() for n, text in enumerate(WORDS)})
    cited = [f for f in annotators._fixed() if "David" in f]
    annotators.check(judged, {"README.md": "\n".join(cited).encode()})
    assert cited
    annotators.check(Store(tmp_path / "empty", create=True), {"recipe.sql": b"ben"})


def test_a_round_that_is_named_after_somebody(judged):
    pq.write_table(pa.table({"round": ["r1", "ben_again", None]}), "train.parquet")
    with pytest.raises(
        VersionError, match=r"annotations/train.parquet, column round: found the annotator's name 'ben'"
    ):
        annotators.check(judged, {"annotations/train.parquet": Path("train.parquet")})
    annotators.check(judged, {"default/train.parquet": Path("train.parquet")})


BY_BEN = """-- without ben, who was tired
SELECT trace_id FROM candidates WHERE answer = label AND trace_id IN (
    SELECT subject_id FROM clauses JOIN verdicts USING (clause_id) WHERE annotator_name <> 'ben'
)"""


def test_neither_recipe_nor_reason_takes_a_name_out(reviewed, tmp_path):
    store = Store(shutil.copytree(reviewed, tmp_path / "store"))
    allowed = {"allow_simulated": True, "dry_run": True}
    Path("judged.sql").write_text(BY_BEN)
    build(store, "judged.sql", "judged")
    with pytest.raises(VersionError, match=r"^README.md, line \d+: found the annotator's name 'ben'; "):
        publish(store, "judged", "org/judged", **allowed)
    build(store, "excellent", "fine")
    assert publish(store, "fine", "org/fine", **allowed).state == "dry-run"
    trace = store.rows("SELECT min(trace_id) AS id FROM members WHERE name = 'fine'")[0]["id"]
    exclude(store, where=f"trace_id = '{trace}'", reason="Ben Miller judged it drunk")
    build(store, "excellent", "fine")
    with pytest.raises(VersionError, match=r"^README.md, line \d+: found the annotator's name 'ben'; "):
        publish(store, "fine", "org/fine", **allowed)
