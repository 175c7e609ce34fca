"""Patterns over names, with the rules of kfacd-job(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .errors import SelectionError, listed


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches: ``*`` is any text, ``?`` one character, both across dots."""
    return name == pattern or _expression(pattern).fullmatch(name) is not None


def select(patterns: str | Sequence[str], names: Iterable[str], what: str) -> list[str]:
    """The names that the patterns choose, in their own order.

    A ``!`` before a pattern leaves out the names that earlier patterns took. A list of only such patterns takes all
    other names.

    Raises:
        SelectionError: Patterns match no name, or leave nothing out.
    """
    listing = [patterns] if isinstance(patterns, str) else list(patterns)
    every = list(names)
    chosen = set(every) if listing and all(pattern.startswith("!") for pattern in listing) else set()
    idle: list[str] = []
    for pattern in listing:
        if pattern.startswith("!"):
            affected = {name for name in chosen if matches(pattern[1:], name)}
            chosen -= affected
        else:
            affected = {name for name in every if matches(pattern, name)}
            chosen |= affected
        if not affected:
            idle.append(pattern)
    if idle:
        raise SelectionError(
            f"{what}={listed(idle)} matches nothing; the model has {listed(every) or 'none'}. "
            "Correct the pattern, or leave it out."
        )
    return [name for name in every if name in chosen]


def last_match(patterns: Iterable[str], name: str) -> str | None:
    """The last pattern that matches a name."""
    found = [pattern for pattern in patterns if matches(pattern, name)]
    return found[-1] if found else None


def _expression(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        following = pattern[position + 1 : position + 2]
        if character == "\\" and following and following in "*?\\!":
            parts.append(re.escape(following))
            position += 2
            continue
        parts.append({"*": ".*", "?": "."}.get(character, re.escape(character)))
        position += 1
    return re.compile("".join(parts), re.DOTALL)
