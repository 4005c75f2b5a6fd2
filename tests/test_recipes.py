"""Recipes: parameters, macros, what the shipped ones select, what a preview tells, and errors that name the place."""

import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from curation import macros, recipes
from curation.errors import RecipeError, RefusedSQL
from curation.locked import ask, locked
from curation.preview import preview
from curation.schema import LABELS
from curation.store import Store
from curation.versions import build

UNCHANGED = LABELS[2]


@pytest.fixture
def full(filled):
    """The filled store; these tests only read it."""
    return Store(filled)


@pytest.fixture
def own(filled, tmp_path):
    """A copy of the filled store, to write to."""
    shutil.copytree(filled, tmp_path / "store")
    return Store(tmp_path / "store")


def recipe(text, file="mine.sql"):
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(text)
    return file


def chosen(store, name, split="default", **params):
    """The rows that a recipe selects, as `candidates` has them."""
    found = recipes.choose(store, recipes.load(name), [split], store.snapshot(), params)[split]
    rows = {r["trace_id"]: r for r in store.rows(f"FROM candidates WHERE split = '{split}'")}
    return [rows[t] for t in found["trace_id"].to_pylist()]


def refusal(store, text, **params):
    with pytest.raises(RecipeError) as error:
        preview(store, recipe(text), params)
    assert "\n" not in str(error.value)
    return str(error.value)


# -- parameters

FEW = """-- The first few of each label,
-- that are right.
-- $n = 5: traces of each label
-- $share = 1.0: of the candidates
-- $approach = 'explain': it's that, or blind
SELECT trace_id FROM candidates
WHERE correct AND approach = $Approach AND sample($share) -- $nonsense in a comment
QUALIFY balanced(label, $n)
"""


def test_defaults_and_what_is_set(full):
    file = recipe(FEW)
    assert Counter(r["label"] for r in chosen(full, file)) == dict.fromkeys(LABELS, 5)
    seven = chosen(full, file, n="7", approach="blind")
    assert Counter(r["label"] for r in seven) == dict.fromkeys(LABELS, 7)
    assert {r["approach"] for r in seven} == {"blind"}
    assert recipes.load(file).about == "The first few of each label, that are right."
    assert recipes.values(recipes.load(file), {"n": "7", "share": "1"}) == {"n": 7, "share": 1.0, "approach": "explain"}


@pytest.mark.parametrize(
    "params, words",
    [
        ({"m": "1"}, "mine.sql: it has no parameter m; it declares $n, $share, $approach"),
        ({"aproach": "x"}, "no parameter aproach, did you mean approach?; it declares $n, $share, $approach"),
        ({"split": "x"}, "it has no parameter split"),
        ({"n": "0.5"}, "n=0.5: wanted a whole number, as its default 5 is"),
        ({"n": "many"}, "n=many: wanted a whole number"),
        ({"n": True}, "wanted a whole number"),
        ({"share": "nan"}, "share=nan: wanted a number, as its default 1.0 is"),
        ({"approach": 3}, "wanted a text, as its default 'explain' is"),
    ],
)
def test_a_value_that_will_not_do_is_one_line(full, params, words):
    assert words in refusal(full, FEW, **params)


@pytest.mark.parametrize(
    "text, words",
    [
        ("-- $n 5\nSELECT 1", "mine.sql:1: no declaration of a parameter: $n 5; wanted $name = 500: what it is"),
        ("-- a\n-- $N = 5\nSELECT 1", "mine.sql:2: no declaration"),
        ("-- $n = five\nSELECT 1", "mine.sql:1: no declaration"),
        ("-- $split = 'x'\nSELECT $split", "mine.sql:1: $split is set by the build"),
        ("-- $n = 5\n-- $n = 6\nSELECT $n", "mine.sql:2: $n is declared twice"),
        ("-- $n = 5\nSELECT trace_id FROM candidates", "mine.sql:1: $n is declared and never used"),
        (
            "-- $most = 5\n-- about $mots\nSELECT trace_id\nFROM candidates\nLIMIT $mots + $most",
            "mine.sql:5: $mots is not declared, did you mean most?; it declares $most (-- $mots = 500: what it is), "
            "at: $mots + $most",
        ),
        ("SELECT trace_id FROM candidates LIMIT $n", "mine.sql:1: $n is not declared; it declares none"),
        ("SELECT trace_id FROM candidates LIMIT ?", "$1 is not declared"),
    ],
)
def test_a_declaration_that_will_not_do_names_its_line(full, text, words):
    assert words in refusal(full, text)


