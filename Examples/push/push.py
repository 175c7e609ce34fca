#!/usr/bin/env python3
"""Pushes files of partial sums to a kfacd coordinator, with pyzmq and protobuf alone.

    python3 -m grpc_tools.protoc -I Sources/WireProtocol/Schema --python_out=. kfacd.proto
    python3 Examples/push/push.py --coordinator tcp://head:7733 sums-0-0.safetensors

Sources/WireProtocol/CLIENT.md describes the messages. `kfacctl push` does the same.
"""

import argparse
import hashlib
import json
import os
import socket
import struct
import sys
import time

import zmq

import kfacd_pb2 as wire

VERSION = 14
CHUNK_BYTES = 1 << 20
PIECE_BYTES = 64 << 10
# Seconds without an answer after which the file is offered again, and after which the push is given up.
PATIENCE, LIMIT = 5, 600


class Refused(Exception):
    """The coordinator refuses a request: the kind decides whether another attempt may help."""

    def __init__(self, kind, sentences):
        super().__init__("\n".join(sentences))
        self.kind = kind


def key_line(path, word):
    """The value behind a word in a key file of `kfacctl keygen`."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if len(words) == 2 and words[0] == word:
                return words[1].encode("ascii")
    raise ValueError(f"{path}: has no line \"{word} …\"; expected a key file of kfacctl keygen.")


class Coordinator:
    """A connection to a coordinator."""

    def __init__(self, endpoint, server_key=None, secret_key=None):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.losses = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        if server_key:
            self.socket.curve_serverkey = key_line(server_key, "public")
            self.socket.curve_publickey = key_line(secret_key, "public")
            self.socket.curve_secretkey = key_line(secret_key, "secret")
        self.socket.connect(endpoint)
        self.number = 0

    def close(self):
        self.socket.disable_monitor()
        self.losses.close()
        self.socket.close()

    def was_disconnected(self):
        """Whether the connection broke since the last call; libzmq makes it again, but what was on its way is lost."""
        was_lost = False
        while self.losses.poll(0):
            self.losses.recv_multipart()
            was_lost = True
        return was_lost

    def send(self, number, payload=None, **body):
        """Sends a request; each keyword is a field of ClientRequest."""
        envelope = wire.Envelope(version=VERSION, request=wire.ClientRequest(request=number, **body))
        frames = [envelope.SerializeToString()] + ([payload] if payload is not None else [])
        pieces = []
        for index, frame in enumerate(frames):
            # A piece of exactly 64 KiB is continued by the next one, so a frame of such a size ends with an empty piece
            # unless it is the last.
            whole = [frame[at : at + PIECE_BYTES] for at in range(0, len(frame), PIECE_BYTES)] or [b""]
            if len(whole[-1]) == PIECE_BYTES and index + 1 < len(frames):
                whole.append(b"")
            pieces += whole
        self.socket.send_multipart(pieces)

    def receive(self, seconds):
        """The next reply, or None when none comes in time."""
        if not self.socket.poll(int(seconds * 1000)):
            return None
        first = b""
        for piece in self.socket.recv_multipart():
            first += piece
            if len(piece) < PIECE_BYTES:
                break
        envelope = wire.Envelope.FromString(first)
        if envelope.HasField("refusal"):
            raise Refused("refusal", [envelope.refusal.message])
        return envelope.reply

    def ask(self, **body):
        """Sends a request and waits for its answer."""
        self.number += 1
        self.send(self.number, **body)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            reply = self.receive(1)
            if reply is not None and reply.request == self.number and not reply.HasField("progress"):
                return accepted(reply)
        raise TimeoutError("the coordinator does not answer.")


def accepted(reply):
    """A reply that is no failure."""
    if reply.HasField("failure"):
        problems = reply.failure.problems
        raise Refused(reply.failure.kind, [f"{problem.location}: {problem.message}" for problem in problems])
    return reply


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def offer_of(path):
    """What a file says about itself: its place in its run, its size and its digest."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > 100 << 20:
            raise ValueError(f"{path}: is no safetensors file.")
        metadata = json.loads(file.read(length))["__metadata__"]
    return wire.PushOffer(
        run=metadata["run"],
        rank=int(metadata["rank"]),
        sequence=int(metadata["sequence"]),
        host=socket.gethostname(),
        file=wire.Blob(digest=sha256(path), byte_count=os.path.getsize(path)),
    )


def push(coordinator, path, stop_after=None):
    """Pushes a file, and returns the number of bytes that were sent.

    `stop_after` ends the push after so many bytes, as a killed process would.
    """
    offer = offer_of(path)
    sent_bytes = 0
    end = time.monotonic() + LIMIT
    with open(path, "rb") as file:
        while True:
            # Answers with another number belong to an earlier offer.
            coordinator.number += 1
            number, position, unanswered = coordinator.number, None, 0
            coordinator.send(number, push_offer=offer)
            while (reply := coordinator.receive(PATIENCE)) is not None:
                end = time.monotonic() + LIMIT
                if reply.request != number or reply.HasField("progress"):
                    continue
                state = accepted(reply).push
                if state.is_whole:
                    return sent_bytes
                if position is None:
                    position = state.offset
                    file.seek(position)
                else:
                    unanswered -= 1
                while unanswered < state.credit and position < offer.file.byte_count:
                    chunk = file.read(CHUNK_BYTES if stop_after is None else min(CHUNK_BYTES, stop_after - sent_bytes))
                    coordinator.send(number, chunk, push_chunk=wire.PushChunk(offset=position))
                    position += len(chunk)
                    sent_bytes += len(chunk)
                    unanswered += 1
                    if stop_after is not None and sent_bytes >= stop_after:
                        coordinator.receive(PATIENCE)
                        return sent_bytes
            if time.monotonic() > end:
                raise TimeoutError(f"{path}: the coordinator does not answer.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coordinator", default=os.environ.get("KFACD_COORDINATOR", "tcp://127.0.0.1:7733"))
    parser.add_argument("--server-key", help="the coordinator's public file")
    parser.add_argument("--secret-key", help="this client's secret file")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    coordinator = Coordinator(options.coordinator, options.server_key, options.secret_key)
    status = 0
    for path in options.files:
        try:
            while True:
                try:
                    sent_bytes = push(coordinator, path)
                    break
                except Refused as refusal:
                    if refusal.kind != "busy":
                        raise
                    time.sleep(1)
            print(f"{path}: {'pushed' if sent_bytes else 'was there already'}")
        except (Refused, ValueError, KeyError, OSError, struct.error) as error:
            print(f"{path}: {error}", file=sys.stderr)
            status = 1
    coordinator.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
