"""The metadata of a file, whose values are text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kfacd.problems import InputError

_Value = TypeVar("_Value")


class Metadata:
    """The metadata of one file, whose values are text."""

    def __init__(self, file: Path, values: dict[str, str]) -> None:
        """Takes the file's name, for messages, and its metadata."""
        self.file = file
        self.values = values

    def required(self, key: str, allowed: tuple[str, ...] | None = None) -> str:
        """A value that is needed.

        Raises:
            InputError: It is missing, or none of the allowed ones.
        """
        value = self.values.get(key)
        expected = "" if allowed is None else f"; expected {', '.join(allowed)}"
        if value is None:
            raise InputError(f"{self.file}: the metadata lack {key}{expected}.")
        if allowed is not None and value not in allowed:
            raise InputError(f"{self.file}: the metadata have the {key} {value!r}{expected}.")
        return value

    def json(self, key: str, kind: Callable[..., _Value], default: _Value) -> _Value:
        """A value in JSON, of the type of the default.

        Raises:
            InputError: It is no JSON, or of another type.
        """
        text = self.values.get(key)
        if text is None:
            return default
        try:
            value: Any = json.loads(text)
        except ValueError as error:
            raise InputError(f"{self.file}: the metadata's {key} is no JSON: {text[:60]!r}.") from error
        if not isinstance(value, type(default)):
            raise InputError(f"{self.file}: the metadata's {key} is {text[:60]!r}; expected {kind.__name__}.")
        return kind(value)
