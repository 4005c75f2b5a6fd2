"""Diff: what was planted between two versions is what is told, row by row, with what decided."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from test_report import EVIL, Tags

from curation import comparing
from curation import store as stores
from curation.diff import diff
from curation.errors import RecipeError, VersionError
from curation.exclusions import exclude
from curation.filters import parse
from curation.schema import TABLES, now
from curation.store import Store
from curation.versions import build

GOOD = """-- Good or better, as explained.
SELECT c.trace_id FROM candidates AS c
WHERE c.grade IN ('excellent', 'good') AND c.answer = c.label
    AND approach = 'explain' ORDER BY trace_id"""
SHORT = "SELECT trace_id FROM candidates WHERE length(reasoning) <= (SELECT median(length(reasoning)) FROM candidates)"
FIT = " AND answer = label AND grade = 'excellent'"


def append(store, table, rows):
    names = TABLES[table].schema.names
    rows = [{c: (r | {"created": now()}).get(c) for c in names} for r in rows]
    store.append(table, pa.Table.from_pylist(rows, TABLES[table].schema))


def regrade(store, ids, grade):
    """A newer grade of each of these traces, by its own critic."""
    listed = ", ".join(f"'{i}'" for i in ids)
    old = store.rows(f"SELECT * FROM grades WHERE trace_id IN ({listed}) AND grade IS NOT NULL")
    fresh = {"grade": grade, "justification": "On second thoughts."}
    append(store, "grades", [g | fresh | {"grade_id": f"again-{g['trace_id']}-{grade}"} for g in old])
    assert len(old) == len(ids)


def splits_of(store, ids):
    """How many (split, row) these traces are on the train sides."""
    rows = store.rows(
        "SELECT DISTINCT trace_id, split FROM raw.traces JOIN splits USING (example_id) WHERE side = 'train'"
    )
    return sum(r["trace_id"] in ids for r in rows)


@pytest.fixture(scope="module")
def planted(filled, tmp_path_factory):
    """A store with versions of `d` and `bare`, and what was done between 1.0.0 and 1.1.0, by the traces' ids."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(filled, folder / "store")
    store = Store(folder / "store")
    build(store, "excellent", "d", out=folder / "1")
    was = {r["trace_id"]: r for r in store.rows("SELECT * FROM traces WHERE valid AND approach <> 'control'")}
    right = sorted(t for t, r in was.items() if r["correct"] and r["given_side"] == "train")
    excellent, good = ([t for t in right if was[t]["grade"] == g] for g in ("excellent", "good"))
    done = {"worse": excellent[:4], "same": excellent[4:7], "hidden": excellent[7:9], "better": good[:5]}
    for ids, grade in (("worse", "good"), ("same", "excellent"), ("better", "excellent")):
        regrade(store, done[ids], grade)
    exclude(store, run_id=None, where=f"trace_id IN ('{done['hidden'][0]}', '{done['hidden'][1]}')", reason=EVIL)
    raw = {r["trace_id"]: r for r in store.rows("SELECT * FROM raw.traces")}
    done["later"] = [f"later-{t}" for t in excellent[9:] if was[t]["approach"] == "explain"][:3]
    append(store, "traces", [raw[t[6:]] | {"trace_id": t, "request_id": t} for t in done["later"]])
    grades = {g["trace_id"]: g for g in store.rows("SELECT * FROM grades")}
    append(store, "grades", [grades[t[6:]] | {"grade_id": t, "request_id": t, "trace_id": t} for t in done["later"]])
    (folder / "good.sql").write_text(GOOD)
    build(store, "excellent", "d", out=folder / "2", version="1.1.0")
    build(store, str(folder / "good.sql"), "d", out=folder / "3", version="1.2.0")
    build(store, "thirds", "d", out=folder / "4", version="1.3.0")
    build(store, "direct", "bare", out=folder / "5")
    return store, done


@pytest.fixture
def own(planted, tmp_path):
    shutil.copytree(planted[0].place, tmp_path / "store")
    return Store(tmp_path / "store"), planted[1]


def members(store, name, version):
    rows = store.rows("SELECT * FROM members WHERE name = $n AND version = $v", {"n": name, "v": version})
    return {(r["split"], r["trace_id"] or r["example_id"]): r for r in rows}


