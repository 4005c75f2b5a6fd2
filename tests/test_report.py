"""Pages: the report's numbers are SQL's, nothing of a model's gets out of its text, and a sample is a sample."""

import math
import re
import shutil
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pytest

from curation import plots
from curation.errors import RefusedSQL
from curation.locked import condition
from curation.pages import marked
from curation.schema import TABLES, now
from curation.store import Store

EVIL = "<script>alert('x')</script><img src=https://example.org/x onerror=alert(1)>"


@pytest.fixture(scope="session")
def page(filled, tmp_path_factory):
    """The report of the filled store, and the numbers it returned."""
    from curation.report import report

    out = tmp_path_factory.mktemp("page") / "report.html"
    return report(Store(filled), out), out.read_text()


@pytest.fixture
def evil(filled, tmp_path):
    """A store where one trace, its critic, its grade and its provider hold HTML."""
    shutil.copytree(filled, tmp_path / "store")
    store = Store(tmp_path / "store")
    old = store.rows(
        "SELECT * FROM raw.traces JOIN (SELECT trace_id FROM traces WHERE valid) USING (trace_id) LIMIT 1"
    )[0]
    fresh = {"trace_id": "evil", "created": now(), "approach": "explain", "outcome_shown": EVIL, "generator": EVIL}
    trace = {c: (old | fresh | {"reasoning": EVIL})[c] for c in TABLES["traces"].schema.names}
    grade = {c: old.get(c) for c in TABLES["grades"].schema.names}
    grade |= {"grade_id": "evil", "trace_id": "evil", "critic": EVIL, "grade": "good", "justification": EVIL}
    for table, row in (("traces", trace), ("grades", grade | {"created": now()})):
        store.append(table, pa.Table.from_pylist([row], TABLES[table].schema))
    return store


class Tags(HTMLParser):
    """What elements and addresses a page holds."""

    def __init__(self, text):
        super().__init__()
        self.names, self.addresses = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action")]


def tables(text):
    """The cells of each table of a page, row by row."""
    found = re.findall(r"<tbody>(.*?)</tbody>", text, re.S)
    return [[re.findall(r"<td[^>]*>(.*?)</td>", row) for row in t.split("<tr>")[1:]] for t in found]


def test_the_page_holds_the_numbers_of_the_views(page, filled):
    done, text = page
    store, rows = Store(filled), [row for table in tables(text) for row in table]
    funnel = store.rows("FROM funnel")
    assert done["funnel"] == funnel
    for split in funnel:
        for step in ("asked", "answered", "parsed", "correct", "graded", "excellent"):
            assert [step, f"{split[step]:,}", plots.percent(split[step] / split["asked"])] in rows
    for r in store.rows("SELECT stage, reason, count(*) AS n FROM rejected GROUP BY ALL"):
        assert [r["stage"], r["reason"], f"{r['n']:,}"] in [row[:3] for row in rows]
    for r in store.rows("FROM spend"):
        assert [r["stage"], r["provider"], r["model"], f"{r['calls']:,}"] in [row[:4] for row in rows]
    by = "SELECT count(*) AS n FROM traces WHERE valid AND approach <> 'control' AND cell_line = 'K562'"
    assert ["K562", f"{store.rows(by)[0]['n']:,}"] in [[row[0], row[-1]] for row in rows if row[1:]]


def test_kept_counts_examples_and_the_papers_share_stands_beside(page, filled):
    done, text = page
    kept = Store(filled).rows(
        "SELECT count(DISTINCT example_id) AS n FROM candidates "
        "WHERE split = 'default' AND correct AND grade = 'excellent'"
    )
    assert [r["kept"] for r in done["kept"] if r["split"] == "default"] == [kept[0]["n"]]
    assert "2 % of the possible training data" in text and ["the paper", "", "", "", "2 %"] in sum(tables(text), [])


