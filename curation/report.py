"""Report: what a store holds and what became of it, as numbers and as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from curation import pages, plots, recipes, views
from curation.errors import RecipeError
from curation.plots import Bar, Stack, percent
from curation.reading import GRADES
from curation.runs import code_version
from curation.sampling import sample
from curation.schema import LABELS, now
from curation.selection import SPLITS, query
from curation.store import Snapshot, Store

if TYPE_CHECKING:
    import duckdb

PAPER = 0.02  # share of the possible training data that it kept, by its discussion
SAMPLES = 4  # traces shown, of the kept and of the rejected each
CHOSEN = {
    "kept": "approach <> 'control' AND trace_id NOT IN (SELECT trace_id FROM rejected)",
    "rejected": "trace_id IN (SELECT trace_id FROM rejected)",
}

GRADE_COLOURS = dict(zip(GRADES, (plots.BLUE, plots.SKY, plots.YELLOW, plots.ORANGE, plots.VERMILLION), strict=True))
LABEL_COLOURS = dict(zip(LABELS, (plots.ORANGE, plots.BLUE, plots.GREY), strict=True))
KEPT_COLOURS = {"kept": plots.BLUE, "left out": plots.GREY}
STEPS = ("asked", "answered", "parsed", "correct", "graded", "excellent")


class Figure(NamedTuple):
    """One plot with its title, the colours of its parts, and its numbers as a table.

    The first `words` columns of the table are text, the others numbers.
    """

    title: str
    svg: Markup
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    colours: Mapping[str, str] = {}
    words: int = 1


def report(store: Store, out: Path | str, *, seed: int = 0) -> dict[str, Any]:
    """Write the page about a store.

    Args:
        store: the store, read at its present state.
        out: the file to write; one that is there is overwritten.
        seed: which traces are shown.

    Returns:
        `out`, and the numbers on the page, each under its section's name.

    Raises:
        BadInput: the file cannot be written.
    """
    found = numbers(store, seed)
    pages.write(
        out,
        "report.html.j2",
        place=store.place,
        code=code_version(),
        when=f"{now():%Y-%m-%d %H:%M} UTC",
        figures=figures(found),
        costs=[(*list(r.values())[:-1], _dollars([r])) for r in found["spend"]],
        cost=_dollars(found["spend"]),
        agreed=[_agreed(r) for r in found["agreement"]],
        **found,
    )
    return {"out": str(out), **found}


def numbers(store: Store, seed: int = 0) -> dict[str, Any]:
    """Return all numbers of the report, and the traces it shows, read from one snapshot.

    Each is the rows of the SQL of its name (sql/ and sql/queries/), but for `balance`: split, rows (the train side, the
    candidates or a recipe), a count a label, and `why` where a recipe has none.
    """
    at = store.snapshot()
    names = ("kept", "graded", "reasons", "lengths", "critics_grades", "agreement", "candidate_labels")
    asked = {"held": query("held"), "funnel": "FROM funnel", "spend": "FROM spend", **{n: query(n) for n in names}}
    with store.session(at) as con:  # one for all: making the views takes longer than most queries
        rows = {name: con.sql(sql).to_arrow_table().to_pylist() for name, sql in asked.items()}
    balance = _balance(store, rows.pop("candidate_labels"), at)
    return {
        **rows,
        "held": rows["held"][0],
        "balance": balance,
        "samples": {name: sample(store, SAMPLES, where, seed=seed, at=at, own=False) for name, where in CHOSEN.items()},
    }


def _balance(store: Store, before: list[dict[str, Any]], at: Snapshot) -> list[dict[str, Any]]:
    """Return the labels of each split before and after each shipped recipe."""
    found = []
    recipes.preload(store, recipes.shipped(), at)
    with store.session(at, views.needed("examples")) as con:  # one for all, as above
        for split in SPLITS if before else ():
            counts = _fold((r for r in before if r["split"] == split), "rows", "label")
            for rows in ("train side", "candidates"):
                found.append({"split": split, "rows": rows, **counts.get(rows, {}), "why": None})
            for name in recipes.shipped():
                found.append({"split": split, "rows": name, **_chosen(store, con, name, split, at)})
    return found


def _chosen(store: Store, con: duckdb.DuckDBPyConnection, name: str, split: str, at: Snapshot) -> dict[str, Any]:
    try:
        con.register("chosen", recipes.choose(store, recipes.load(name), [split], at)[split])
    except RecipeError as e:
        return {"why": str(e)}
    counted = con.sql("SELECT label, count(*) FROM chosen JOIN examples USING (example_id) GROUP BY label")
    return {**dict(counted.fetchall()), "why": None}


# -- from numbers to words and plots


def _dollars(spend: list[dict[str, Any]]) -> str:
    """Return the sum of what is known, and say if that is not all."""
    known = [r["usd"] for r in spend if r["usd"] is not None]
    total = sum(known)
    said = f"${total:,.2f}" if total >= 0.01 or not total else f"${total:.2g}"
    if len(known) == len(spend):
        return said
    return f"{said} + unknown" if total else "unknown"


def _agreed(r: Mapping[str, Any]) -> tuple[Any, ...]:
    kappa = "undefined" if r["kappa"] is None else f"{r['kappa']:.2f}"
    return r["critic"], r["other"], r["traces"], *(percent(r[k] / r["traces"]) for k in ("same", "near")), kappa


def figures(found: Mapping[str, Any]) -> dict[str, list[Figure]]:
    """Return the plots of each section of the page; none where there is nothing to show."""
    return {
        "funnel": [_funnel(row) for row in found["funnel"]],
        "kept": _kept(found["kept"]),
        "graded": [
            *_shares("By label", _fold(found["graded"], "label", "grade"), GRADE_COLOURS, "not graded"),
            *_shares("By cell line", _fold(found["graded"], "cell_line", "grade"), GRADE_COLOURS, "not graded"),
        ],
        "reasons": _reasons(found["reasons"]),
        "balance": [f for split in SPLITS for f in _labels(split, found["balance"])],
        "lengths": [f for unit in ("characters", "tokens") for f in _lengths(unit, found["lengths"])],
        "critics": _critics(found["critics_grades"]),
    }


def _funnel(row: Mapping[str, Any]) -> Figure:
    shares = [(step, row[step], percent(row[step] / row["asked"])) for step in STEPS]
    drawn = [Bar(step, n, f"{n:,} ({share})") for step, n, share in shares]
    svg = plots.bars(drawn, f"Funnel of the split {row['split']}")
    return Figure(f"Split {row['split']}", svg, ("step", "traces", "of asked"), shares)


def _kept(rows: list[dict[str, Any]]) -> list[Figure]:
    if not rows:
        return []
    drawn = [
        Bar(r["split"], r["kept"] / r["examples"], f"{percent(r['kept'] / r['examples'])} of {r['examples']:,}")
        for r in rows
    ]
    drawn.append(Bar("the paper", PAPER, percent(PAPER)))
    svg = plots.bars(drawn, "Kept share of the train side")
    head = ("split", "train-side examples", "asked about", "with a kept trace", "share")
    table = [(r["split"], r["examples"], r["asked"], r["kept"], percent(r["kept"] / r["examples"])) for r in rows]
    return [Figure("Examples with a kept trace", svg, head, [*table, ("the paper", "", "", "", percent(PAPER))])]


def _reasons(rows: list[dict[str, Any]]) -> list[Figure]:
    if not rows:
        return []
    total = sum(r["n"] for r in rows)
    drawn = [Bar(_reason(r), r["n"], f"{r['n']:,} ({percent(r['n'] / total)})") for r in rows]
    svg = plots.bars(drawn, "Why traces were rejected")
    table = [(r["stage"], r["reason"], r["n"], r["controls"]) for r in rows]
    return [Figure("Reasons", svg, ("stage", "reason", "traces", "controls among them"), table, words=2)]


def _reason(r: Mapping[str, Any]) -> str:
    """Return the stage and the reason, and the stage once: grade: good, but grade unreadable: refusal."""
    return r["reason"] if r["reason"].startswith(f"{r['stage']} ") else f"{r['stage']}: {r['reason']}"


def _labels(split: str, balance: list[dict[str, Any]]) -> list[Figure]:
    counts = {r["rows"]: {label: r.get(label, 0) for label in LABELS} for r in balance if r["split"] == split}
    return _shares(f"Split {split}", counts, LABEL_COLOURS)


def _lengths(unit: str, rows: list[dict[str, Any]]) -> list[Figure]:
    rows = [r for r in rows if r["unit"] == unit]
    if not rows:
        return []
    places = [Stack(f"{r['upto']:,}", {"kept": r["kept"], "left out": r["n"] - r["kept"]}) for r in rows]
    what = {"characters": "Reasoning, in characters", "tokens": "Whole answer, in tokens out"}[unit]
    title = f"{what}: median {rows[0]['median']:,.0f}, longest {rows[0]['longest']:,}"
    table = [(p.label, *p.counts.values()) for p in places]
    svg = plots.histogram(places, KEPT_COLOURS, title)
    return [Figure(title, svg, ("up to", *KEPT_COLOURS), table, KEPT_COLOURS, words=0)]


def _critics(rows: list[dict[str, Any]]) -> list[Figure]:
    """Return a plot of all critics, and one a critic by what the generator had been shown."""
    colours = {**GRADE_COLOURS, "unreadable": plots.GREY}
    found = _shares("All critics", _fold(rows, "critic", "grade"), colours)
    for critic in sorted({r["critic"] for r in rows}):
        own = _fold((r for r in rows if r["critic"] == critic), "shown", "grade")
        found += _shares(critic, {f"shown {k}": v for k, v in own.items()}, colours)
    return found


def _fold(rows: Iterable[Mapping[str, Any]], by: str, part: str) -> dict[str, dict[str, int]]:
    """Return the sums of `n` by one column and then another."""
    found: dict[str, dict[str, int]] = {}
    for r in rows:
        counts = found.setdefault(r[by], {})
        counts[r[part]] = counts.get(r[part], 0) + r["n"]
    return found


def _shares(
    title: str, counts: Mapping[str, Mapping[str, int]], colours: Mapping[str, str], beside: str | None = None
) -> list[Figure]:
    """Return one plot of shares, or none if there is nothing; the part `beside` stands in the table alone."""
    drawn = [Stack(k, {part: n for part, n in v.items() if part in colours}) for k, v in counts.items()]
    drawn = [s for s in drawn if sum(s.counts.values())]
    if not drawn:
        return []
    parts = [*colours, beside] if beside else list(colours)
    table = [(k, *(v.get(part, 0) for part in parts), sum(v.values())) for k, v in counts.items()]
    return [Figure(title, plots.stacked(drawn, colours, title), ("", *parts, "all"), table, colours)]