def counted(found, fate):
    return {r["reason"]: r["n"] for r in found["reasons"] if r["fate"] == fate}


def test_what_was_planted_is_what_is_told(planted, ask_json):
    store, done = planted
    n = {what: splits_of(store, ids) for what, ids in done.items()}
    found = ask_json("--store", store.place, "diff", "d@1.0.0", "d@1.1.0")
    assert (found["a"], found["b"]) == ("d@1.0.0", "d@1.1.0")
    assert found["added"] == n["better"] + n["later"] and found["removed"] == n["worse"] + n["hidden"]
    assert found["changed"] == n["same"] and found["rows_left_out"] == 0
    assert counted(found, "removed") == {
        "grade = 'excellent' no longer holds: grade was excellent, is now good": n["worse"],
        f"hidden by an exclusion: {EVIL}": n["hidden"],
    }
    assert counted(found, "added") == {
        "grade = 'excellent' now holds: grade was good, is now excellent": n["better"],
        "not yet in the store (asked later)": n["later"],
    }
    assert {c["what"] for c in found["changed_by"]} == {"justification"}
    assert sum(c["n"] for c in found["changed_by"]) == n["same"]
    told = {(r["fate"], r["id"]) for r in found["rows"]}
    assert told == {("removed", t) for t in done["worse"] + done["hidden"]} | {
        ("added", t) for t in done["better"] + done["later"]} | {("changed", t) for t in done["same"]}  # fmt: skip


def test_the_sums_by_class_and_split_are_those_of_the_rows(planted):
    store, done = planted
    found = diff(store, "d@1.0.0", "d@1.1.0")._asdict()
    before, after = members(store, "d", "1.0.0"), members(store, "d", "1.1.0")
    examples = {e["example_id"]: e for e in store.rows("FROM examples")}
    wanted = Counter()
    for rows, others, fate in ((after, before, "added"), (before, after, "removed")):
        for split, trace in rows.keys() - others.keys():
            e = examples[rows[split, trace]["example_id"]]
            wanted[split, e["cell_line"], e["label"], "excellent", fate] += 1
    keys = ("split", "cell_line", "label", "grade")
    assert wanted == Counter(
        {(*(r[k] for k in keys), fate): r[fate] for r in found["by"] for fate in ("added", "removed") if r[fate]}
    )
    for fate in ("added", "removed"):
        assert sum(r[fate] for r in found["by_critic"]) == sum(r[fate] for r in found["splits"]) == found[fate]
    assert [(s["before"], s["after"]) for s in found["splits"]] == [
        tuple(sum(k[0] == s["split"] for k in rows) for rows in (before, after)) for s in found["splits"]
    ]


def test_another_recipe_is_told_by_its_conditions(planted):
    store, _ = planted
    found = diff(store, "d@1.1.0", "d@1.2.0")._asdict()
    assert found["recipe"] == {
        "a": "excellent", "b": "good", "set": [],
        "new": ["c.grade IN ('excellent', 'good')", "approach = 'explain'"], "dropped": ["grade = 'excellent'"],
    }  # fmt: skip
    rows = store.rows("SELECT * FROM candidates WHERE correct AND grade IN ('excellent', 'good')")
    blind = sum(r["approach"] == "blind" and r["grade"] == "excellent" for r in rows)
    good = sum(r["approach"] == "explain" and r["grade"] == "good" for r in rows)
    assert blind and good
    assert counted(found, "removed") == {"new condition approach = 'explain': approach is blind": blind}
    assert counted(found, "added") == {"condition grade = 'excellent' was dropped: grade is good": good}
    assert found["changed"] == 0


def test_both_ways_tell_the_same_rows(planted):
    there, back = (diff(planted[0], *pair) for pair in (("d@1.0.0", "d@1.2.0"), ("d@1.2.0", "d@1.0.0")))
    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)
    reasons = counted(back._asdict(), "removed")
    assert reasons["not yet in the store (asked later)"] == splits_of(planted[0], planted[1]["later"])
    assert any(r.startswith("new condition grade = 'excellent': grade ") for r in reasons)
    assert f"was hidden by an exclusion: {EVIL}" in counted(back._asdict(), "added")