def test_the_values_stand_in_the_version_the_manifest_and_the_card(own, run, ask_json):
    file = recipe(FEW)
    first = build(own, file, "d", out=Path("a"), params={"n": 20, "approach": "explain"})
    told = json.loads(Path("a/manifest.json").read_text())["recipe"]
    assert told["params"] == {"n": 20, "share": 1.0, "approach": "explain"}
    assert json.loads(own.rows("SELECT params FROM versions")[0]["params"]) == told["params"]
    card = Path("a/README.md").read_text()
    assert "--version 1.0.0 --set n=20 --set share=1.0 --set approach=explain\n" in card
    assert "Its parameters: n = 20, share = 1.0, approach = explain." in card

    args = ("build", file, "--name", "d")
    done = run(*args, "--set", "n=20")
    assert done.returncode == 0 and "nothing written" in done.stdout, "the same values, given or by default"
    huge = ask_json(*args, "--set", "n=9000")
    assert huge["version"] == "1.1.0"
    again = ask_json(*args, "--set", "n=9001")
    assert again["version"] == "1.2.0" and again["row_hash"] == huge["row_hash"] != first.row_hash
    typed = own.rows("SELECT args FROM runs WHERE command = 'build' ORDER BY created")
    assert [json.loads(r["args"])["set"][0] for r in typed] == ["n=20", "n=9000", "n=9001"]


@pytest.mark.parametrize("pair, words", [("n", "wanted NAME=VALUE"), ("n=2", "set twice"), ("x=2", "no parameter x")])
def test_what_is_set_on_the_command_line_is_checked(store, run, pair, words):
    done = run("preview", recipe(FEW), "--set", "$n=1", "--set", pair)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and words in done.stderr


# -- macros


def sql(store, query):
    with locked(store) as con:
        return ask(con, query).to_pylist()


def test_sample_is_stable_nested_and_of_the_size_asked(full):
    ids = {r["trace_id"] for r in sql(full, "SELECT trace_id FROM traces")}
    some = {r["trace_id"] for r in sql(full, "SELECT trace_id FROM traces WHERE sample(0.3, 1)")}
    more = {r["trace_id"] for r in sql(full, "SELECT trace_id FROM traces WHERE SAMPLE(0.6, 1)")}
    other = {r["trace_id"] for r in sql(full, "SELECT trace_id FROM traces WHERE sample(fraction := 0.3, seed := 2)")}
    assert some < more < ids and len(some) / len(ids) == pytest.approx(0.3, abs=0.05) and other != some
    assert sql(full, "SELECT count(*) AS n FROM traces WHERE sample(1)") == [{"n": len(ids)}]
    assert sql(full, "SELECT count(*) AS n FROM traces WHERE sample(0)") == [{"n": 0}]
    up = sql(full, "SELECT trace_id FROM traces WHERE label = 'upregulated' AND sample(0.3, 1)")
    assert {r["trace_id"] for r in up} < some, "in or out, whatever else is there"
    assert len(sql(full, "SELECT trace_id FROM traces USING SAMPLE 3")) == 3, "the word is still DuckDB's own too"


def test_balanced_and_top_per(full):
    held = "SELECT trace_id, label, cell_line, pert, length(reasoning) AS n FROM candidates WHERE split = 'default'"
    rows = sql(full, f"{held} QUALIFY balanced(label, 7)")
    assert Counter(r["label"] for r in rows) == dict.fromkeys(LABELS, 7)
    assert rows == sql(full, f"{held} QUALIFY balanced(label, 7)")
    pairs = Counter((r["label"], r["cell_line"]) for r in sql(full, f"{held} QUALIFY balanced((label, cell_line), 2)"))
    assert len(pairs) == 12 and set(pairs.values()) == {2}

    longest = defaultdict(int)
    for r in sql(full, held):
        longest[r["pert"]] = max(longest[r["pert"]], r["n"])
    top = sql(full, f"{held} QUALIFY top_per(pert, 1, length(reasoning))")
    assert {r["pert"]: r["n"] for r in top} == longest and len(top) == len(longest)
    shortest = sql(full, f"{held} QUALIFY top_per(pert, 1, -length(reasoning))")
    assert all(r["n"] <= longest[r["pert"]] for r in shortest) and shortest != top
    rated = "SELECT trace_id, s FROM (VALUES ('a', NULL), ('b', 1), ('c', 2)) AS t(trace_id, s)"
    assert [r["trace_id"] for r in sql(full, f"{rated} QUALIFY top_per(1, 2, s) ORDER BY 1")] == ["b", "c"]


