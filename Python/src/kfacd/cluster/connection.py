"""A connection to a coordinator: one `DEALER` socket, whose large frames travel in pieces."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import zmq
from zmq.utils.monitor import parse_monitor_message

from ..job import Coordinator
from ..problems import InputError, NotPermittedError
from . import messages
from .keys import keys_of
from .messages import Reply

PIECE_BYTES = 64 << 10
DEFAULT_ENDPOINT = "tcp://127.0.0.1:7733"
HANDSHAKES_LOST_MAX, HANDSHAKES_LOST_SECONDS = 3, 2.0
"""Connections that may end during the handshake, and for how long, before that is no accident."""


class Connection:
    """A connection, which libzmq makes again after a loss; what was on its way is then lost."""

    def __init__(self, coordinator: Coordinator) -> None:
        """Prepares to connect.

        The first wait connects: a coordinator ends connections that say nothing for long.

        Raises:
            InputError: The endpoint is none, or keys are missing or wrong.
        """
        self.endpoint = coordinator.endpoint or os.environ.get("KFACD_COORDINATOR") or DEFAULT_ENDPOINT
        _require_endpoint(self.endpoint)
        keys = keys_of(coordinator, self.endpoint)
        # A context of its own: the program's may be ended at any time.
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        if keys is not None:
            self._socket.curve_serverkey = keys.server
            self._socket.curve_publickey = keys.public
            self._socket.curve_secretkey = keys.secret
        self._has_keys = keys is not None
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_DISCONNECTED
            | zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._stands = self._was_lost = False
        self._lost_handshakes, self._first_loss = 0, 0.0
        self._number = 0
        self._is_begun = False

    def close(self) -> None:
        """Ends the connection; what is on its way may be lost."""
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)
        self._context.term()

    def next_number(self) -> int:
        """A number for a request that no earlier one had."""
        self._number += 1
        return self._number

    def send(self, frame: bytes, payload: memoryview | None = None) -> None:
        """Sends a message; the payload may be changed afterwards."""
        frames = [memoryview(frame)] + ([] if payload is None else [payload])
        self._socket.send_multipart([piece for last, each in _marked(frames) for piece in _pieces(each, last)])

    def wait(self, seconds: float) -> bool:
        """Waits until the connection stands, and forgets earlier losses.

        Nothing should be sent before, because libzmq would keep it until then.

        Raises:
            InputError: The endpoint cannot be opened.
            NotPermittedError: The coordinator does not know the key, or keys do not match.
        """
        if not self._is_begun:
            self._connect()
        end = time.monotonic() + seconds
        while True:
            self._note_events()
            self._was_lost = False
            left = end - time.monotonic()
            if self._stands or left <= 0:
                return self._stands
            self._monitor.poll(int(left * 1000) + 1)

    def receive(self, seconds: float) -> Reply | None:
        """The next answer, or none when none comes in time or the connection is lost.

        Raises:
            NotPermittedError: The coordinator does not know the key any more.
            WireVersionError: It does not talk to this version.
        """
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            ready = dict(self._poller.poll(max(0, int(left * 1000) + 1)))
            if self._socket in ready:
                answer = messages.reply(_joined(self._socket.recv_multipart()))
                if answer is not None:
                    return answer
            elif self._monitor in ready:
                self._note_events()
            if self._was_lost or left <= 0:
                return None

    @property
    def was_lost(self) -> bool:
        """Whether the connection was lost since the last wait; what was on its way is then lost too."""
        return self._was_lost

    def _connect(self) -> None:
        try:
            self._socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            raise InputError(
                f"{self.endpoint}: the endpoint cannot be opened: {error.strerror}. Correct the address."
            ) from error
        self._is_begun = True

    def _note_events(self) -> None:
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._stands, self._lost_handshakes = True, 0
            elif event == zmq.EVENT_DISCONNECTED:
                self._was_lost, self._stands = True, False
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                raise NotPermittedError(
                    f"the coordinator at {self.endpoint} does not know this key. Put its public file, with a role, "
                    "into the coordinator's directory of authorized keys, and reload the coordinator."
                )
            else:
                self._note_lost_handshake(event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)

    def _note_lost_handshake(self, is_conclusive: bool) -> None:
        """A coordinator that ends may cost one connection; a wrong key costs every one."""
        if self._lost_handshakes == 0:
            self._first_loss = time.monotonic()
        self._lost_handshakes += 1
        has_repeated = (
            self._lost_handshakes >= HANDSHAKES_LOST_MAX
            and time.monotonic() - self._first_loss >= HANDSHAKES_LOST_SECONDS
        )
        if is_conclusive or (self._has_keys and has_repeated):
            raise NotPermittedError(
                f"the coordinator at {self.endpoint} ends every connection before the first message. Check that "
                "server_key is its public key, and that keys are given on both sides or on neither."
            )


def _require_endpoint(endpoint: str) -> None:
    found = re.fullmatch(r"tcp://.+:(\d{1,5})|ipc://.+", endpoint)
    if found is None or int(found[1] or 1) not in range(1, 65536):
        raise InputError(f'"{endpoint[:60]}" is no address of a coordinator; expected tcp://HOST:PORT or ipc://PATH.')


def _marked(frames: list[memoryview]) -> Iterator[tuple[bool, memoryview]]:
    for index, frame in enumerate(frames):
        yield index + 1 == len(frames), frame


def _pieces(frame: memoryview, is_last: bool) -> list[memoryview]:
    """The pieces of a frame; source: CLIENT.md, Pieces."""
    pieces = [frame[first : first + PIECE_BYTES] for first in range(0, len(frame), PIECE_BYTES)] or [frame]
    if len(pieces[-1]) == PIECE_BYTES and not is_last:
        pieces.append(memoryview(b""))
    return pieces


def _joined(pieces: list[bytes]) -> bytes:
    """The first frame of a message."""
    count = next((index for index, piece in enumerate(pieces, start=1) if len(piece) < PIECE_BYTES), len(pieces))
    return pieces[0] if count == 1 else b"".join(pieces[:count])