def test_of_a_recipe_that_is_no_filter_nothing_is_guessed(planted):
    found = diff(planted[0], "d@1.1.0", "d@1.3.0")._asdict()
    assert found["added"] == 0 and found["recipe"]["new"] is None
    assert counted(found, "removed") == {
        "not selected by the recipe thirds (no plain filter: it has a WITH)": found["removed"]
    }


def test_rows_with_and_without_reasoning(planted):
    store, _ = planted
    found = diff(store, "d@1.1.0", "bare")._asdict()
    n = {v: len(members(store, *v)) for v in (("d", "1.1.0"), ("bare", "1.0.0"))}
    assert counted(found, "added") == {
        "a row without reasoning, and the recipe excellent selects rows with": n["bare", "1.0.0"]
    }
    assert counted(found, "removed") == {
        "a row with reasoning, and the recipe direct selects rows without": n["d", "1.1.0"]
    }


def test_a_condition_with_a_subquery_is_held_against_the_whole_store(planted, tmp_path):
    store, _ = planted
    Path("short.sql").write_text(SHORT + FIT)
    found = diff(store, "d@1.1.0", "short.sql")._asdict()
    assert found["b"] == "preview of short" and found["added"] == found["changed"] == 0 < found["removed"]
    (reason,) = counted(found, "removed")
    assert reason.startswith("new condition length(reasoning) <= (SELECT median(length(reasoning)) FROM candidates)")


def test_a_preview_is_what_a_build_then_holds(own):
    store, _ = own
    Path("good.sql").write_text(GOOD)
    first = diff(store, "d@1.0.0", "good.sql")._asdict()
    build(store, "good.sql", "e", out=Path("e"))
    then = diff(store, "d@1.0.0", "e")._asdict()
    for key in ("added", "removed", "changed", "by", "by_critic", "splits", "reasons", "changed_by", "rows"):
        assert first[key] == then[key], key
    assert diff(store, "e", "good.sql").splits[0]["added"] == diff(store, "e", "good.sql").removed == 0


def test_another_side_and_another_weight_are_changes(own):
    store, _ = own
    perts = store.rows(
        """SELECT pert FROM candidates WHERE split = 'rpe1_holdout' AND correct AND grade = 'excellent'
           GROUP BY pert ORDER BY ('0x' || substr(sha256(pert), 1, 8))::BIGINT DESC LIMIT 4"""
    )
    high = [p["pert"] for p in reversed(perts)]  # the hash of each is above the lowest tenth
    for weight, names in ((1, high[1:]), (2, high)):
        listed = ", ".join(f"'{p}'" for p in names)
        Path("w.sql").write_text(
            f"SELECT trace_id, {weight} AS weight FROM candidates WHERE pert IN ({listed}) AND correct"
        )
        build(store, "w.sql", "w", out=Path(f"w{weight}"))
    found = diff(store, "w@1.0.0", "w@1.1.0")._asdict()
    before, after = members(store, "w", "1.0.0"), members(store, "w", "1.1.0")
    moved = [k for k in before if before[k]["side"] != after[k]["side"]]
    sums = Counter()
    for c in found["changed_by"]:
        sums[c["what"], c["from"], c["to"]] += c["n"]
    assert sums == {("weight", "1", "2"): len(before), ("side", "validation", "train"): len(moved)} and moved
    assert found["changed"] == len(before) and found["removed"] == 0
    (reason,) = counted(found, "added")
    assert reason.startswith("condition pert IN (")


def test_a_hidden_run_of_grades_is_a_change_of_grade(own):
    store, done = own
    run_id = store.rows("SELECT run_id FROM runs WHERE command = 'grade'")[0]["run_id"]
    exclude(store, run_id=run_id, where=None, reason="wrong critic")
    Path("any.sql").write_text("SELECT trace_id FROM candidates WHERE correct")
    build(store, "any.sql", "any", out=Path("any1"))
    exclude(store, run_id=run_id, where=None, reason="right after all", undo=True)
    found = diff(store, "any", "any.sql")._asdict()
    graded = store.rows("SELECT count(*) AS n FROM candidates WHERE correct AND grade IS NOT NULL")[0]["n"]
    assert found["added"] == found["removed"] == 0 and found["changed"] == graded > 0
    assert {c["from"] for c in found["changed_by"] if c["what"] == "grade"} == {None}


