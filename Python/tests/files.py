"""Reading what the package writes, with the reference reader."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

LIMIT = 1e-5


def stored(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def errors(found: dict[str, Tensor], expected: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, float]:
    """The relative errors above the limit, in the Frobenius norm; and names that only one side has."""
    wrong = {name: float("nan") for name in found.keys() ^ expected.keys()}
    diagonals = json.loads(metadata.get("diagonal", "[]"))
    for name in found.keys() & expected.keys():
        value = expected[name].diagonal() if name in diagonals else expected[name]
        # Under `reduce` keys of softmax attention have no curvature; both sides hold rounding, of fp32 and of fp64.
        size = value.norm() if value.norm() > 1e-20 else torch.tensor(1e-5)
        error = float((found[name].double() - value).norm() / size)
        if not error < LIMIT:
            wrong[name] = error
    return wrong
