#!/usr/bin/env python3
"""Streams rows to a kfacd coordinator, whose workers sum them: a training loop keeps neither rows nor sums.

    from push import Coordinator
    from stream import Ended, RowStream

    metadata = {"task": "digits", "probes": "1", "normalization": "tak", "bias": '{"fc": true}'}
    coordinator = Coordinator("tcp://head:7733")
    with RowStream(coordinator, "monday", 0, 0, metadata, {"fc.A": 768, "fc.B": 10}) as stream:
        for inputs, gradients in batches:
            stream.rows("fc.A", inputs, "F32")
            stream.rows("fc.B", gradients, "F32")
        stream.commit(samples=50000)

Sources/WireProtocol/CLIENT.md describes the messages. `kfacctl push --rows` streams captures in the same way.
"""

import json
import socket
import time

import kfacd_pb2 as wire
from push import CHUNK_BYTES, LIMIT, Refused, accepted

ELEMENT_BYTES = {"F32": 4, "BF16": 2, "F16": 2}


class Ended(Exception):
    """The stream ended and left nothing: open another one for the same sequence, and send all of its rows again."""


class RowStream:
    """The rows of one sequence of a rank.

    `metadata` is that of kfacd.partials/1 without format, run, rank, sequence, rows and samples. `sums` has the columns
    of a row, without the one of a bias, by tensor; layers with the same input share a sum:
    {("q.A", "k.A", "v.A"): 768}.
    """

    def __init__(self, coordinator, run, rank, sequence, metadata, sums):
        self.coordinator = coordinator
        tensors = [(name,) if isinstance(name, str) else tuple(name) for name in sums]
        self.columns = list(sums.values())
        self.positions = {name: position for position, names in enumerate(tensors) for name in names}
        self.sent_rows = [0] * len(tensors)
        stream = wire.RowStream(
            metadata=metadata,
            sums=[wire.RowSum(tensors=names, columns=columns) for names, columns in zip(tensors, self.columns)],
        )
        self.offer = wire.PushOffer(
            run=run, rank=rank, sequence=sequence, host=socket.gethostname(), rows=stream
        )
        self.unanswered = 0

    def __enter__(self):
        """Offers the rows, and waits while the coordinator or its workers have no place."""
        end = time.monotonic() + LIMIT
        while True:
            self.coordinator.was_disconnected()
            self.coordinator.number += 1
            self.number = self.coordinator.number
            self.coordinator.send(self.number, push_offer=self.offer)
            try:
                self.state = self._answer()
                return self
            except Refused as refusal:
                if refusal.kind != "busy" or time.monotonic() > end:
                    raise
            except Ended:
                if time.monotonic() > end:
                    raise
            time.sleep(1)

    def __exit__(self, kind, error, trace):
        # A failure of a stream under way that may pass is its end.
        if isinstance(error, Refused) and error.kind == "busy":
            raise Ended(str(error)) from error

    @property
    def is_whole(self):
        """Whether the sums are durable at the coordinator; then rows need not be computed, and are not sent."""
        return self.state.is_whole

    def rows(self, tensor, data, element_type):
        """Sends whole rows, one after the other in a contiguous buffer: bytes, or an array of F32, F16, or of BF16's
        bits."""
        if self.is_whole:
            return
        position = self.positions[tensor]
        row_bytes = self.columns[position] * ELEMENT_BYTES[element_type]
        data = memoryview(data).cast("B")
        if len(data) % row_bytes or row_bytes > CHUNK_BYTES:
            raise ValueError(
                f"{tensor}: {len(data)} bytes are no whole rows of {row_bytes} bytes, each at most {CHUNK_BYTES}."
            )
        most = CHUNK_BYTES // row_bytes * row_bytes
        for start in range(0, len(data), most):
            chunk = data[start : start + most]
            # Answers to different sums may overtake each other, so they are only counted.
            while self.unanswered >= self.state.credit:
                self._take_answer()
            rows = wire.PushRows(sum=position, first_row=self.sent_rows[position], element_type=element_type)
            self.coordinator.send(self.number, bytes(chunk), push_rows=rows)
            self.sent_rows[position] += len(chunk) // row_bytes
            self.unanswered += 1

    def commit(self, samples, rows=None):
        """Makes the sums durable. Counts are a number, or a dict by layer and parameter; `rows` are the input rows of
        each layer, if they are not those that were sent (reduce, embeddings)."""
        if self.is_whole:
            return
        while self.unanswered:
            self._take_answer()
        metadata = {"samples": json.dumps(samples)}
        if rows is not None:
            metadata["rows"] = json.dumps(rows)
        self.coordinator.send(self.number, push_commit=wire.PushCommit(metadata=metadata))
        while not self.is_whole:
            self.state = self._answer()

    def _take_answer(self):
        self.state = self._answer()
        self.unanswered -= 1

    def _answer(self):
        """The next answer to this stream; progress only shows that the coordinator lives."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            reply = self.coordinator.receive(1)
            if reply is None:
                if self.coordinator.was_disconnected():
                    raise Ended("the connection to the coordinator broke.")
            elif reply.request == self.number:
                if not reply.HasField("progress"):
                    return accepted(reply).push
                end = time.monotonic() + LIMIT
        raise Ended("the coordinator does not answer.")