def test_a_compaction_between_makes_no_difference(own, monkeypatch):
    store, _ = own
    first = diff(store, "d@1.0.0", "excellent")
    monkeypatch.setattr(stores, "COMPACT_ABOVE", 1)
    store.compact()
    assert len(store.files("grades")) == 1
    assert diff(store, "d@1.0.0", "excellent") == first


def test_a_trace_that_is_read_anew(own):
    store, _ = own
    row = store.rows("SELECT * FROM raw.traces SEMI JOIN members USING (trace_id) ORDER BY trace_id")
    kept = members(store, "d", "1.1.0")
    changed, lost = [r for r in row if ("default", r["trace_id"]) in kept][:2]
    append(store, "traces", [changed | {"reasoning": "Other words.", "parser": "next"}])
    append(store, "traces", [lost | {"answer": None, "reason": "two answers", "valid": False, "parser": "next"}])
    found = diff(store, "d@1.1.0", "excellent")._asdict()
    assert counted(found, "removed") == {"can no longer be read: two answers": splits_of(store, [lost["trace_id"]])}
    told = {r["id"]: r["reason"] for r in found["rows"] if r["fate"] == "changed"}
    assert told == {changed["trace_id"]: f"parser: {changed['parser']} to next; reasoning"}
    assert {c["what"] for c in found["changed_by"]} == {"reasoning", "parser"}


def plant(store, version, sql, params="{}"):
    """A version of `d` that says it was made by this recipe, and holds the rows of 1.1.0 but one."""
    old = store.rows("SELECT * FROM versions WHERE name = 'd' AND version = '1.1.0'")[0]
    rows = list(members(store, "d", "1.1.0").values())[1:]
    fresh = {"version": version, "run_id": f"run-{version}"}
    append(store, "members", [r | fresh | {"member_id": f"{version}-{r['member_id']}"} for r in rows])
    facts = {"version_id": version, "recipe": "planted", "recipe_sql": sql, "params": params, "row_hash": version}
    append(store, "versions", [old | fresh | facts])


def test_the_recipe_of_a_store_is_run_behind_the_locks(own):
    store, _ = own
    plant(
        store, "7.0.0", "SELECT trace_id FROM candidates WHERE grade = (SELECT content FROM read_text('/etc/passwd'))"
    )
    plant(store, "7.1.0", "SELECT trace_id FROM candidates WHERE no_such_column = 1 AND grade = 'excellent'")
    plant(store, "7.2.0", "COPY (SELECT 1) TO 'x.csv'")
    for version, why in (
        ("7.0.0", "no longer runs: Permission"),
        ("7.1.0", "no longer runs: Binder"),
        ("7.2.0", "can no longer be read"),
    ):
        found = diff(store, "d@1.1.0", f"d@{version}")._asdict()
        (reason,) = counted(found, "removed")
        assert why in reason and found["removed"] == 1
    assert not Path("x.csv").exists()


def test_parameters_are_told_by_their_values(own):
    store, _ = own
    sql = "SELECT trace_id FROM candidates WHERE grade = $grade AND length(reasoning) > $least AND split = $split"
    plant(store, "8.0.0", sql, json.dumps({"grade": "excellent", "least": 3}))
    plant(store, "8.1.0", sql, json.dumps({"grade": "it's", "least": 3}))
    found = diff(store, "d@8.0.0", "d@8.1.0")
    assert found.recipe["new"] == ["grade = 'it''s'"] and found.recipe["dropped"] == ["grade = 'excellent'"]
    (reason,) = counted(diff(store, "d@1.1.0", "d@8.1.0")._asdict(), "removed")
    assert reason == "new condition grade = 'it''s': grade is excellent"
    (reason,) = counted(diff(store, "d@1.1.0", "d@8.0.0")._asdict(), "removed")
    assert reason == "meets each condition of the recipe, which yet does not select it"


