"""Matrices in the smaller forms that factor and regularizer files may hold.

Source: Sources/DESIGN.md, section 3, "Compressed factors".
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kfacd.problems import InputError
from kfacd.symmetric import unpacked

_GROUP = 64


@dataclass(frozen=True)
class Stated:
    """What the metadata state of a compressed matrix."""

    #: ``bf16``, ``int8``, ``block_diagonal`` or ``low_rank``.
    form: str
    #: Rows and columns.
    dimension: int
    #: The number of blocks, or the rank; 0 for the other forms.
    number: int
    #: What is added to the diagonal.
    shift: float


def stated(file: Path, metadata: dict[str, str]) -> dict[str, Stated]:
    """The compressed matrices of a file, by the names of their tensors.

    Raises:
        InputError: If ``compression`` is no statement of known forms.
    """
    text = metadata.get("compression")
    if text is None:
        return {}
    try:
        return {name: _stated(value) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{file}: the metadata's compression is {text[:60]!r}; expected an object by tensor, with the form, the "
            "dimension and the shift of each. Read it with the version of kfacd that wrote it."
        ) from error


def _stated(value: dict[str, Any]) -> Stated:
    form, dimension, shift = str(value["form"]), int(value["dimension"]), float(value["shift"])
    keys = {"bf16": None, "int8": None, "block_diagonal": "blocks", "low_rank": "rank"}
    key = keys[form]
    number = 0 if key is None else int(value[key])
    if dimension < 1 or number < (form == "block_diagonal") or not (math.isfinite(shift) and shift >= 0):
        raise ValueError(form)
    return Stated(form, dimension, number, shift)


def decoded(file: Path, name: str, tensor: torch.Tensor, stated: Stated) -> torch.Tensor:
    """The square [n, n] that a tensor stands for, in fp32.

    It is computed in fp64 and rounded once, as a job does.

    Raises:
        InputError: If the tensor is not one of the form and the dimension.
    """
    n = stated.dimension
    block = -(-n // stated.number) if stated.form == "block_diagonal" else n
    rank = min(stated.number, n)
    groups = sum(-(-rows // _GROUP) for rows in range(1, n + 1))
    triangle = n * (n + 1) // 2
    blocks = n // block * (block * (block + 1) // 2) + (n % block) * (n % block + 1) // 2
    expected = {
        "bf16": (torch.bfloat16, [triangle]),
        "int8": (torch.uint8, [4 * groups + triangle]),
        "block_diagonal": (torch.float32, [1, blocks]),
        "low_rank": (torch.float32, [1, (rank + 1) * n]),
    }[stated.form]
    if (tensor.dtype, list(tensor.shape)) != expected:
        raise InputError(
            f"{file}: {name} is {tensor.dtype} {list(tensor.shape)}; expected {expected[0]} {expected[1]}, for the "
            f"form {stated.form} and the dimension {n}."
        )
    if stated.form == "bf16":
        square = unpacked(tensor.double())
    elif stated.form == "int8":
        square = unpacked(_scaled(tensor, n, groups))
    elif stated.form == "block_diagonal":
        square = _blocks(tensor.double().flatten(), n, block)
    else:
        rows = tensor.double().reshape(rank + 1, n)
        square = rows[:rank].T @ rows[:rank] + torch.diag(rows[rank])
    square.diagonal().add_(stated.shift)
    return square.float()


def _scaled(tensor: torch.Tensor, n: int, groups: int) -> torch.Tensor:
    scales = tensor[: 4 * groups].clone().view(torch.float32).double()
    integers = tensor[4 * groups :].view(torch.int8).double()
    rows, columns = torch.tril_indices(n, n)
    # Groups before a row of r elements: those of the rows with 1 to r - 1 elements.
    counts = (torch.arange(1, n + 1) + _GROUP - 1) // _GROUP
    first = torch.cumsum(counts, 0) - counts
    return scales[first[rows] + columns // _GROUP] * integers


def _blocks(elements: torch.Tensor, n: int, block: int) -> torch.Tensor:
    square = torch.zeros(n, n, dtype=elements.dtype)
    start = 0
    for first in range(0, n, block):
        rows = min(block, n - first)
        count = rows * (rows + 1) // 2
        square[first : first + rows, first : first + rows] = unpacked(elements[start : start + count])
        start += count
    return square
