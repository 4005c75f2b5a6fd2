"""Cards: what a version's README.md says is what the store holds, when it is built and when it is published."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from kit.experts import add

from curation import findings, folders
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.cards import at_publishing
from curation.diff import diff
from curation.errors import VersionError
from curation.exclusions import exclude
from curation.grades import grade
from curation.published import open_dataset
from curation.rebuild import rebuild
from curation.rehearsal.server import serve
from curation.schema import LABELS, TABLES, now
from curation.selection import Selection
from curation.spending import in_words, spending
from curation.store import Store
from curation.versions import build
from eval.audit import audited
from eval.noting import note


@pytest.fixture(scope="module")
def versions(reviewed, tmp_path_factory):
    """A reviewed store with two versions of `d`, between which a trace was hidden and the recipe became another."""
    folder = tmp_path_factory.mktemp("cards")
    shutil.copytree(reviewed, folder / "store")
    store = Store(folder / "store")
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", server.base_url)
        grade(store, Selection(per_label=20), endpoint("second"), how=How(quiet=True))
    plant(store)
    build(store, "excellent", "d", out=folder / "d-1.0.0")
    hidden = pq.read_table(folder / "d-1.0.0/default").column("trace_id").drop_null()[0].as_py()
    exclude(store, run_id=None, where=f"trace_id = '{hidden}'", reason="as if it were bad")
    build(store, "good_or_better", "d", out=folder / "d-1.1.0")
    return folder


def plant(store):
    """Newer checks, which find a leak in every third trace."""
    rows = store.rows("FROM raw.checks ORDER BY trace_id")
    fresh = {"version": "planted", "created": now()}
    found = [
        r | fresh | {"check_id": f"planted-{n}", "answer_leak": None if n % 3 else "as stated"}
        for n, r in enumerate(rows)
    ]
    store.append("checks", pa.Table.from_pylist(found, TABLES["checks"].schema))


@pytest.fixture
def own(versions, tmp_path):
    """A copy of the store and its versions, to write to."""
    shutil.copytree(versions, tmp_path, dirs_exist_ok=True)
    return Store(tmp_path / "store")


def card(folder):
    """The YAML of a card, and its body."""
    _, head, body = Path(folder, "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), body


def section(body, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", body, re.S | re.M)[1]


def table(text, first):
    """The rows of the table whose head begins with this word, as lists of texts."""
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def number(text):
    return int(text.replace(",", ""))


def test_the_head_is_what_the_hub_reads(versions):
    head, _ = card(versions / "d-1.1.0")
    rows = sum(pq.read_table(f).num_rows for f in (versions / "d-1.1.0").rglob("*.parquet"))
    assert head["size_categories"] == ["1K<n<10K"] and 1_000 <= rows < 10_000
    assert head["license"] == "other" and head["license_name"] == "cc0-1.0" and head["language"] == ["en"]
    assert head["annotations_creators"] == ["machine-generated", "expert-generated"]
    assert {"synthetic", "reasoning", "biology", "simulated"} <= set(head["tags"])
    assert [c["config_name"] for c in head["configs"] if c.get("default")] == ["default"]
    for info in head["dataset_info"]:
        files = list((versions / "d-1.1.0" / info["config_name"]).glob("*.parquet"))
        assert info["download_size"] == sum(f.stat().st_size for f in files)
        assert sum(s["num_examples"] for s in info["splits"]) == sum(pq.read_table(f).num_rows for f in files)


def test_the_features_told_are_those_of_the_files(versions):
    from datasets import Features

    for info in card(versions / "d-1.1.0")[0]["dataset_info"]:
        for file in (versions / "d-1.1.0" / info["config_name"]).glob("*.parquet"):
            told = Features._from_yaml_list(info["features"])
            assert told.arrow_schema.equals(pq.read_schema(file), check_metadata=False), info["config_name"]


def test_the_first_version_says_so_and_the_next_what_changed(versions):
    assert "This is the first version." in section(card(versions / "d-1.0.0")[1], "What changed")
    text = section(card(versions / "d-1.1.0")[1], "What changed")
    found = diff(Store(versions / "store"), "d@1.0.0", "d@1.1.0")
    assert text.startswith("\nSince d@1.0.0") and found.added > found.removed > 0
    for told, s in zip(table(text, "split"), found.splits, strict=True):
        assert [told[0], *map(number, told[1:6])] == [
            s[k] for k in ("split", "before", "after", "added", "removed", "changed")
        ]
        by = [r for r in found.by if r["split"] == s["split"]]
        sums = {x: [sum(r[k] for r in by if r["label"] == x) for k in ("added", "removed")] for x in LABELS}
        assert told[6:] == [f"+{more:,} −{less:,}" for more, less in sums.values()]
    for words in (
        "- Recipe: excellent -> good_or_better", "New condition: at_least('good')", "Critic's prompt", "as before.",
        "Reader of the answers", "(hidden by an exclusion",
    ):  # fmt: skip
        assert words in text, words


def test_a_version_after_one_that_can_no_longer_be_read_is_built_and_says_so(own, tmp_path):
    tables = json.loads(own.rows("SELECT tables FROM versions WHERE version = '1.1.0'")[0]["tables"])
    row = own.rows("SELECT * FROM versions WHERE version = '1.1.0'")[0]
    row |= {"tables": json.dumps({**tables, "grades": 99}), "created": now()}
    own.append("versions", pa.Table.from_pylist([row], TABLES["versions"].schema))
    build(own, "thirds", "d", out=tmp_path / "c")
    assert "What changed since d@1.1.0 cannot be told: " in section(card("c")[1], "What changed")


def test_what_was_kept_of_what_was_asked_and_paid_for(versions):
    store = Store(versions / "store")
    text = card(versions / "d-1.1.0")[1]
    rows = {(r[0], r[1]): r[2:] for r in table(text[text.index("Kept, by label") :], "split")}
    assert len(rows) == 9
    asked = "stage = 'generate' AND prompt <> 'control' AND side = 'train' AND split = 'default'"
    requests = store.rows(
        f"""SELECT label, count(*) AS asked, count(*) FILTER (answered) AS answered FROM requests
            JOIN examples ON example_id = subject_id JOIN splits USING (example_id) WHERE {asked} GROUP BY label"""
    )
    sides = [pq.read_table(versions / f"d-1.1.0/default/{s}-00000-of-00001.parquet") for s in ("train", "validation")]
    kept = pa.concat_tables(sides)["label"].to_pylist()
    for r in requests:
        told = rows["default", r["label"]]
        n = kept.count(r["label"])
        assert list(map(number, told[:3])) == [r["asked"], r["answered"], n]
        assert told[3:] == [f"{100 * n / r['asked']:.1f} %", f"{100 * n / r['answered']:.1f} %"]


def test_what_was_imported_was_not_paid_for_here(own, tmp_path):
    best = "valid AND correct AND grade = 'excellent' AND approach <> 'control'"
    (one,) = own.rows(f"SELECT trace_id, response_id FROM traces WHERE {best} ORDER BY trace_id LIMIT 1")
    for name, key, fresh in (("traces", "trace_id", {}), ("responses", "response_id", {"response_id": "imported"})):
        (row,) = own.rows(f"FROM raw.{name} WHERE {key} = $id", {"id": one[key]})
        row |= {"provider": "import", "created": now()} | fresh
        own.append(name, pa.Table.from_pylist([row], TABLES[name].schema))
    build(own, "excellent", "e", out=tmp_path / "e")
    text = card("e")[1]
    assert re.search(r"^1 of the [\d,]+ traces were made elsewhere and imported", text, re.M)
    kept = sum(number(r[4]) for r in table(text[text.index("Kept, by label") :], "split") if r[0] == "default")
    files = [pq.read_table(f"e/default/{s}-00000-of-00001.parquet") for s in ("train", "validation")]
    assert kept == sum(f.num_rows for f in files) - (one["trace_id"] in pa.concat_tables(files)["trace_id"].to_pylist())


def test_checks_are_counted_among_the_rows_that_are_published(versions):
    text = section(card(versions / "d-1.1.0")[1], "What checks found")
    ids = {i for f in (versions / "d-1.1.0").rglob("*.parquet") for i in pq.read_table(f)["trace_id"].to_pylist() if i}
    found = [r for r in Store(versions / "store").rows("FROM checked") if r["trace_id"] in ids]
    assert f"read {len(found)} of the {len(ids)} traces" in text and len(found) == len(ids)
    told = {r[0]: number(r[1]) for r in table(text, "check")}
    assert told == {name: sum(r[name] is not None for r in found) for name in told} and sum(told.values()) > 0
    assert len(told) == 6


def test_critics_are_compared_where_there_are_two(versions, dataset):
    text = section(card(versions / "d-1.1.0")[1], "How critics agree")
    (want,) = Store(versions / "store").rows(
        """SELECT count(*) AS n, count(*) FILTER (a.graded.grade = b.graded.grade) AS same
           FROM critics AS a JOIN critics AS b USING (trace_id)
           WHERE a.critic < b.critic AND a.graded.grade IS NOT NULL AND b.graded.grade IS NOT NULL"""
    )
    assert want["n"] > 20 and f": {want['n']} traces, the same grade for {100 * want['same'] / want['n']:.1f} %" in text
    assert "How critics agree" not in card(dataset)[1]


def test_what_it_cost_is_what_the_store_has_spent(versions):
    text = card(versions / "d-1.1.0")[1]
    told = {(r[0], r[1]): r[2:] for r in table(text[text.index("### What it cost") :], "stage")}
    spent = Store(versions / "store").rows("FROM spend")
    assert {k for k in told if k[0] != "all"} == {(r["stage"], r["model"]) for r in spent}
    for r in spent:
        assert list(map(number, told[r["stage"], r["model"]][:4])) == [
            r[k] for k in ("calls", "answered", "tokens_in", "tokens_out")
        ]


def test_an_unknown_price_is_said_to_be_unknown_and_a_small_one_is_not_nothing():
    row = {"stage": "generate", "model": "a", "calls": 5, "answered": 4, "tokens_in": 1_000, "tokens_out": 10,
           "usd": 1.5, "uncounted": 0, "unpriced": 1}  # fmt: skip
    none = {**row, "model": "b", "tokens_in": None, "tokens_out": None, "usd": None, "uncounted": 4, "unpriced": 4}
    one, two, total = spending([row, none])
    assert (one["usd"], one["tokens_in"], one["calls"]) == ("$1.50 + unknown for 1", "1,000", "5")
    assert (two["usd"], two["tokens_out"]) == ("unknown", "unknown")
    assert (total["usd"], total["tokens_in"], total["calls"]) == (
        "$1.50 + unknown for 5",
        "1,000 + unknown for 4",
        "10",
    )
    assert in_words({**row, "usd": 0.0004, "unpriced": 0})["usd"] == "$0.0004"
    assert spending([]) == []


def test_the_prompts_stand_there_word_for_word_and_folded(versions):
    body = card(versions / "d-1.1.0")[1]
    blocks = re.findall(r"<details>\n<summary>(.*?)</summary>\n\n(.*?)\n</details>", body, re.S)
    texts = dict(blocks)
    manifest = json.loads((versions / "d-1.1.0/manifest.json").read_text())
    wanted = [*manifest["prompts"]["generator"], *manifest["prompts"]["critic"]]
    for version in wanted:
        (own,) = [text for title, text in texts.items() if title.endswith(f"version {version}")]
        sent = Store(versions / "store").rows(
            "SELECT DISTINCT messages[1].content AS text FROM raw.responses WHERE prompt_hash = $hash",
            {"hash": version},
        )
        assert any(r["text"].strip() in own for r in sent)
    assert manifest["prompt"]["system"] in body and body.count("<details>") == body.count("</details>")


def test_the_card_of_a_control_is_not_shown_as_the_generators_prompt(versions):
    body = card(versions / "d-1.1.0")[1]
    told = re.search(r"Generator, explain.*?Measured outcome: (.*?)\n.*?</details>", body, re.S)
    pair = re.search(r"knocking down the (\w+) gene on the (\w+) gene in a single-cell (\w+)", told[0])
    label = Store(versions / "store").rows(
        "SELECT label FROM examples WHERE (pert, gene, cell_line) = ($p, $g, $c)",
        dict(zip("pgc", pair.groups(), strict=True)),
    )
    assert label == [{"label": told[1]}]


def test_rebuilding_gives_the_card_again_whatever_came_later(own, tmp_path):
    for version in ("1.0.0", "1.1.0"):
        done = rebuild(own, f"d@{version}", out=tmp_path / f"again-{version}")
        assert done.identical, done.differs
        assert folders.digests(tmp_path / f"again-{version}") == folders.digests(Path(f"d-{version}"))


# -- what the audit found


def test_an_audit_is_noted_where_the_store_holds_the_version_and_told_when_it_is_published(own):
    dataset = open_dataset("d-1.1.0")
    before = at_publishing(own, "d", "1.1.0", Path("d-1.1.0"))["README.md"]
    assert "Nobody had audited this version" in section(before, "What leaks")
    audits = audited(dataset, None, None)
    assert note(own, dataset, audits) and note(own, dataset, audits)
    assert own.rows("SELECT count(*) AS n FROM findings") == [{"n": 3}], "the latest counts"
    told = table(section(at_publishing(own, "d", "1.1.0", Path("d-1.1.0"))["README.md"], "What leaks"), "split")
    for row, a in zip(told, audits, strict=True):
        seen = next(r for r in a.seen if (r["test_line"], r["train_line"]) == ("all", "any other"))
        assert row[:4] == [a.split, f"{a.test:,}", f"{seen['pert']:,}", f"{seen['pair']:,}"]
        assert row[7] == f"{a.subsets[-1]['clean']:,}"
        assert row[4] == ("none" if seen["agrees"] is None else f"{100 * seen['agrees']:.1f} %")
    assert "Nobody had audited" in at_publishing(own, "d", "1.0.0", Path("d-1.0.0"))["README.md"]


def test_the_command_notes_it_in_a_store_that_is_there_and_makes_none(own, run, tmp_path):
    done = run("audit", "d-1.0.0", "--split", "default")
    assert done.returncode == 0 and "noted in store for the card of d 1.0.0" in done.stderr
    assert list(findings.found(own, "d", "1.0.0", "audit")) == ["default"]
    Path("other").mkdir()
    elsewhere = run("audit", tmp_path / "d-1.0.0", "--split", "default", cwd="other")
    assert elsewhere.returncode == 0 and "noted" not in elsewhere.stderr and not list(Path("other").iterdir())


def test_another_dataset_of_the_same_name_is_not_noted(own, dataset, run):
    shutil.copytree(dataset, "mine")
    manifest = json.loads(Path("mine/manifest.json").read_text()) | {"name": "d", "version": "1.1.0"}
    Path("mine/manifest.json").write_text(json.dumps(manifest))
    assert not findings.holds(own, open_dataset("mine"))
    done = run("--store", "store", "audit", "d-1.1.0", "--split", "no_such")
    assert done.returncode == 1 and not own.files("findings")


# -- at publishing


def published(store, version):
    row = store.rows("SELECT * FROM versions WHERE version = $v", {"v": version})[0]
    row |= {"published_to": "me/d", "commit_sha": "c0ffee" + "0" * 34, "created": now()}
    store.append("versions", pa.Table.from_pylist([row], TABLES["versions"].schema))


def test_without_anything_new_the_card_of_the_publishing_is_that_of_the_build(own):
    for version in ("1.0.0", "1.1.0"):
        folder = Path(f"d-{version}")
        texts = at_publishing(own, "d", version, folder)
        assert set(texts) == {"README.md", "croissant.json"}
        for name, text in texts.items():
            plain = [re.sub(r"(num_bytes|dataset_size): \d+", "", t) for t in (text, (folder / name).read_text())]
            assert plain[0] == plain[1], name


def test_the_changelog_goes_from_the_last_version_that_was_published(own, tmp_path):
    build(own, "thirds", "d", out=tmp_path / "d-1.2.0")
    assert "Since d@1.1.0" in card("d-1.2.0")[1]
    published(own, "1.0.0")
    text = at_publishing(own, "d", "1.2.0", Path("d-1.2.0"), repo="me/d")["README.md"]
    assert "Since d@1.0.0" in text and "Published before: 1.0.0" in text and "commit c0ffee0" in text
    assert 'load_dataset("me/d", "default", revision="v1.2.0")' in text
    published(own, "1.2.0")
    again = at_publishing(own, "d", "1.2.0", Path("d-1.2.0"), repo="me/d")["README.md"]
    assert again == text, "a version is not its own forerunner"
    assert "Published before" not in at_publishing(own, "d", "1.0.0", Path("d-1.0.0"))["README.md"]


def test_a_folder_that_is_not_the_version_is_refused(own):
    for folder, name in (("d-1.0.0", "d"), ("no-such", "d")):
        with pytest.raises(VersionError, match=r"not d@1\.1\.0 as it was built"):
            at_publishing(own, name, "1.1.0", Path(folder))
    Path("d-1.1.0/README.md").write_text("changed")
    with pytest.raises(VersionError, match="as it was built; `synthpert rebuild`"):
        at_publishing(own, "d", "1.1.0", Path("d-1.1.0"))
    with pytest.raises(VersionError, match="no such version"):
        at_publishing(own, "d", "9.9.9", Path("d-1.1.0"))


def test_what_a_user_named_cannot_break_the_card(own, tmp_path):
    """A model whose name holds a bar, and a recipe that holds a fence."""
    add(own, "responses", [{"request_id": "x", "stage": "generate", "provider": "p", "model": "a|b <i>", "sample": 0}])
    text = "-- Best: `fine`.\n/*\n```\n*/\nSELECT trace_id FROM candidates WHERE grade = 'excellent' AND answer = label"
    Path("fence.sql").write_text(text)
    build(own, "fence.sql", "e", out=tmp_path / "e")
    body = card("e")[1]
    assert f"````sql\n{text}\n````" in body
    (row,) = [r for r in table(body[body.index("### What it cost") :], "stage") if "a" in r[1] and "b" in r[1]]
    assert row[1] == "a\\|b &lt;i>" and len(row) == 7
