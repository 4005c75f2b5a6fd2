"""A diff as people read it: a few lines for a changelog, and a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from curation import pages
from curation.diff import Diff
from curation.runs import code_version
from curation.schema import now

LINES = 6  # reasons and changes of each kind in the text; the page and --json have them all
FATES = {"added": "Added", "removed": "Removed"}
TOPS = 60  # rows of the table of changes on the page: of a number there may be thousands


def text(d: Diff) -> str:
    """Return what differs in a few lines, to be pasted into a changelog."""
    head = f"{d.a} -> {d.b}: {_counts(d._asdict())}"
    if not (d.added or d.removed or d.changed):
        head = f"{d.a} -> {d.b}: no row differs"
    lines = [head, *d.remarks]
    lines += [
        f"- {s['split']}: {s['before']:,} -> {s['after']:,} train and validation rows; {_counts(s)}" for s in d.splits
    ]
    lines += recipe(d)
    for fate, title in FATES.items():
        lines += _most(f"{title}, because", [(r["reason"], r["n"]) for r in d.reasons if r["fate"] == fate])
    lines += _most("Changed", [(changed(c), c["n"]) for c in over_splits(d.changed_by)])
    if d.added or d.removed:
        lines += _most("By label", [(k, v) for k, v in _signed(d.by, "label").items()])
        lines += _most("By cell line", [(k, v) for k, v in _signed(d.by, "cell_line").items()])
    if d.splits and (d.added or d.removed or d.changed):
        lines.append("A row is counted once for each split it is in.")
    return "\n".join(lines)


def page(d: Diff, out: Path | str) -> None:
    """Write what differs as a page.

    Raises:
        BadInput: the file cannot be written.
    """
    pages.write(
        out,
        "diff.html.j2",
        d=d,
        code=code_version(),
        when=f"{now():%Y-%m-%d %H:%M} UTC",
        recipe=recipe(d),
        by=[(r["split"], r["cell_line"], r["label"], r["grade"] or "none", r["added"], r["removed"]) for r in d.by],
        by_critic=[(r["split"], r["critic"] or "none", r["added"], r["removed"]) for r in d.by_critic],
        splits=[tuple(s.values()) for s in d.splits],
        reasons={f: [(r["reason"], r["n"]) for r in d.reasons if r["fate"] == f] for f in FATES},
        changes=[(c["split"], c["what"], _value(c, "from"), _value(c, "to"), c["n"]) for c in d.changed_by[:TOPS]],
        changes_left_out=max(0, len(d.changed_by) - TOPS),
        queries=_queries(d),
        listed={fate: [_row(r) for r in d.rows if r["fate"] == fate] for fate in (*FATES, "changed")},
    )


def _queries(d: Diff) -> list[str]:
    """Return SELECTs that list every row that only one of two versions has; a preview's are not in the store."""
    if "@" not in d.b:
        return []
    rows = []
    for title in (d.a, d.b):
        name, version = title.split("@")
        fits = f"name = '{name}' AND version = '{version}'"
        rows.append(f"SELECT split, trace_id, example_id FROM members WHERE {fits}")
    return [f"{rows[1]} EXCEPT {rows[0]}", f"{rows[0]} EXCEPT {rows[1]}"]


def recipe(d: Diff) -> list[str]:
    """Return in words what became of the recipe."""
    r = d.recipe
    said = [] if r["a"] == r["b"] else [f"Recipe: {r['a']} -> {r['b']}"]
    said += [f"${v['name']}: {_set(v['a'])} -> {_set(v['b'])}" for v in r["set"]]
    for key, title in (("new", "New condition"), ("dropped", "Dropped condition")):
        said += [f"{title}: {condition}" for condition in r[key] or ()]
    return said


def _set(value: Any) -> str:
    return "not there" if value is None else repr(value)


def changed(c: Mapping[str, Any]) -> str:
    """Return one kind of change in words."""
    if c["from"] is None and c["to"] is None:
        return f"another {c['what']}"
    return f"{c['what']}: {_value(c, 'from')} -> {_value(c, 'to')}"


def _value(c: Mapping[str, Any], key: str) -> str:
    if c["from"] is None and c["to"] is None:
        return "(text)"
    return "none" if c[key] is None else c[key]


def _row(r: Mapping[str, Any]) -> tuple[Any, ...]:
    pair = f"{r['pert']} → {r['gene']}"
    return r["id"], r["split"], r["cell_line"], pair, r["label"], r["grade"] or "none", r["reason"]


def _counts(of: Mapping[str, Any]) -> str:
    return f"{of['added']:,} added, {of['removed']:,} removed, {of['changed']:,} changed"


def over_splits(changes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return kinds of changes with their rows summed over the splits, the most frequent first."""
    found: dict[tuple[Any, ...], int] = {}
    for c in changes:
        key = (c["what"], c["from"], c["to"])
        found[key] = found.get(key, 0) + c["n"]
    return [
        {"what": what, "from": old, "to": new, "n": n}
        for (what, old, new), n in sorted(found.items(), key=lambda item: -item[1])
    ]


def _signed(by: Iterable[Mapping[str, Any]], column: str) -> dict[str, str]:
    found: dict[str, list[int]] = {}
    for r in by:
        sums = found.setdefault(r[column], [0, 0])
        sums[0] += r["added"]
        sums[1] += r["removed"]
    return {k: f"+{more:,} -{less:,}" for k, (more, less) in found.items()}


def _most(title: str, rows: list[tuple[str, Any]]) -> list[str]:
    """Return a list under its title, cut to its first lines; none if it is empty."""
    lines = [f"- {n:,}: {what}" if isinstance(n, int) else f"- {what}: {n}" for what, n in rows[:LINES]]
    rest = rows[LINES:]
    if rest:
        rows_left = sum(n for _, n in rest if isinstance(n, int))
        lines.append(f"- {rows_left:,}: {len(rest)} others, told by --html and --json")
    return [f"{title}:", *lines] if lines else []
