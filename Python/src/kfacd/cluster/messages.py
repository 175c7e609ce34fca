"""The messages of the wire that a push needs.

Source: Sources/WireProtocol/Schema/kfacd.proto. The descriptors are made here, because generated code is bound to the
versions of protobuf. Fields and messages that a push does not need are left out: they are unknown fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from ..problems import WireVersionError
from .offers import Place, RowSum

VERSION = 14
"""Of the wire protocol; a coordinator of another version refuses to talk."""

PACKAGE = "kfacd.wire"

SCHEMA: Mapping[str, Sequence[str]] = {
    "Envelope": (
        "uint32 version = 1",
        "body: Refusal refusal = 2",
        "body: ClientRequest request = 5",
        "body: ClientReply reply = 6",
    ),
    "Refusal": ("uint32 supported_version = 1", "string message = 2"),
    "Blob": ("string digest = 1", "uint64 byte_count = 2"),
    "ClientRequest": (
        "uint64 request = 1",
        "body: PushOffer push_offer = 12",
        "body: PushChunk push_chunk = 13",
        "body: PushRows push_rows = 16",
        "body: PushCommit push_commit = 17",
    ),
    "PushOffer": (
        "string run = 1",
        "uint32 rank = 2",
        "uint32 sequence = 3",
        "string host = 4",
        "content: Blob file = 5",
        "content: RowStream rows = 6",
    ),
    "RowStream": ("map<string, string> metadata = 1", "repeated RowSum sums = 2"),
    "RowSum": ("repeated string tensors = 1", "uint64 columns = 2"),
    "PushRows": ("uint32 sum = 1", "uint64 first_row = 2", "string element_type = 3"),
    "PushCommit": ("map<string, string> metadata = 1",),
    "PushChunk": ("uint64 offset = 1",),
    "ClientReply": (
        "uint64 request = 1",
        "body: RequestFailure failure = 2",
        "body: string progress = 10",
        "body: PushState push = 12",
    ),
    "PushState": ("uint64 offset = 1", "uint32 credit = 2", "bool is_whole = 3"),
    "RequestFailure": ("string kind = 1", "repeated Problem problems = 2"),
    "Problem": ("string location = 1", "string message = 2"),
}
"""Fields by message, as the schema writes them; the name before a colon is that of their `oneof`."""

_FIELD = re.compile(r"(?:(?P<group>\w+): )?(?P<label>repeated )?(?P<type>map<string, string>|\w+) (\w+) = (\d+)")
_SCALARS = ("bool", "string", "uint32", "uint64")


@dataclass(frozen=True)
class PushState:
    """What has arrived, and how many messages may be on their way without an answer."""

    offset: int
    credit: int
    is_whole: bool


@dataclass(frozen=True)
class Failure:
    """Why a request failed."""

    kind: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """An answer; one without state and failure says that the answer needs longer."""

    request: int
    state: PushState | None
    failure: Failure | None


def file_offer(request: int, place: Place, host: str, digest: str, byte_count: int) -> bytes:
    """Offers a file of partial sums."""
    return _request(request, push_offer={**_place(place, host), "file": {"digest": digest, "byte_count": byte_count}})


def row_offer(request: int, place: Place, host: str, metadata: Mapping[str, str], sums: Sequence[RowSum]) -> bytes:
    """Offers rows."""
    listed = [{"tensors": list(each.tensors), "columns": each.columns} for each in sums]
    return _request(request, push_offer={**_place(place, host), "rows": {"metadata": dict(metadata), "sums": listed}})


def chunk(request: int, offset: int) -> bytes:
    """Announces bytes of a file, which are the second frame."""
    return _request(request, push_chunk={"offset": offset})


def rows(request: int, sum_index: int, first_row: int, element_type: str) -> bytes:
    """Announces rows, which are the second frame."""
    return _request(request, push_rows={"sum": sum_index, "first_row": first_row, "element_type": element_type})


def commit(request: int, metadata: Mapping[str, str]) -> bytes:
    """Ends a stream of rows."""
    return _request(request, push_commit={"metadata": dict(metadata)})


def reply(frame: bytes) -> Reply | None:
    """Reads an answer; none for a message of another kind.

    Raises:
        WireVersionError: The coordinator does not talk to this version.
    """
    envelope = _CLASSES["Envelope"].FromString(frame)
    if envelope.HasField("refusal"):
        raise WireVersionError(
            f"{envelope.refusal.message} This package speaks version {VERSION} of the wire protocol, the coordinator "
            f"version {envelope.refusal.supported_version}. Install the package that came with the coordinator."
        )
    if not envelope.HasField("reply"):
        return None
    answer = envelope.reply
    state: PushState | None = None
    failure: Failure | None = None
    if answer.HasField("push"):
        state = PushState(answer.push.offset, answer.push.credit, answer.push.is_whole)
    elif answer.HasField("failure"):
        problems = tuple(f"{each.location}: {each.message}" for each in answer.failure.problems)
        failure = Failure(answer.failure.kind, problems)
    return Reply(answer.request, state, failure)


def _place(place: Place, host: str) -> dict[str, object]:
    return {"run": place.run, "rank": place.rank, "sequence": place.sequence, "host": host}


def _request(number: int, **body: dict[str, Any]) -> bytes:
    serialized: bytes = _CLASSES["Envelope"](version=VERSION, request={"request": number, **body}).SerializeToString()
    return serialized


def described() -> Any:
    """The schema as a `FileDescriptorProto`."""
    file = descriptor_pb2.FileDescriptorProto(name="kfacd_push.proto", package=PACKAGE, syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for text in fields:
            _add_field(message, text)
    return file


def _add_field(message: Any, text: str) -> None:
    found = _FIELD.fullmatch(text)
    assert found is not None, f"{text} is a field"
    kinds = descriptor_pb2.FieldDescriptorProto
    kind, name, number = found["type"], found[4], int(found[5])
    field = message.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL)
    if found["label"]:
        field.label = kinds.LABEL_REPEATED
    if kind in _SCALARS:
        field.type = getattr(kinds, f"TYPE_{kind.upper()}")
    else:
        field.type = kinds.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{kind}"
    if kind.startswith("map"):
        # A map is a list of entries; source: the language guide of protobuf, "Backwards compatibility" of maps.
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry", options={"map_entry": True})
        for position, part in enumerate(("key", "value"), start=1):
            entry.field.add(name=part, number=position, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_STRING)
        field.label = kinds.LABEL_REPEATED
        field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"
    if group := found["group"]:
        groups = [each.name for each in message.oneof_decl]
        if group not in groups:
            message.oneof_decl.add(name=group)
            groups.append(group)
        field.oneof_index = groups.index(group)


def _classes() -> dict[str, Any]:
    # A pool of its own, so that a generated module of the same messages may be loaded too.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(described().SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in SCHEMA}


_CLASSES = _classes()
