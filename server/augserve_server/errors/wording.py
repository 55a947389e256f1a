"""Words for the texts of errors."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

LONGEST_VALUE = 200
LONGEST_REASON = 500


def short(value: object, longest: int = LONGEST_VALUE) -> str:
    """A client's value, short enough to be repeated to it."""
    text = str(value)
    return text if len(text) <= longest else f"{text[:longest]}..."


def listed(values: Sequence[str]) -> str:
    return ", ".join(values) if values else "none"


def did_you_mean(name: str, names: Sequence[str]) -> str:
    nearest = get_close_matches(name[:LONGEST_VALUE], names, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