def test_the_balance_of_each_recipe_is_that_of_what_it_builds(page, filled, tmp_path):
    from curation.versions import build

    shutil.copytree(filled, tmp_path / "store")
    built = build(Store(tmp_path / "store"), "thirds", "d", out=tmp_path / "d")
    n = sum(r["n"] for r in built.rows if r["split"] == "default" and r["side"] != "test")
    row = next(r for r in page[0]["balance"] if (r["split"], r["rows"]) == ("default", "thirds"))
    assert [row[k] for k in ("upregulated", "downregulated", "not differentially expressed")] == [n // 3] * 3


def test_plots_are_xml_with_text_and_each_has_its_table(page):
    text = page[1]
    figures = re.findall(r"<figure>(.*?)</figure>", text, re.S)
    assert len(figures) == text.count("<svg") > 8
    assert ">grade unreadable: " in text and "grade: grade" not in text
    for figure in figures:
        assert not re.search(r"<td>[$\d]", figure)  # a number stands right, with or without a sign
        svg = ElementTree.fromstring(re.search(r"<svg.*?</svg>", figure, re.S)[0])
        assert svg.get("role") == "img" and len(svg.get("aria-label")) > 20 and len(svg.findall(".//text")) > 1
        assert "<details>" in figure and tables(figure)[0]


def test_a_page_asks_the_network_for_nothing_and_runs_nothing(page):
    tags = Tags(page[1])
    assert not tags.addresses and not {"script", "link", "iframe", "img"} & set(tags.names)
    assert "default-src 'none'" in page[1] and "@import" not in page[1] and "url(" not in page[1]


def test_a_rehearsal_is_told_at_the_top(page, filled):
    text = page[1]
    assert text.index("<b>Simulated.</b>") < text.index("<h2>")
    assert all(t["simulated"] for kind in ("kept", "rejected") for t in page[0]["samples"][kind])


def test_an_empty_store_gives_an_honest_page(tmp_path, ask_json):
    Store(tmp_path / "store", create=True)
    done = ask_json("report")
    text = Path(done["out"]).read_text()
    assert done["funnel"] == done["balance"] == [] and done["samples"] == {"kept": [], "rejected": []}
    assert text.count("Nothing yet.") == 8 and "<svg" not in text and "Simulated" not in text


def test_a_recipe_that_selects_nothing_is_told(store, ask_json):
    done = ask_json("report")  # examples alone
    why = {r["rows"]: r["why"] for r in done["balance"] if r["split"] == "default"}
    assert why["direct"] is None and "selects nothing" in why["excellent"]
    assert "it selects nothing for the split default" in Path("report.html").read_text()


def test_a_cost_that_is_not_known_is_said_so(evil, ask_json):
    response = evil.rows("SELECT * FROM raw.responses LIMIT 1")[0]
    response |= {"response_id": "r", "provider": "api", "failure": None, "usd": None}
    evil.append("responses", pa.Table.from_pylist([response], TABLES["responses"].schema))
    ask_json("report")
    text = Path("report.html").read_text()
    assert "<b>unknown</b> spent" in text and [row[-1] for row in sum(tables(text), [])].count("unknown") == 1


def test_what_models_wrote_is_text_and_nothing_else(evil, ask_json):
    ask_json("report")
    ask_json(
        "show", "--sample", "3", "--where", f"trace_id = 'evil' OR answer = '{EVIL.replace(chr(39), '')}'", "--html"
    )
    for file in ("report.html", "traces.html"):
        text = Path(file).read_text()
        tags = Tags(text)
        assert not tags.addresses and not {"script", "img"} & set(tags.names)
        assert "&lt;script&gt;alert(" in text
        for svg in re.findall(r"<svg.*?</svg>", text, re.S):
            ElementTree.fromstring(svg)


@pytest.mark.parametrize("characters,boxes", [(5000, 0), (50000, 1)])
def test_a_text_of_many_screens_gets_a_box_to_scroll(characters, boxes, evil, ask_json):
    old = evil.rows("SELECT * FROM raw.traces WHERE trace_id = 'evil'")[0]
    long = old | {"trace_id": "long", "request_id": "long", "reasoning": "x" * characters}
    evil.append("traces", pa.Table.from_pylist([long], TABLES["traces"].schema))
    ask_json("show", "--sample", "1", "--where", "trace_id = 'long'", "--html")
    text = Path("traces.html").read_text()
    assert text.count('tabindex="0"') == text.count('aria-label="50,000 characters"') == boxes
    assert "x" * characters in text


def test_two_critics_are_compared_where_both_graded(evil, ask_json):
    done = ask_json("report")
    assert done["agreement"] == []
    assert {r["shown"] for r in done["critics_grades"]} >= {"no outcome", "the measured outcome"}
    grades = evil.rows("SELECT * FROM raw.grades WHERE grade IS NOT NULL")
    again = [g | {"grade_id": f"b{g['grade_id']}", "critic": "other@1", "created": now()} for g in grades]
    evil.append("grades", pa.Table.from_pylist(again, TABLES["grades"].schema))
    pair = max(ask_json("report")["agreement"], key=lambda r: r["traces"])
    assert pair["traces"] > 500
    assert (pair["same"], pair["near"], pair["kappa"]) == (pair["traces"], pair["traces"], 1.0)


def test_a_page_that_cannot_be_written_is_one_line(store, run):
    done = run("report", "--out", "no/such/folder/r.html")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and "r.html" in done.stderr


# -- samples


def test_a_sample_is_stable_for_a_seed_and_a_larger_holds_a_smaller(filled, ask_json):
    def ids(*words):
        return [r["trace_id"] for r in ask_json("--store", filled, "show", "--sample", *words)]

    assert ids("5") == ids("5") == ids("8")[:5]
    assert ids("5", "--seed", "1") != ids("5")


def test_a_sample_fits_its_condition_as_rows_text_and_page(filled, run, ask_json):
    words = ("--store", filled, "show", "--sample", "4", "--where", "grade = 'good' AND approach = 'blind' -- as asked")
    rows = ask_json(*words)
    assert {(r["grade"], r["approach"]) for r in rows} == {("good", "blind")} and len(rows) == 4
    text = run(*words).stdout
    assert text.count("GRADED GOOD") == 4 and all(r["trace_id"] in text for r in rows)
    assert ask_json(*words, "--html", "--out", "t.html") == {"out": "t.html", "traces": rows}
    page = Path("t.html").read_text()
    assert page.count("<article") == 4 and "blind&#39; -- as asked" in page
    for r in rows:
        assert f'<b class="pert">{r["pert"]}</b>' in page and f'<b class="gene">{r["gene"]}</b>' in page


BAD = {
    "nope = 1": "nope",
    "true) --": "closes a bracket",
    "true) UNION SELECT trace_id FROM raw.traces WHERE (true": "closes a bracket",
    "true; DROP VIEW traces": "",
    "true); COPY (SELECT 1) TO 'x.csv'; SELECT (true": "closes a bracket",
    "true /* ": "",
    "(true": "",
    "": "",
    "trace_id IN (SELECT content FROM read_text('/etc/passwd'))": "Permission",
    "trace_id IN (WITH a AS (COPY (SELECT 1) TO 'x.csv') FROM a)": "COPY",
    "grade =\n'nothing so'": "no trace fits",
}


@pytest.mark.parametrize("where", BAD)
def test_a_bad_condition_is_one_line(where, filled, run):
    done = run("--store", filled, "show", "--sample", "3", "--where", where)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert BAD[where] in done.stderr and not Path("x.csv").exists()


def test_brackets_in_text_and_comments_are_no_brackets():
    for fine in ("reasoning LIKE '%)%'", "true -- )", "/* ) */ (true)", "reasoning = 'é' AND (true)", 'x = ")"'):
        assert condition(fine) == f"(\n{fine}\n)"
    with pytest.raises(RefusedSQL, match="closes a bracket"):
        condition("reasoning = 'é') AND (true")


WORDS = [["show"], ["show", "abc", "--sample", "3"], ["show", "abc", "--html"], ["show", "abc", "--where", "true"]]


@pytest.mark.parametrize("words", WORDS)
def test_one_trace_or_a_sample(words, run):
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and "--sample N" in done.stderr


def test_a_store_without_traces_says_so(store, run):
    done = run("show", "--sample", "3")
    assert done.returncode == 1 and "no traces yet" in done.stderr


# -- words and colours

MARKED = [
    ("TP53 and (MYC), TP53-dependent; anti-MYC.", "[TP53] and ({MYC}), [TP53]-dependent; anti-{MYC}."),
    ("TP53BP1, MYCN, cMYC, MYC-2 and 2-MYC are others.", "TP53BP1, MYCN, cMYC, MYC-2 and 2-MYC are others."),
    ("MYC/TP53: MYC's TP53.", "{MYC}/[TP53]: {MYC}'s [TP53]."),
    ("myc Tp53 TP53_x MYC.1", "myc Tp53 TP53_x MYC.1"),
    ("a < b & MYC", "a &lt; b &amp; {MYC}"),
]


@pytest.mark.parametrize("text,wanted", MARKED)
def test_only_whole_symbols_are_marked(text, wanted):
    wanted = re.sub(r"\[(.*?)\]", r'<b class="pert">\1</b>', wanted)
    assert marked(text, "TP53", "MYC") == re.sub(r"\{(.*?)\}", r'<b class="gene">\1</b>', wanted).replace("'", "&#39;")


def test_a_symbol_within_another_and_one_with_signs_of_its_own():
    assert marked("NKX2-1 and NKX2", "NKX2", "NKX2-1") == '<b class="gene">NKX2-1</b> and <b class="pert">NKX2</b>'
    assert marked("AC005.1 A.C", "A.C", "AC005.1") == '<b class="gene">AC005.1</b> <b class="pert">A.C</b>'


DARK_TEXT = (plots.SKY, plots.YELLOW, plots.ORANGE, plots.VERMILLION, plots.GREY)


def test_text_is_dark_on_light_fills_and_light_on_dark():
    assert {plots.ink(c) for c in DARK_TEXT} == {"#000"} and {plots.ink(c) for c in (plots.BLUE, "#000000")} == {"#fff"}


# What is left of linear red, green and blue to who lacks one kind of cone (Machado, Oliveira and Fernandes, 2009).
SEEN = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    "deutan": ((0.3673, 0.8606, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
    "tritan": ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9308, 0.1476), (0.0047, 0.6914, 0.3039)),
}
XYZ = ((0.4339, 0.3763, 0.1899), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8728))  # from linear, white is 1, 1, 1


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def lab(colour, eye):
    """A colour in CIELAB, as an eye sees it."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    x, y, z = (max(v, 0) ** (1 / 3) for v in times(XYZ, [min(max(v, 0), 1) for v in times(SEEN[eye], linear)]))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("eye", SEEN)
def test_the_colours_of_a_plot_can_be_told_apart_by_every_eye(eye):
    from curation.report import GRADE_COLOURS, KEPT_COLOURS, LABEL_COLOURS

    for colours in ({**GRADE_COLOURS, "unreadable": plots.GREY}, LABEL_COLOURS, KEPT_COLOURS):
        for a, b in combinations(colours.values(), 2):
            assert math.dist(lab(a, eye), lab(b, eye)) > 15, (a, b)
