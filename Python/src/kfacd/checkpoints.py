"""The base checkpoint θ₀: its digest, and whether a model is it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from .errors import BaseMismatchError, listed


def sha256_base(path: str | os.PathLike[str]) -> str:
    """The digest by which kfacd names a base checkpoint; source: kfacd-job(5), Input files.

    It is the SHA-256 of a single file. For a sharded checkpoint it is the SHA-256 of the digests of its files, 32 bytes
    each, in the order of the files' names.

    Args:
        path: A safetensors file, or a directory in Hugging Face layout.

    Raises:
        BaseMismatchError: There is no such checkpoint.
    """
    digests = [_file_digest(file) for file in checkpoint_files(path)]
    if len(digests) == 1:
        return digests[0].hex()
    return hashlib.sha256(b"".join(digests)).hexdigest()


def checkpoint_files(path: str | os.PathLike[str]) -> list[Path]:
    """The files of a checkpoint, in the order of their names.

    Raises:
        BaseMismatchError: A file is missing.
    """
    place = Path(path)
    index = place / "model.safetensors.index.json"
    if index.exists():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        files = [place / name for name in sorted(names)]
    elif place.is_dir():
        files = [place / "model.safetensors"]
    else:
        files = [place]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise BaseMismatchError(
            f"{place}: {listed(missing)} is missing; expected a safetensors file, or a directory with "
            '"model.safetensors" or "model.safetensors.index.json".'
        )
    return files


def require_equal(path: str | os.PathLike[str], parameters: Mapping[str, torch.Tensor]) -> None:
    """Requires that parameters are the base's, up to the rounding to the base's type.

    Names that the base does not hold are not compared: a tied weight has only one of its names there.

    Args:
        path: The base.
        parameters: By full name.

    Raises:
        BaseMismatchError: Parameters differ, or the base holds none of them.
    """
    compared, other = 0, []
    for file in checkpoint_files(path):
        with safe_open(file, framework="pt") as base:
            for name in sorted(set(base.keys()) & parameters.keys()):
                expected, found = base.get_tensor(name), parameters[name].detach().cpu()
                compared += 1
                if expected.shape != found.shape or not torch.equal(
                    expected.to(found.dtype), found.to(expected.dtype).to(found.dtype)
                ):
                    other.append(name)
    if other:
        raise BaseMismatchError(
            f"{path}: the model differs from the base in {listed(other)}; expected θ₀ itself. "
            "Load the base, or name the checkpoint that the model was loaded from."
        )
    if parameters and not compared:
        raise BaseMismatchError(
            f"{path}: holds none of the chosen layers' parameters, such as {listed(sorted(parameters), 2)}. "
            "Name the checkpoint that the model was loaded from."
        )


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()
