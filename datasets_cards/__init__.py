"""Templates of the cards that published datasets carry (a package, so that a wheel brings them along)."""

from __future__ import annotations

import jinja2


def templates() -> jinja2.Environment:
    """Return where the cards' templates are found; a value that is not given is an error, and never a blank."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("datasets_cards", "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
