"""The client's own messages, its cuts, and what it refuses before and without a coordinator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import zmq
from torch import nn

import kfacd
from kfacd.cluster import connection, messages
from kfacd.cluster.offers import Place, RowSum
from kfacd.cluster.pushes import chunked

SCHEMA = Path(__file__).parents[2] / "Sources/WireProtocol/Schema"


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3))


def descriptor(file: Any) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Number, type, label, type's name and oneof of each field, by message."""
    return {
        message.name: {
            field.name: (
                field.number,
                field.type,
                field.label,
                field.type_name,
                message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None,
            )
            for field in message.field
        }
        for message in file.message_type
    }


@pytest.mark.skipif(not SCHEMA.exists(), reason="the schema of the wire is not beside the package")
def test_the_messages_are_those_of_the_schema(tmp_path: Path) -> None:
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    made = tmp_path / "kfacd.descriptors"
    assert protoc.main(["protoc", f"-I{SCHEMA}", f"--descriptor_set_out={made}", "kfacd.proto"]) == 0
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes()).file
    own = messages.described()
    assert (file.package, file.syntax) == (own.package, own.syntax)
    declared = descriptor(file)
    for name, fields in descriptor(own).items():
        assert fields.items() <= declared[name].items(), name
    maps = {
        f"{message.name}.{entry.name}": entry.SerializeToString()
        for message in own.message_type
        for entry in message.nested_type
    }
    for message in file.message_type:
        for entry in message.nested_type:
            ours = descriptor_pb2.DescriptorProto.FromString(maps.pop(f"{message.name}.{entry.name}"))
            assert [(each.name, each.number, each.type) for each in ours.field] == [
                (each.name, each.number, each.type) for each in entry.field
            ]
    assert maps == {}


LOADED = """
import google.protobuf
from kfacd.cluster import messages
from kfacd.cluster.offers import Place, RowSum
assert google.protobuf.__version__ == "{version}", google.protobuf.__version__
offer = messages.row_offer(7, Place("r", 1, 2), "host", {{"task": "t"}}, [RowSum(("q.A", "k.A"), 3)])
print(offer.hex())
"""


@pytest.mark.parametrize("version", ["5.26.0", "6.30.0"])
def test_older_versions_of_protobuf_make_the_same_bytes(version: str, tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--timeout", "15", "--retries", "1"]
    done = subprocess.run(
        [*install, "--target", str(tmp_path), f"protobuf=={version}"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"protobuf {version} cannot be installed: {done.stderr[-200:]}")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + LOADED.format(version=version)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    place = Place("r", 1, 2)
    expected = messages.row_offer(7, place, "host", {"task": "t"}, [RowSum(("q.A", "k.A"), 3)])
    assert found.strip() == expected.hex()


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 200000])
def test_frames_are_cut_into_pieces_that_can_be_joined(size: int) -> None:
    frame = memoryview(bytes(range(256)) * 800)[:size]
    for is_last in (True, False):
        pieces = [bytes(piece) for piece in connection._pieces(frame, is_last)]
        assert all(len(piece) == 65536 for piece in pieces[:-1])
        assert len(pieces[-1]) < 65536 or is_last
        assert connection._joined([*pieces, *([] if is_last else [b"next"])]) == bytes(frame)


def test_chunks_have_one_size_and_the_bytes_of_their_parts() -> None:
    parts = [memoryview(bytes([value]) * size) for value, size in enumerate([3, 0, 10, 1, 1, 25, 4])]
    chunks = [bytes(chunk) for chunk in chunked(iter(parts), 8)]
    assert b"".join(chunks) == b"".join(bytes(part) for part in parts)
    assert [len(chunk) for chunk in chunks] == [8, 8, 8, 8, 8, 4]


def test_a_coordinator_of_another_version_is_named() -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as server:
        port = server.bind_to_random_port("tcp://127.0.0.1")
        coordinator = kfacd.Coordinator(f"tcp://127.0.0.1:{port}", timeout=20)
        reached = connection.Connection(coordinator)
        try:
            assert reached.wait(20)
            reached.send(messages.commit(1, {}))
            peer, _ = server.recv_multipart()
            other = messages.VERSION + 1
            refusal = messages._CLASSES["Envelope"](refusal={"supported_version": other, "message": "Too old."})
            server.send_multipart([peer, refusal.SerializeToString()])
            with pytest.raises(kfacd.WireVersionError) as raised:
                reached.receive(20)
        finally:
            reached.close()
    assert str(raised.value) == (
        f"Too old. This package speaks version {messages.VERSION} of the wire protocol, the coordinator version "
        f"{messages.VERSION + 1}. Install the package that came with the coordinator."
    )


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zmq", None)
    for options in ({"sink": "rows"}, {"coordinator": "tcp://127.0.0.1:1"}):
        with pytest.raises(kfacd.MissingExtraError) as raised:
            kfacd.collect(network(), task="t", **options)  # type: ignore[arg-type]
        assert str(raised.value) == (
            "the package zmq is missing, which a coordinator is reached with. Install it: pip install 'kfacd[cluster]'"
        )


