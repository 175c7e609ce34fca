"""Rows as a stream, which workers sum as they arrive."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence

from ..job import Coordinator
from ..problems import StreamEndedError
from . import messages
from .connection import Connection
from .messages import PushState
from .offers import Place, RowSum
from .patience import INTERVAL_SECONDS, LATER_SECONDS, Patience, error_of, silence

MESSAGE_BYTES = 1 << 20
"""A message of rows, and so a row."""
ELEMENT_BYTES = {"F32": 4, "BF16": 2}


class RowStream:
    """The rows of one sequence of a rank, from the offer to the commit."""

    def __init__(
        self, coordinator: Coordinator, place: Place, metadata: Mapping[str, str], sums: Sequence[RowSum]
    ) -> None:
        """Offers the rows, and waits for a place.

        Args:
            coordinator: Where.
            place: The run, the rank and the sequence.
            metadata: That of `kfacd.partials/1`, without what names the place and without counts.
            sums: What will be sent.

        Raises:
            KfacdError: The offer is refused, or there was no place for too long.
        """
        self._connection = Connection(coordinator)
        self._place, self._sums = place, sums
        self._limit = coordinator.timeout or LATER_SECONDS
        self._sent_rows = [0] * len(sums)
        self._number = self._unanswered = 0
        try:
            self._state = self._offered(metadata, coordinator.timeout)
        except BaseException:
            self._connection.close()
            raise

    @property
    def is_whole(self) -> bool:
        """Whether the sums are durable at the coordinator; rows are then not sent."""
        return self._state.is_whole

    def send(self, index: int, rows: memoryview, element_type: str) -> None:
        """Sends rows of a sum, and waits while too many are on their way.

        Args:
            index: The position of the sum in the offer.
            rows: Whole rows, one after the other.
            element_type: `F32` or `BF16`.

        Raises:
            StreamEndedError: The stream was lost.
            KfacdError: The coordinator refuses the rows.
        """
        if self.is_whole:
            return
        row_bytes = self._sums[index].columns * ELEMENT_BYTES[element_type]
        most = MESSAGE_BYTES // row_bytes * row_bytes
        for first in range(0, len(rows), most):
            part = rows[first : first + most]
            # Answers to different sums may overtake each other, so they are only counted.
            while self._unanswered >= self._state.credit:
                self._take_answer()
            frame = messages.rows(self._number, index, self._sent_rows[index], element_type)
            self._connection.send(frame, part)
            self._sent_rows[index] += len(part) // row_bytes
            self._unanswered += 1

    def commit(self, metadata: Mapping[str, str]) -> None:
        """Ends the stream: its sums are durable afterwards.

        Args:
            metadata: The counts.

        Raises:
            StreamEndedError: The stream was lost.
            KfacdError: The coordinator refuses it.
        """
        if self.is_whole:
            return
        while self._unanswered:
            self._take_answer()
        self._connection.send(messages.commit(self._number, metadata))
        while not self.is_whole:
            self._state = self._answer()

    def close(self) -> None:
        """Ends the connection, and with it a stream that is not committed."""
        self._connection.close()

    def _offered(self, metadata: Mapping[str, str], timeout: float | None) -> PushState:
        # `collect` has reached it, and a coordinator that ended may be about to start again.
        patience = Patience(self._connection.endpoint, str(self._place), timeout, was_reached=True)
        while True:
            state = self._offer(metadata, patience, silence(timeout))
            if state is not None:
                return state
            patience.require_time()
            time.sleep(INTERVAL_SECONDS)

    def _offer(self, metadata: Mapping[str, str], patience: Patience, seconds: float) -> PushState | None:
        """The answer to an offer; none if it should be made again."""
        if not self._connection.wait(INTERVAL_SECONDS):
            return None
        self._number = self._connection.next_number()
        self._connection.send(messages.row_offer(self._number, self._place, socket.gethostname(), metadata, self._sums))
        while (answer := self._connection.receive(seconds)) is not None:
            if answer.request != self._number:
                continue
            if answer.failure is not None:
                patience.note_failure(answer.failure)
                return None
            if answer.state is not None:
                return answer.state
            patience.require_time()
        return None

    def _take_answer(self) -> None:
        self._state = self._answer()
        self._unanswered -= 1

    def _answer(self) -> PushState:
        """The next answer to this stream; one without state only shows that the coordinator lives."""
        end = time.monotonic() + self._limit
        while time.monotonic() < end:
            answer = self._connection.receive(INTERVAL_SECONDS)
            if answer is None:
                if self._connection.was_lost:
                    raise self._ended(f"the connection to {self._connection.endpoint} broke.")
            elif answer.request == self._number:
                if answer.failure is not None:
                    if answer.failure.kind == "busy":
                        raise self._ended("\n".join(answer.failure.problems))
                    raise error_of(answer.failure)
                if answer.state is not None:
                    return answer.state
                end = time.monotonic() + self._limit
        raise self._ended(f"the coordinator did not answer for {self._limit:.0f} s.")

    def _ended(self, cause: str) -> StreamEndedError:
        return StreamEndedError(
            f"{self._place}: {cause}\nNothing of this sequence is kept. Make its steps again, from the first one on, "
            "as a loop over collection.attempts() does."
        )
