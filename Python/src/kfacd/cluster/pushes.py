"""A push of a file: offered by its digest, sent in chunks from where the coordinator's bytes end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Protocol

from ..job import Coordinator
from . import messages
from .connection import Connection
from .offers import Place
from .patience import INTERVAL_SECONDS, Patience, silence

CHUNK_BYTES = 1 << 20


class Content(Protocol):
    """The bytes of a file, which are made as often as they are asked for."""

    @property
    def byte_count(self) -> int:
        """The size."""

    def digest(self) -> str:
        """The SHA-256, in hexadecimal digits."""

    def parts(self, first: int = 0) -> Iterator[memoryview]:
        """The bytes from `first` on, in parts of any size."""


def push(coordinator: Coordinator, place: Place, content: Content) -> None:
    """Pushes a file; it is durable at the coordinator afterwards.

    Raises:
        KfacdError: It is refused, or the coordinator was away or busy for too long. What has arrived stays there.
    """
    connection = Connection(coordinator)
    try:
        _Push(connection, place, content, coordinator.timeout).finish()
    finally:
        connection.close()


class _Push:
    def __init__(self, connection: Connection, place: Place, content: Content, timeout: float | None) -> None:
        self._connection, self._place, self._content = connection, place, content
        self._digest = content.digest()
        self._silence = silence(timeout)
        self._patience = Patience(connection.endpoint, str(place), timeout)

    def finish(self) -> None:
        """Offers the file until it is whole."""
        while not self._attempt():
            self._patience.require_time()
            time.sleep(INTERVAL_SECONDS)

    def _attempt(self) -> bool:
        """One offer with what follows: whether the file is whole, or another offer is needed."""
        if not self._connection.wait(INTERVAL_SECONDS):
            return False
        # Answers with another number belong to an earlier offer.
        number = self._connection.next_number()
        self._connection.send(
            messages.file_offer(number, self._place, socket.gethostname(), self._digest, self._content.byte_count)
        )
        chunks: Iterator[memoryview] | None = None
        position = arrived = unanswered = 0
        while (answer := self._connection.receive(self._silence)) is not None:
            if answer.request != number:
                continue
            if answer.failure is not None:
                self._patience.note_failure(answer.failure)
                return False
            state = answer.state
            if state is None:
                continue
            if state.is_whole:
                return True
            if chunks is None:
                position = arrived = state.offset
                chunks = chunked(self._content.parts(position), CHUNK_BYTES)
            else:
                unanswered -= 1
            if state.offset > arrived:
                self._patience.note_progress()
                arrived = state.offset
            while unanswered < state.credit and (chunk := next(chunks, None)) is not None:
                self._connection.send(messages.chunk(number, position), chunk)
                position += len(chunk)
                unanswered += 1
        if chunks is not None:
            self._patience.note_break()
        return False


def chunked(parts: Iterator[memoryview], size: int) -> Iterator[memoryview]:
    """Parts as chunks of one size and a shorter last one; only what is smaller than a chunk is copied."""
    pending = bytearray()
    for part in parts:
        first = 0
        if pending:
            first = min(size - len(pending), len(part))
            pending += part[:first]
            if len(pending) == size:
                yield memoryview(pending)
                pending = bytearray()
        while len(part) - first >= size:
            yield part[first : first + size]
            first += size
        pending += part[first:]
    if pending:
        yield memoryview(pending)
