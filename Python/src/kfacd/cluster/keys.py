"""Key files of `kfacctl keygen`, `kfacd.key/1`."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import zmq

from ..job import Coordinator
from ..problems import InputError

FORMAT = "kfacd.key/1"
KEY = re.compile(rb"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
"""A key in Z85; source: ZeroMQ RFC 32."""


@dataclass(frozen=True)
class Keys:
    """The keys of a connection, as Z85 texts."""

    server: bytes
    public: bytes
    secret: bytes


def keys_of(coordinator: Coordinator, endpoint: str) -> Keys | None:
    """The keys for a coordinator; none over loopback and ipc, where none are given.

    Raises:
        InputError: Keys are missing, or a file is no key file.
    """
    server = coordinator.server_key or os.environ.get("KFACD_SERVER_KEY")
    secret = coordinator.secret_key or os.environ.get("KFACD_SECRET_KEY")
    if not server or not secret:
        missing = [name for name, value in (("server_key", server), ("secret_key", secret)) if not value]
        if len(missing) == 2 and _is_local(endpoint):
            return None
        raise InputError(
            f"{endpoint}: needs keys; missing: {', '.join(missing)}. Copy the coordinator's .public file here, make a "
            'key with "kfacctl keygen NAME --role submitter", and have its .public file put into the coordinator\'s '
            "directory of authorized keys."
        )
    own = Path(secret)
    _require_private(own)
    lines = _lines(own)
    keys = Keys(_key(server, _lines(Path(server)), "public"), _key(own, lines, "public"), _key(own, lines, "secret"))
    if zmq.curve_public(keys.secret) != keys.public:
        raise InputError(f"{own}: the line public does not belong to the line secret. Make the key again.")
    return keys


def _is_local(endpoint: str) -> bool:
    return endpoint.startswith(("ipc://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:"))


def _require_private(file: Path) -> None:
    try:
        permissions = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise InputError(f"{file}: the key file cannot be read: {error.strerror}.") from error
    if permissions & 0o077:
        raise InputError(
            f"{file}: other users can read this secret key (its mode is {permissions:04o}). Make a new key; "
            'if nobody has read it, "chmod 600" is enough.'
        )


def _lines(file: Path) -> dict[str, str]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: the key file cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is no key file of kfacctl keygen.") from error
    words = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = {line[0]: line[1] for line in words if len(line) == 2}
    if found.get("format") != FORMAT:
        raise InputError(f'{file}: is no key file; expected a line "format {FORMAT}", as kfacctl keygen writes it.')
    return found


def _key(file: str | os.PathLike[str], lines: dict[str, str], word: str) -> bytes:
    key = lines.get(word, "").encode()
    if not KEY.fullmatch(key):
        raise InputError(f'{os.fspath(file)}: has no line "{word} KEY" with a key of 40 characters of Z85.')
    return key