def test_a_macro_in_a_condition_and_the_defaults_of_a_preview(planted):
    store, _ = planted
    Path("apt.sql").write_text(
        "-- Apt.\n-- $lowest = 'excellent': the lowest grade\n"
        "SELECT trace_id FROM candidates WHERE answer = label AND at_least($lowest) AND agreed_by(0)"
    )
    found = counted(diff(store, "d@1.2.0", "apt.sql")._asdict(), "removed")
    assert any(r.startswith("new condition at_least('excellent')") and "grade is good" in r for r in found), found
    easier = diff(store, "d@1.2.0", "apt.sql", params={"lowest": "terrible"})
    assert easier.recipe["set"] == [{"name": "lowest", "a": None, "b": "terrible"}]
    assert "$lowest: not there -> 'terrible'" in comparing.text(easier)
    with pytest.raises(VersionError, match="--set: d@1.2.0 is a version"):
        diff(store, "d@1.0.0", "d@1.2.0", params={"lowest": "good"})


FILTERS = {
    "FROM candidates SELECT trace_id": [],
    "-- é\nSELECT trace_id FROM candidates c WHERE (c.a OR b) AND (x LIKE 'é''%' AND y IS NOT NULL)": [
        "c.a OR b", "x LIKE 'é''%'", "y IS NOT NULL"],
    "SELECT trace_id FROM candidates WHERE a BETWEEN 1 AND 2 AND NOT list_has_any(l, ['a', 'b']) ORDER BY 1": [
        "a BETWEEN 1 AND 2", "NOT list_has_any(l, ['a', 'b'])"],
    "SELECT trace_id FROM candidates WHERE x IN ('a','b') AND f(x) > 1 -- and so on": ["x IN ('a','b')", "f(x) > 1"],
}  # fmt: skip
NO_FILTERS = {
    "SELECT trace_id FROM candidates LIMIT 3": "LIMIT",
    "SELECT DISTINCT trace_id FROM candidates": "DISTINCT",
    "SELECT trace_id FROM candidates GROUP BY trace_id": "groups",
    "SELECT trace_id FROM candidates QUALIFY row_number() OVER () = 1": "ranks",
    "SELECT trace_id FROM traces": "other than the candidates",
    "SELECT trace_id FROM candidates, range(2)": "other than the candidates",
    "SELECT trace_id FROM candidates USING SAMPLE 3": "samples",
    "SELECT trace_id FROM candidates UNION SELECT trace_id FROM candidates": "several SELECTs",
    "SELECT max(trace_id) AS trace_id FROM candidates": "plain trace_id",
    "SELECT": "can no longer be read",
}


@pytest.mark.parametrize("sql", FILTERS)
def test_a_filter_is_told_in_its_authors_words(sql):
    found = parse(sql)
    assert ([c.text for c in found.conditions], found.why_not) == (FILTERS[sql], None)


@pytest.mark.parametrize("sql", NO_FILTERS)
def test_what_is_more_than_a_filter_is_told_why(sql):
    found = parse(sql)
    assert NO_FILTERS[sql] in found.why_not and not found.conditions


# -- as people read it


def test_the_text_is_short_and_says_it_all(planted, run):
    store, done = planted
    n = {what: splits_of(store, ids) for what, ids in done.items()}
    said = run("--store", store.place, "diff", "d@1.0.0", "d@1.1.0").stdout
    added, removed = n["better"] + n["later"], n["worse"] + n["hidden"]
    assert said.startswith(f"d@1.0.0 -> d@1.1.0: {added} added, {removed} removed, {n['same']} changed\n")
    assert f"- {n['worse']}: grade = 'excellent' no longer holds: grade was excellent, is now good\n" in said
    assert f"- {n['same']}: another justification\n" in said
    assert len(said.splitlines()) < 30 and "Simulated" in said
    whole = run("--store", store.place, "diff", "d@1.0.0", "d@1.2.0").stdout
    assert "Recipe: excellent -> good\nNew condition: c.grade IN ('excellent', 'good')\n" in whole