GRADED = """SELECT * FROM (VALUES
    ('two agree', 'good', false, [('a', 'good', 'x'), ('b', 'good', 'x'), ('c', 'bad', 'x')]),
    ('one twice', 'good', false, [('a', 'good', 'x'), ('a', 'good', 'x')]),
    ('one rehearsed', 'good', false, [('a', 'good', 'x'), ('b', 'good', 'rehearsal')]),
    ('both rehearsed', 'good', true, [('a', 'good', 'rehearsal'), ('b', 'good', 'rehearsal')]),
    ('none', NULL, false, NULL)
) AS t(trace_id, grade, simulated, given),
LATERAL (SELECT list_transform(given, lambda g: {critic: g[1], grade: g[2], provider: g[3]}) AS grades)"""


def test_agreed_by_counts_critics_that_gave_the_grade_it_has(full, own, model, run):
    def agreed(k):
        return {r["trace_id"] for r in sql(full, f"SELECT trace_id FROM ({GRADED}) WHERE agreed_by({k})")}

    assert agreed(1) == {"two agree", "one twice", "one rehearsed", "both rehearsed"}
    assert agreed(2) == {"two agree", "both rehearsed"} and agreed(3) == set()

    assert run("grade", "--model", "second", "--limit", "300").returncode == 0
    found = sql(own, "SELECT grade, grades FROM traces WHERE agreed_by(2)")
    assert len(found) > 20
    assert all([g["grade"] for g in r["grades"]] == [r["grade"]] * 2 for r in found)
    both = sql(own, "SELECT grade, grades FROM traces WHERE len(grades) = 2 AND grades[1].grade = grades[2].grade")
    assert len(both) == len(found)


def test_at_least(full):
    found = sql(full, "SELECT DISTINCT grade FROM traces WHERE at_least('average')")
    assert {r["grade"] for r in found} == {"excellent", "good", "average"}
    with pytest.raises(RefusedSQL, match=r"at_least\('fine'\): wanted excellent, good"):
        sql(full, "SELECT trace_id FROM traces WHERE at_least('fine')")


def test_every_macro_is_told_and_known_to_the_stores_connection(store):
    page = (Path(recipes.__file__).parents[2] / "docs" / "selecting.md").read_text()
    told = {row.function_name for row in store.connect().sql("FROM duckdb_functions()").to_df().itertuples()}
    for name, text in macros.texts().items():
        assert text.startswith("-- ") and f"CREATE MACRO {name}(" in text
        assert f"| `{name}(" in page and name in told


def test_the_macros_cannot_be_changed(store):
    for query in ("CREATE OR REPLACE MACRO sample(a) AS 1", "DROP MACRO sample"):
        with locked(store) as con, pytest.raises(RefusedSQL, match="only SELECT"):
            ask(con, query)


# -- the shipped recipes, on planted data


def test_good_or_better(full):
    rows = chosen(full, "good_or_better")
    every = full.rows("SELECT trace_id, grade, correct FROM candidates WHERE split = 'default'")
    assert {r["trace_id"] for r in rows} == {
        r["trace_id"] for r in every if r["correct"] and r["grade"] in ("good", "excellent")
    }


def solved(store):
    """The share of right blind samples an example, and how many there are."""
    found = defaultdict(list)
    for r in store.rows("SELECT example_id, correct FROM traces WHERE approach = 'blind'"):
        found[r["example_id"]].append(r["correct"])
    return {e: (sum(c) / len(c), len(c)) for e, c in found.items()}


