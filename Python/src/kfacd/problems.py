"""What is wrong with files, models and jobs: sentences for the person who must act."""

from __future__ import annotations

from collections.abc import Sequence

from kfacd.errors import KfacdError


class InputError(KfacdError, ValueError):
    """A file, a model or an argument is not what was expected.

    All problems that were found are in ``problems``; the message has the first ten and the number of the others.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        """Takes one sentence, or the list of all."""
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(shortened(self.problems)))


class JobFailedError(KfacdError):
    """The job ended without success (exit code 1)."""


class UnreachableError(KfacdError):
    """No coordinator was reached, or none answered in time (exit code 3)."""


class NotPermittedError(KfacdError):
    """The coordinator does not know the key, or the key lacks the role."""


class WireVersionError(KfacdError):
    """The coordinator speaks another version of the wire protocol."""


class RefusedError(KfacdError):
    """The coordinator cannot take what is pushed: no room, a quota, no memory of workers, a fault of its disk."""


class BusyError(KfacdError):
    """The coordinator or its workers had no place for as long as was waited."""


class StreamEndedError(KfacdError):
    """A stream of rows ended and left nothing, because a worker, the coordinator or the connection was lost.

    The same steps, made again, are a new stream; see :meth:`Collection.attempts`.
    """


class MissingExtraError(KfacdError, ImportError):
    """Packages of the extra ``kfacd[cluster]`` are missing."""


class JobInterruptedError(KfacdError):
    """A signal ended the program (exit code 130, or 128 and the number of the signal)."""


class ProgramNotFoundError(KfacdError):
    """The program ``kfacctl`` is not on this machine, or does not start there."""


def shortened(items: Sequence[str], limit: int = 10) -> list[str]:
    """The first items of a list, and a line with the number of the others."""
    if len(items) <= limit:
        return list(items)
    return [*items[:limit], f"… and {len(items) - limit} more"]


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Names in one line, cut with a count."""
    cut = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + cut
