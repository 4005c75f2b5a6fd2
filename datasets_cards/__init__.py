"""Templates of the cards that published datasets carry (a package, so that a wheel brings them along)."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2


@cache
def templates(**more: Any) -> jinja2.Environment:
    """Return where the cards' templates are found; a value that is not given is an error, and never a blank.

    Args:
        more: settings of jinja2 that are to be others.
    """
    return jinja2.Environment(
        loader=jinja2.PackageLoader("datasets_cards", "."),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        **{"trim_blocks": True, "lstrip_blocks": True, **more},
    )
