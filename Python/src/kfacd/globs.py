"""Patterns of layers' names, as job files have them."""

from __future__ import annotations

import re


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a name: * is any text and ? one character; brackets are ordinary characters."""
    if pattern == name:
        return True
    expression = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(expression, name, re.DOTALL) is not None
