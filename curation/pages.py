"""Pages: one self-contained HTML file from a template beside this file. No script, nothing from the network."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from curation import plots
from curation.errors import BadInput

# A symbol stands alone: TP53 in "TP53-dependent" and "(TP53)", but not in TP53BP1, NKX2-1's NKX2 or AC005.1's AC005.
HYPHEN = "[-\N{HYPHEN}\N{NON-BREAKING HYPHEN}]"
BEFORE = rf"(?<!\w)(?<![A-Z0-9]{HYPHEN})"
AFTER = rf"(?!\w)(?!{HYPHEN}[A-Z0-9])(?!\.\d)"


def write(out: Path | str, template: str, *, room: str = "curation", **facts: Any) -> None:
    """Fill a template of a room and write it. All that is filled in is escaped; the parts of pages are curation's.

    Raises:
        BadInput: the file cannot be written.
    """
    text = _templates(room).get_template(template).render(**facts)
    try:
        # what a model wrote may hold half a surrogate, which is no UTF-8
        Path(out).write_text(text, "utf-8", errors="replace")
    except OSError as e:
        raise BadInput(f"--out {out}: {e.strerror}") from e


@cache
def _templates(room: str) -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(r, ".") for r in dict.fromkeys((room, "curation"))]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"count": "{:,}".format, "percent": plots.percent}
    found.globals |= {"marked": marked}
    return found


def marked(text: str, pert: str, gene: str) -> Markup:
    """Return a text, escaped, with each whole symbol of the pair in <b class="pert"> or <b class="gene">."""
    symbols = sorted((re.escape(s) for s in (pert, gene)), key=len, reverse=True)
    parts = re.split(f"{BEFORE}({'|'.join(symbols)}){AFTER}", text)
    return Markup("").join(
        Markup('<b class="{}">{}</b>').format("pert" if part == pert else "gene", part) if i % 2 else escape(part)
        for i, part in enumerate(parts)
    )
