"""Files of tensors in safetensors, single and sharded."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from kfacd.metadata import Metadata
from kfacd.problems import InputError, listed

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


def files_of_set(path: Path, stem: str) -> list[Path]:
    """The files of a set of tensors: one file, or those that a Hugging Face index names.

    Args:
        path: A file, an index, or a directory that holds ``<stem>.safetensors`` or its index.
        stem: The name of the file in a directory, without the ending.

    Raises:
        InputError: There is no such file, or the index is not one.
    """
    index = path
    if path.is_dir():
        index = path / f"{stem}.safetensors.index.json"
        if not index.exists():
            single = path / f"{stem}.safetensors"
            if not single.exists():
                sets = sorted(file.parent.name for file in path.glob(f"*/{stem}.safetensors*"))
                advice = f" Name one of its directories: {listed(list(dict.fromkeys(sets)))}." if sets else ""
                raise InputError(f"{path}: the directory holds neither {single.name} nor {index.name}.{advice}")
            return [single]
    elif not path.exists():
        raise InputError(f"{path}: there is no such file.")
    if not index.name.endswith(".index.json"):
        return [index]
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{index}: this is no index of a sharded set; weight_map was expected.") from error
    return [index.parent / name for name in sorted(names)]


def load_tensors(path: str | Path, names: Iterable[str] | None = None) -> dict[str, torch.Tensor]:
    """Reads the tensors of a checkpoint that have these names; names that it lacks are left out.

    Raises:
        InputError: There is no checkpoint at this path, or a file is no safetensors file.
    """
    wanted = None if names is None else set(names)
    tensors: dict[str, torch.Tensor] = {}
    for file in files_of_set(Path(path), "model"):
        with opened(file) as handle:
            for name in handle.keys():  # noqa: SIM118
                if wanted is None or name in wanted:
                    tensors[name] = handle.get_tensor(name)
    return tensors


def tensor_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a checkpoint's tensors, from the headers of its files.

    Raises:
        InputError: As :func:`load_tensors`.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files_of_set(Path(path), "model"):
        with opened(file) as handle:
            for name in handle.keys():  # noqa: SIM118
                shapes[name] = tuple(handle.get_slice(name).get_shape())
    return shapes


def described_tensors(file: Path, format: str, names: Iterable[str]) -> tuple[Metadata, dict[str, torch.Tensor]]:
    """The metadata and all tensors of a file of a format.

    Raises:
        InputError: There is no such file, it is of another format, or it lacks one of the names.
    """
    if not file.is_file():
        raise InputError(f"{file}: there is no such file.")
    with opened(file) as handle:
        metadata = Metadata(file, handle.metadata() or {})
        metadata.required("format", (format,))
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    if missing := sorted(set(names) - tensors.keys()):
        raise InputError(f"{file}: the file lacks {listed(missing)}.")
    return metadata, tensors


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Opens a safetensors file; an error while it is open becomes a sentence with the file's name."""
    try:
        with safe_open(file, framework="pt", device="cpu") as handle:
            yield handle
    except SafetensorError as error:
        raise InputError(f"{file}: this is no whole safetensors file ({error}).") from error
    except OSError as error:
        raise InputError(f"{file}: the file cannot be read ({error.strerror or error}).") from error