def test_the_page_holds_it_and_nothing_that_runs(planted, ask_json):
    store, done = planted
    found = ask_json("--store", store.place, "diff", "d@1.0.0", "d@1.1.0", "--html", "--out", "p.html")
    text, tags = Path("p.html").read_text(), Tags(Path("p.html").read_text())
    assert found["out"] == "p.html" and not tags.addresses and not {"script", "link", "img"} & set(tags.names)
    assert "&lt;script&gt;alert(" in text and "default-src 'none'" in text
    for ids in done.values():
        assert all(t in text for t in ids)
    for r in found["reasons"]:
        assert f'<td class="n">{r["n"]:,}</td>' in text
    assert "not listed" not in text


def test_a_long_listing_is_cut_and_says_so(planted):
    store, done = planted
    found = diff(store, "d@1.0.0", "d@1.1.0", listed=30)
    assert len(found.rows) == 30
    assert found.rows_left_out == found.added + found.removed + splits_of(store, done["same"]) - 30
    listed = {(r["fate"], r["split"], r["reason"]) for r in found.rows}
    whole = diff(store, "d@1.0.0", "d@1.1.0").rows
    assert listed == {(r["fate"], r["split"], r["reason"]) for r in whole}, "each reason has its share"
    comparing.page(found, Path("p.html"))
    text = Path("p.html").read_text()
    assert f"{found.rows_left_out} rows are not listed" in text
    queries = re.findall(r'<code>synthpert sql "(.*?)"</code>', text.replace("&#39;", "'"))
    assert [store.sql(q).num_rows for q in queries] == [found.added, found.removed]


def test_versions_are_listed(planted, run, ask_json):
    store, _ = planted
    found = ask_json("--store", store.place, "versions")
    assert [(v["name"], v["version"], v["recipe"]) for v in found] == [
        ("bare", "1.0.0", "direct"), ("d", "1.0.0", "excellent"), ("d", "1.1.0", "excellent"), ("d", "1.2.0", "good"),
        ("d", "1.3.0", "thirds"),
    ]  # fmt: skip
    assert all(len(v["row_hash"]) == 64 and v["rows"] and v["created"] for v in found)
    said = run("--store", store.place, "versions").stdout
    assert found[0]["row_hash"][:12] in said and found[0]["row_hash"] not in said


# -- what can be wrong


def test_the_newest_may_be_named_and_a_version_is_as_itself(planted, run):
    store, _ = planted
    assert diff(store, "d", "d@1.0.0") == diff(store, "d@latest", "d@1.0.0") == diff(store, "d@1.3.0", "d@1.0.0")
    done = run("--store", store.place, "diff", "d@1.3.0", "d")
    assert done.returncode == 0 and "no row differs" in done.stdout and "identical" in done.stdout


@pytest.mark.parametrize(
    "pair, words",
    [
        (("e", "d"), "no dataset is called 'e'; the nearest is"),
        (("bar", "d"), "the nearest is bare"),
        (("d@1.9.0", "d"), "no such version; the nearest is 1."),
        (("d", "d@2"), "no such version"),
        (("d", "excelent"), "nor is it a recipe: blind"),
        (("excellent", "d"), "no dataset is called 'excellent'"),
    ],
)
def test_a_name_that_is_none_is_told_with_the_nearest(planted, pair, words):
    with pytest.raises(VersionError, match=re.escape(words)):
        diff(planted[0], *pair)


def test_a_recipe_that_cannot_be_built_cannot_be_compared(planted):
    Path("none.sql").write_text("SELECT trace_id FROM candidates WHERE false")
    with pytest.raises(RecipeError, match="selects nothing"):
        diff(planted[0], "d", "none.sql")


def test_a_store_without_versions_says_so(store, run):
    for words in (("versions",), ("diff", "d", "e")):
        done = run(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (
            1,
            "",
            1,
        ) and "no versions yet" in done.stderr


def test_a_snapshot_whose_files_are_gone_is_one_line(own, run):
    store, _ = own
    gone = set(store.files("grades")) - set(store.files("grades", {"grades": 1}))
    assert gone
    for file in gone:
        Path(file).unlink()
    done = run("--store", store.place, "diff", "d@1.0.0", "d@1.1.0")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "can no longer be read" in done.stderr and "is gone" in done.stderr


def test_a_page_that_cannot_be_written_is_one_line(planted, run):
    done = run("--store", planted[0].place, "diff", "d", "d@1.0.0", "--html", "--out", "no/such/p.html")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and "p.html" in done.stderr