def test_hard_first(full):
    share = solved(full)
    rows = chosen(full, "hard_first")
    assert len(rows) > 30 and len({r["example_id"] for r in rows}) == len(rows)
    assert all(r["approach"] == "explain" and r["correct"] and r["grade"] in ("excellent", "good") for r in rows)
    assert all(share[r["example_id"]][0] < 0.5 for r in rows)
    every = chosen(full, "hard_first", below=1.01)
    first = chosen(full, "hard_first", below=1.01, n=len(rows))
    assert max(share[r["example_id"]][0] for r in first) <= min(
        share[r["example_id"]][0] for r in every if r not in first
    )
    assert {r["grade"] for r in chosen(full, "hard_first", grade="excellent")} == {"excellent"}
    with pytest.raises(RecipeError, match="wanted excellent, good, average"):
        chosen(full, "hard_first", grade="fine")


def test_consistent(full):
    share = solved(full)
    wanted = {LABELS[0]: 0.5, LABELS[1]: 0.5, UNCHANGED: 0.7}
    rows = chosen(full, "consistent", none_share=1)
    assert {r["approach"] for r in rows} == {"blind"} and all(r["correct"] for r in rows)
    right = "SELECT DISTINCT example_id, label FROM traces WHERE approach = 'blind' AND correct AND valid"
    assert sorted(r["example_id"] for r in rows) == sorted(
        r["example_id"]
        for r in full.rows(right)
        if share[r["example_id"]][1] >= 3 and share[r["example_id"]][0] > wanted[r["label"]]
    )
    assert {share[r["example_id"]][0] for r in rows} == {0.75, 1.0}, "samples of one example differ"
    assert min(share[r["example_id"]][0] for r in chosen(full, "consistent", up=0.8, down=0.8, none=0.8)) == 1.0
    assert len(chosen(full, "consistent", each=9, none_share=1)) > 2 * len(rows)


@pytest.mark.parametrize("cap", [0.1, 0.25, 0.5])
def test_consistent_does_not_let_the_majority_flood_the_rest(full, cap):
    every = chosen(full, "consistent", none=0.0, none_share=1)
    rows = chosen(full, "consistent", none=0.0, none_share=cap)
    changed, unchanged = ([r for r in rows if (r["label"] == UNCHANGED) == kind] for kind in (False, True))
    assert len(changed) == sum(r["label"] != UNCHANGED for r in every)
    share, all_unchanged = solved(full), [r for r in every if r["label"] == UNCHANGED]
    assert len(unchanged) == min(len(all_unchanged), int(cap / (1 - cap) * len(changed) + 1e-9))
    left = [share[r["example_id"]][0] for r in all_unchanged if r not in unchanged]
    assert all(share[r["example_id"]][0] >= max(left, default=0) for r in unchanged)


def test_without_samples_consistent_says_what_selects_nothing(full):
    with pytest.raises(RecipeError, match=r"consistent.sql:\d+: it selects nothing for the split default, at: QUALIFY"):
        chosen(full, "consistent", samples=9)


# -- recipes and preview


def test_recipes_lists_the_shipped_and_ones_own(run, ask_json):
    recipe(FEW)
    recipe("-- Mine.\nSELECT 1", "recipes/other.sql")
    recipe("-- $n\nSELECT 1", "recipes/wrong.sql")
    Path("latin.sql").write_bytes(b"-- caf\xe9")
    rows = {r["recipe"]: r for r in ask_json("recipes")}
    assert [name for name, r in rows.items() if r["shipped"]] == recipes.shipped()
    assert [name for name, r in rows.items() if not r["shipped"]] == [
        "latin.sql", "mine.sql", "recipes/other.sql", "recipes/wrong.sql",
    ]  # fmt: skip
    assert all(r["about"] for r in rows.values() if not r["problem"])
    assert rows["mine.sql"]["parameters"][2] == {
        "name": "approach", "default": "explain", "about": "it's that, or blind",
    }  # fmt: skip
    assert "recipes/wrong.sql:1" in rows["recipes/wrong.sql"]["problem"] and "utf-8" in rows["latin.sql"]["problem"]
    text = run("recipes").stdout
    assert "mine.sql: The first few of each label, that are right.\n  --set n=5  traces of each label\n" in text


