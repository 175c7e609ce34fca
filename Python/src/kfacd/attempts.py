"""A loop that makes the steps of a sequence again when their stream is lost."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from .problems import StreamEndedError

ATTEMPTS_MAX = 20
"""Of a sequence; what always ends in the middle has a cause that stays."""


class Attempt:
    """One attempt at the steps of a sequence, a `with` statement."""

    def __init__(self, is_last: bool) -> None:
        """For `attempts` only."""
        self.was_lost = False
        self._is_last = is_last

    def __enter__(self) -> Attempt:
        """Begins the attempt."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keeps the end of a stream to itself, unless no attempt follows."""
        self.was_lost = isinstance(error, StreamEndedError)
        return self.was_lost and not self._is_last


def attempts() -> Iterator[Attempt]:
    """Attempts, until one ends without the loss of its stream."""
    for number in range(ATTEMPTS_MAX):
        attempt = Attempt(number + 1 == ATTEMPTS_MAX)
        yield attempt
        if not attempt.was_lost:
            return
