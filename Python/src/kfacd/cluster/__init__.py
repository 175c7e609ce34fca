"""A client of the coordinator: pushes partial sums and streams rows; needs the extra `kfacd[cluster]`.

Source: Sources/WireProtocol/CLIENT.md. What needs the extra is imported when it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..job import Coordinator
from ..problems import MissingExtraError
from .offers import Place, RowSum

if TYPE_CHECKING:
    from .pushes import Content
    from .streams import RowStream


def require_extra() -> None:
    """Looks for the packages of the extra.

    Raises:
        MissingExtraError: One is missing.
    """
    for name in ("zmq", "google.protobuf"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingExtraError(
                f"the package {name} is missing, which a coordinator is reached with. "
                "Install it: pip install 'kfacd[cluster]'"
            ) from error


def require_reachable(coordinator: Coordinator) -> None:
    """Connects once, so that a wrong address or key is known before anything is computed.

    Raises:
        KfacdError: The extra is missing, no coordinator answers, or it does not know the key.
    """
    require_extra()
    from .patience import require_reachable

    require_reachable(coordinator)


def push(coordinator: Coordinator, place: Place, content: Content) -> None:
    """Pushes a file, as `pushes.push`."""
    require_extra()
    from .pushes import push

    push(coordinator, place, content)


def open_stream(
    coordinator: Coordinator, place: Place, metadata: Mapping[str, str], sums: Sequence[RowSum]
) -> RowStream:
    """Offers rows, as `streams.RowStream`."""
    require_extra()
    from .streams import RowStream

    return RowStream(coordinator, place, metadata, sums)
