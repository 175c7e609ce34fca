"""How long a client waits for a coordinator that is away or has no place."""

from __future__ import annotations

import time

from ..errors import KfacdError
from ..job import Coordinator
from ..problems import BusyError, InputError, NotPermittedError, RefusedError, UnreachableError
from .connection import Connection
from .messages import Failure

CONTACT_SECONDS, FIRST_SECONDS, LATER_SECONDS = 10.0, 60.0, 600.0
"""The wait for a first connection, for the first answer to a push, and for the next progress afterwards."""
SILENCE_SECONDS = 60.0
"""Without an answer for so long, an offer is made again; the last chunk's comes when the disk has the file."""
INTERVAL_SECONDS = 1.0
ATTEMPTS_MAX = 20
"""Attempts that may end in the middle: one that always does has a cause that stays."""


class Patience:
    """The time since the last progress of a push, and what was wrong meanwhile."""

    def __init__(self, endpoint: str, what: str, seconds: float | None, was_reached: bool = False) -> None:
        """Begins to wait.

        Args:
            endpoint: Of the coordinator, for messages.
            what: What is pushed, for messages; may be empty.
            seconds: The limit in place of the usual ones.
            was_reached: Whether the coordinator has answered before.
        """
        self._endpoint, self._what, self._seconds = endpoint, f"{what}: " if what else "", seconds
        self._was_reached = was_reached
        self._obstacle: Failure | None = None
        self._breaks = 0
        self._start = time.monotonic()

    def note_progress(self) -> None:
        """Notes an answer that shows progress."""
        self._was_reached, self._obstacle = True, None
        self._start = time.monotonic()

    def note_break(self) -> None:
        """Notes that an attempt ended in the middle.

        Raises:
            UnreachableError: Too many did.
        """
        self._breaks += 1
        if self._breaks >= ATTEMPTS_MAX:
            raise UnreachableError(
                f"{self._what}the connection to {self._endpoint} broke {self._breaks} times. Look at the "
                "coordinator's log and at the network, then repeat the call."
            )

    def note_failure(self, failure: Failure) -> None:
        """Notes a refusal that may pass.

        Raises:
            KfacdError: It does not pass.
        """
        if failure.kind != "busy":
            raise error_of(failure)
        self._was_reached, self._obstacle = True, failure

    def require_time(self) -> None:
        """Ends the wait.

        Raises:
            BusyError: The coordinator had no place for too long.
            UnreachableError: It did not answer for too long.
        """
        waited = time.monotonic() - self._start
        if waited < (self._seconds or (LATER_SECONDS if self._was_reached else FIRST_SECONDS)):
            return
        if self._obstacle is not None:
            raise BusyError("\n".join([*self._obstacle.problems, f"This was waited for {waited:.0f} s."]))
        raise UnreachableError(
            f"{self._what}no coordinator answered at {self._endpoint} within {waited:.0f} s. Check the address, and "
            'that "kfacd coordinator" runs there, then repeat the call.'
        )


def silence(timeout: float | None) -> float:
    """How long an answer is waited for before the next offer."""
    return min(SILENCE_SECONDS, timeout or SILENCE_SECONDS)


def error_of(failure: Failure) -> KfacdError:
    """The error of a refusal, with the coordinator's words."""
    if failure.kind == "bad_input":
        return InputError(failure.problems)
    kind = {"not_permitted": NotPermittedError, "busy": BusyError}.get(failure.kind, RefusedError)
    return kind("\n".join(failure.problems))


def require_reachable(coordinator: Coordinator) -> None:
    """Connects, and ends the connection.

    Raises:
        UnreachableError: Nothing listens there.
        NotPermittedError: The coordinator does not know the key.
    """
    connection = Connection(coordinator)
    try:
        patience = Patience(connection.endpoint, "", coordinator.timeout or CONTACT_SECONDS)
        while not connection.wait(INTERVAL_SECONDS):
            patience.require_time()
    finally:
        connection.close()