def test_the_extra_is_imported_only_when_it_is_used() -> None:
    script = "import kfacd, sys; print([name for name in ('zmq', 'google.protobuf') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_address_where_nothing_listens_is_known_before_the_first_step() -> None:
    with pytest.raises(kfacd.UnreachableError, match=r"no coordinator answered at tcp://127\.0\.0\.1:1 within \d+ s"):
        kfacd.collect(network(), task="t", coordinator=kfacd.Coordinator("tcp://127.0.0.1:1", timeout=1))


def test_an_address_that_is_none_is_refused() -> None:
    for address in ("head:7733", "tcp://head", "tcp://head:99999", "tcp://head:0", "ipc://"):
        with pytest.raises(kfacd.InputError) as raised:
            kfacd.collect(network(), task="t", coordinator=address)
        expected = f'"{address}" is no address of a coordinator; expected tcp://HOST:PORT or ipc://PATH.'
        assert str(raised.value) == expected
    with pytest.raises(kfacd.InputError, match="the endpoint cannot be opened: File name too long"):
        kfacd.collect(network(), task="t", coordinator=f"ipc:///{'x' * 200}")


def test_keys_are_checked_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFACD_SECRET_KEY", raising=False)
    monkeypatch.delenv("KFACD_SERVER_KEY", raising=False)
    public, secret = zmq.curve_keypair()
    texts = {
        "server": f"format kfacd.key/1\npublic {public.decode()}\n",
        "own": f"# mine\nformat kfacd.key/1\nsecret {secret.decode()}\npublic {public.decode()}\n",
        "other": f"format kfacd.key/1\nsecret {secret.decode()}\npublic {zmq.curve_keypair()[0].decode()}\n",
        "short": "format kfacd.key/1\nsecret abc\npublic abc\n",
        "signs": f"format kfacd.key/1\npublic {'~' * 40}\n",
        "text": "hello\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)

    def message(server: str | None, own: str | None) -> str:
        server_key, secret_key = (None if name is None else tmp_path / name for name in (server, own))
        with pytest.raises(kfacd.InputError) as raised:
            kfacd.collect(
                network(), task="t", coordinator=kfacd.Coordinator("tcp://192.0.2.9:1", server_key, secret_key, 1)
            )
        return str(raised.value)

    assert message(None, None).startswith("tcp://192.0.2.9:1: needs keys; missing: server_key, secret_key. Copy the")
    assert message("server", None).startswith("tcp://192.0.2.9:1: needs keys; missing: secret_key.")
    assert message("server", "absent").endswith("absent: the key file cannot be read: No such file or directory.")
    assert message("server", "text").endswith('expected a line "format kfacd.key/1", as kfacctl keygen writes it.')
    assert message("text", "own").startswith(f"{tmp_path}/text: is no key file")
    assert message("server", "short").endswith('has no line "public KEY" with a key of 40 characters of Z85.')
    assert message("signs", "own").endswith('signs: has no line "public KEY" with a key of 40 characters of Z85.')
    assert message("server", "other").endswith(
        "the line public does not belong to the line secret. Make the key again."
    )
    (tmp_path / "own").chmod(0o640)
    assert "other users can read this secret key (its mode is 0640)" in message("server", "own")


def test_options_that_do_not_go_with_streamed_rows_are_refused() -> None:
    for options in ({"memory": 10}, {"passes": True}):
        with pytest.raises(kfacd.OptionError, match=r'sink="rows" keeps none here; leave them out'):
            kfacd.collect(network(), task="t", sink="rows", **options)
    with pytest.raises(kfacd.OptionError, match='products="tf32": workers sum rows in fp32'):
        kfacd.collect(network(), task="t", sink="rows", products="tf32")
    with pytest.raises(kfacd.OptionError, match='sink="disk" is unknown; expected "sums", "rows"'):
        kfacd.collect(network(), task="t", sink="disk")  # type: ignore[arg-type]


def test_rows_that_no_message_holds_are_refused_by_name_before_the_first_step() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Embedding(262_145, 2), nn.Linear(2, 300_000))
    with pytest.raises(kfacd.SelectionError) as raised:
        kfacd.collect(model, task="t", sink="rows")
    assert str(raised.value) == (
        'a row of "0.A", "1.B" has up to 1200000 bytes, and the wire takes rows of at most 1048576. Leave such layers '
        'out, or collect their sums, with sink="sums".'
    )
    with pytest.raises(kfacd.SelectionError, match='a row of "0.A" has up to 1048580 bytes'):
        kfacd.collect(model, task="t", sink="rows", products="bfloat16")