def test_a_preview_tells_what_a_build_then_holds(own, run, ask_json):
    before = own.snapshot()
    told = ask_json("preview", "consistent", "--set", "samples=4")
    assert own.snapshot() == before and not list(Path().glob("consistent*"))
    assert told["params"]["samples"] == 4 and told["recipe"] == "consistent"
    built = build(own, "consistent", "d", params={"samples": 4})
    rows = {(r["split"], r["side"]): r["n"] for r in built.rows}
    for total in told["totals"]:
        for side in ("train", "validation"):
            assert total[side] == rows[total["split"], side] > 0
            assert total[side] == sum(r[side] for r in told["by"] if r["split"] == total["split"])
    assert {r["label"] for r in told["by"]} == set(LABELS) and {"excellent", None} < {r["grade"] for r in told["by"]}
    done = run("preview", "direct")
    assert done.returncode == 0 and "next: synthpert build direct --name NAME" in done.stderr
    assert "default" in done.stdout and "validation" in done.stdout


def test_a_preview_refuses_what_a_build_refuses(full):
    one = "SELECT trace_id FROM candidates WHERE correct AND pert = (SELECT min(pert) FROM candidates)"
    assert "more than one perturbation" in refusal(full, one)
    assert "more than once" in refusal(full, "SELECT trace_id FROM candidates, range(2) WHERE correct")


# -- errors

HEAD = "-- Mine.\nSELECT trace_id\n"
PLACES = {
    "FROM candidates\nWHERE correct AND grad = 'good'": (
        4, "there is no column grad here; nearest: grade", "grad = 'good'",
    ),
    "FROM candidates AS c\nWHERE c.lable = 'x'": (4, "no column lable here; nearest: label", "c.lable = 'x'"),
    "FROM candidates\nQUALIFY balanced(lable, 5)": (4, "no column lable here; nearest: label", "lable, 5)"),
    "FROM candidats\nWHERE correct": (3, 'Did you mean "candidates"', "candidats"),
    "FROM candidates\nWHERE correct AN grade = 'x'": (4, "syntax error", "AN grade = 'x'"),
    "FROM candidates\nWHERE blanced(label, 5)": (4, 'Did you mean "balanced"', "blanced(label, 5)"),
    "FROM candidates\nWHERE balanced(label, 5)": (4, "cannot contain window functions", "balanced(label, 5)"),
    "FROM candidates\nWHERE grade = 'excelent'": (4, "selects nothing for the split", "WHERE grade = 'excelent'"),
    "FROM candidates\nWHERE correct\nLIMIT 0": (5, "selects nothing", "LIMIT 0"),
    "FROM candidates JOIN (\n    SELECT 1 FROM range(2) WHERE true\n) ON true\nWHERE correct": (
        3, "rows more than once, first ", "FROM candidates JOIN (",
    ),
    "FROM candidates\nWHERE NOT correct": (4, "answer is not the measured label", "WHERE NOT correct"),
}  # fmt: skip


@pytest.mark.parametrize("body", PLACES)
def test_an_error_names_the_line_and_ends_with_the_words_there(full, body):
    line, said, words = PLACES[body]
    told = refusal(full, HEAD + body)
    assert told.startswith(f"mine.sql:{line}: ") and told.endswith(f", at: {words}") and said in told


def test_what_is_wrong_within_a_macro_is_told_at_its_call(full):
    told = refusal(full, "SELECT id FROM (SELECT trace_id AS id, label FROM candidates) QUALIFY balanced(label, 5)")
    assert told.startswith("mine.sql:1: there is no column trace_id here")
    assert told.endswith(" (balanced works on a column trace_id), at: balanced(label, 5)")
    told = refusal(full, "SELECT c.trace_id\nFROM candidates AS c, candidates AS d\nWHERE sample(0.5) AND c.correct")
    assert told.startswith("mine.sql:3: ") and "Ambiguous" in told and told.endswith("at: sample(0.5) AND c.correct")
    told = refusal(full, "SELECT trace_id\nFROM candidates\nWHERE at_least('fine')")
    assert told.startswith("mine.sql:3: ") and "wanted excellent, good" in told


def test_a_shipped_recipe_that_finds_nothing_is_named_by_its_file(store, run):
    done = run("preview", "excellent")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "synthpert: excellent.sql:2: it selects nothing for the split default, at: WHERE grade"
    )
