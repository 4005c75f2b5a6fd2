"""Report: what experts found, how far they agree and how well they do on clauses of known truth; as a page too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from annotation import factuality
from annotation.agreement import agreement
from annotation.sql import query
from curation import pages, plots
from curation.errors import BadInput
from curation.intervals import Interval, wilson
from curation.plots import Range, Stack
from curation.printing import table
from curation.report import Figure
from curation.runs import code_version
from curation.schema import now
from curation.store import Store

BY = ("correct", "grade", "label", "level")
COUNTS = {"true": "TRUE", "unverifiable": "UNVERIFIABLE", "false": "FALSE", "tied": "tied", "unrated": "not judged"}
COLOURS = dict(zip(COUNTS.values(), (plots.BLUE, plots.YELLOW, plots.VERMILLION, plots.SKY, plots.GREY), strict=True))
WORDS = {True: "yes", False: "no", None: "none"}


def report(
    store: Store, by: Sequence[str] | None = None, *, version: str | None = None, out: Path | str | None = None
) -> dict[str, Any]:
    """Tell what experts found, and write it as a page if `out` names one.

    Args:
        store: the store.
        by: columns to tell factuality by, as `factuality.factuality` takes them; correct, grade, label, level if None.
        version: NAME@VERSION: only its rows.
        out: the page to write; one that is there is overwritten.

    Returns:
        out, version, simulated (traces looked at that are of a rehearsal), factuality (one row, group `all`), by
        (column -> a row a group), the fields of `agreement.agreement`, known (a row an annotator: n, correct,
        unverifiable, passed_false, failed_true, accuracy), answers (rounds, submitted, drafts, discarded).

    Raises:
        BadInput: nobody has judged a clause yet; the page cannot be written; there is no such column.
        VersionError: there is no such version.
    """
    columns = list(dict.fromkeys(BY if by is None else by))
    answers = store.rows(query("answers"))[0]
    at_once = [c for c in columns if c not in factuality.SEVERAL]
    all_clauses = factuality.clauses(store, at_once, version)
    if not all_clauses:
        raise BadInput(f"{store.place}: {_first(answers, version)}")
    one = factuality.only(store, version)
    found: dict[str, Any] = {
        "out": str(out) if out else None,
        "version": f"{one['name']}@{one['version']}" if version else None,
        "simulated": len({r["trace_id"] for r in all_clauses if r["simulated"]}),
        "factuality": factuality.grouped(all_clauses, None),
        "by": {
            c: factuality.grouped(all_clauses, c) if c in at_once else factuality.factuality(store, c, version)
            for c in columns
        },
        **agreement(store.rows(query("ratings"), one)),
        "known": [{**r, **wilson(r["correct"], r["n"]).fields("accuracy")} for r in store.rows(query("known"))],
        "answers": answers,
    }
    if out:
        _write(store, out, found)
    return found


def _first(answers: Mapping[str, Any], version: str | None) -> str:
    """Return what to do first, where there is nothing to tell of."""
    if answers["submitted"]:
        return f"no expert has judged a clause of {version}" if version else "no verdict is on a trace that is seen"
    if answers["rounds"]:
        return "no expert has submitted a verdict yet; `synthpert annotate pull` brings those that are there now"
    return "no expert was asked yet; `synthpert annotate push` lays clauses of traces before them"


def _write(store: Store, out: Path | str, found: Mapping[str, Any]) -> None:
    pages.write(
        out,
        "review.html.j2",
        room="annotation",
        place=store.place,
        code=code_version(),
        when=f"{now():%Y-%m-%d %H:%M} UTC",
        whole=found["factuality"][0],
        figures=figures(found),
        told=told,
        annotators=_annotators(found),
        pairs=_pairs(found),
        known=_known(found),
        found=found,
    )


def told(row: Mapping[str, Any], name: str) -> str:
    """Return a measure of a row with its interval: 0.83 (0.70 to 0.93)."""
    return str(Interval(row[name], row[f"{name}_low"], row[f"{name}_high"]))


# -- as plots


def figures(found: Mapping[str, Any]) -> dict[str, list[Figure]]:
    """Return the plots of the page: of each column two, what was found and the factuality of it; of agreement one."""
    shown = {"all": found["factuality"], **found["by"]}
    groups = {
        column: [f for f in (_shares(column, rows), _factuality(column, rows)) if f] for column, rows in shown.items()
    }
    return {"all": groups.pop("all"), "by": [f for own in groups.values() for f in own], "levels": _levels(found)}


def _named(row: Mapping[str, Any]) -> str:
    group = row["group"]
    return WORDS[group] if group is None or isinstance(group, bool) else str(group)


def _title(column: str) -> str:
    return "All clauses" if column == "all" else f"By {column}"


def _shares(column: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    drawn = [Stack(_named(r), {word: r[key] for key, word in COUNTS.items()}) for r in rows]
    cells = [(s.label, *s.counts.values(), sum(s.counts.values())) for s in drawn]
    title = f"{_title(column)}: what was found"
    return Figure(title, plots.stacked(drawn, COLOURS, title), ("", *COUNTS.values(), "clauses"), cells, COLOURS)


def _factuality(column: str, rows: Sequence[Mapping[str, Any]]) -> Figure | None:
    some = [r for r in rows if r["macro"] is not None]
    title = f"{_title(column)}: factuality, mean over traces"
    drawn = [Range(_named(r), r["macro"], r["macro_low"], r["macro_high"], told(r, "macro")) for r in some]
    cells = [(_named(r), told(r, "macro"), told(r, "micro"), r["traces"], r["macro_why"] or "") for r in rows]
    head = ("", "mean over traces", "over all clauses", "traces", "remark")
    return Figure(title, plots.ranges(drawn, title), head, cells) if drawn else None


def _levels(found: Mapping[str, Any]) -> list[Figure]:
    rows = [{"level": "all", **found}, *found["levels"]]
    drawn = [
        Range(r["level"], r["alpha"], r["alpha_low"], r["alpha_high"], told(r, "alpha"))
        for r in rows
        if r["alpha"] is not None
    ]
    title = "Krippendorff's alpha, by level of claim"
    cells = [(r["level"], told(r, "alpha"), told(r, "same"), r["clauses"], r["alpha_why"] or "") for r in rows]
    least = min([0.0, *(r.value for r in drawn), *(r.low for r in drawn if r.low is not None)])
    head = ("level", "alpha", "same verdict", "clauses judged by two", "remark")
    return [Figure(title, plots.ranges(drawn, title, least), head, cells)] if drawn else []


# -- as tables


def _annotators(found: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (*(r[c] for c in ("annotator", "clauses", "TRUE", "FALSE", "UNVERIFIABLE", "shared")), told(r, "same"),
         told(r, "without"))
        for r in found["annotators"]
    ]  # fmt: skip


def _pairs(found: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [(r["annotator"], r["other"], r["clauses"], told(r, "same"), told(r, "kappa")) for r in found["pairs"]]


def _known(found: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    columns = ("annotator", "n", "correct", "passed_false", "failed_true", "unverifiable")
    return [(*(r[c] for c in columns), told(r, "accuracy")) for r in found["known"]]


def text(found: Mapping[str, Any]) -> str:
    """Return the report as text."""
    whole = found["factuality"][0]
    parts = [
        f"{whole['clauses']:,} clauses of {whole['looked_at']:,} traces: "
        + ", ".join(f"{whole[key]:,} {word}" for key, word in COUNTS.items()),
        *([f"simulated: {found['simulated']:,} of the traces are of a rehearsal"] if found["simulated"] else []),
        f"factuality: {told(whole, 'macro')} mean over {whole['traces']:,} traces, "
        f"{told(whole, 'micro')} over all clauses",
        f"agreement: alpha {told(found, 'alpha')}, same verdict {told(found, 'same')}, on {found['clauses']:,} clauses "
        "judged by two or more",
        *dict.fromkeys(f"({why})" for why in (whole["macro_why"], found["alpha_why"]) if why),
    ]
    blocks = ["\n".join(parts)]
    blocks += [table([_line(column, r) for r in rows]) for column, rows in found["by"].items()]
    blocks += [
        table([_rated(r) for r in rows]) for rows in (found["levels"], found["annotators"], found["pairs"]) if rows
    ]
    if found["known"]:
        columns = ("annotator", "n", "correct", "passed_false", "failed_true", "unverifiable")
        blocks.append(table([{**{c: r[c] for c in columns}, "accuracy": told(r, "accuracy")} for r in found["known"]]))
    return "\n\n".join(blocks)


def _line(column: str, r: Mapping[str, Any]) -> dict[str, Any]:
    counts = {c: r[c] for c in ("traces", "true", "false", "unverifiable", "tied", "unrated")}
    return {column: _named(r), "factuality": told(r, "macro"), "over_clauses": told(r, "micro"), **counts}


def _rated(r: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with each measure and its interval in one column."""
    measures = [c for c in r if f"{c}_low" in r]
    beside = {f"{m}_{end}" for m in measures for end in ("low", "high", "why")}
    return {c: told(r, c) if c in measures else v for c, v in r.items() if c not in beside}
