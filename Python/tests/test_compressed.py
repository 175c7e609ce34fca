"""Compressed matrices, written here by the definitions of the documents, and read by the package."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import kfacd
import kfacd.caches
from kfacd.symmetric import packed

N = 70
FORMS = ["bf16", "int8", "block_diagonal", "low_rank"]
NUMBERS = {"block_diagonal": {"blocks": 4}, "low_rank": {"rank": 3}}


def covariance() -> torch.Tensor:
    torch.manual_seed(1)
    rows = torch.randn(3 * N, N)
    return (rows.T @ rows) / (3 * N) + torch.eye(N)


def stored(form: str, matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tensor of a file, and the square that it stands for."""
    if form == "bf16":
        return packed(matrix).bfloat16(), matrix.bfloat16().float()
    if form == "int8":
        scales, integers = [], []
        square = torch.zeros(N, N)
        for row in range(N):
            for start in range(0, row + 1, 64):
                group = matrix[row, start : min(start + 64, row + 1)]
                scale = group.abs().max() / 127
                steps = torch.round(group / scale)
                scales.append(scale)
                integers.append(steps.to(torch.int8))
                square[row, start : start + len(group)] = scale.double() * steps.double()
        tensor = torch.cat([torch.stack(scales).view(torch.uint8), torch.cat(integers).view(torch.uint8)])
        return tensor, square.tril() + square.tril(-1).T
    if form == "block_diagonal":
        size = math.ceil(N / 4)
        blocks = [matrix[first : first + size, first : first + size] for first in range(0, N, size)]
        return torch.cat([packed(block) for block in blocks])[None], torch.block_diag(*blocks)
    rows = torch.arange(3 * N).reshape(3, N).float() / 50
    diagonal = torch.linspace(1, 2, N)
    return torch.cat([rows.flatten(), diagonal])[None], rows.T @ rows + torch.diag(diagonal)


def write(path: Path, form: str, tensor: torch.Tensor, shift: float = 0.25) -> Path:
    loss = {"relative_error": 0.1, "smallest_eigenvalue": 0, "mean_eigenvalue": 1}
    statement = {"form": form, "dimension": N, "shift": shift, **loss, **NUMBERS.get(form, {})}
    metadata = {
        "format": "kfacd.factors/1",
        "task": "t",
        "samples": "3",
        "normalization": "tak",
        "compression": json.dumps({"fc.A": statement}),
    }
    save_file({"fc.A": tensor.contiguous(), "fc.B": torch.eye(2)}, path, metadata)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_decoded_and_shifted(tmp_path: Path, form: str) -> None:
    tensor, square = stored(form, covariance())
    factors = kfacd.caches.load(write(tmp_path / "factors.safetensors", form, tensor))
    torch.testing.assert_close(factors.a["fc"], square + 0.25 * torch.eye(N), rtol=1e-6, atol=1e-6)
    assert torch.equal(factors.b["fc"], torch.eye(2))


@pytest.mark.parametrize("form", FORMS)
def test_a_tensor_of_another_size_is_refused(tmp_path: Path, form: str) -> None:
    tensor, _ = stored(form, covariance())
    path = write(tmp_path / "factors.safetensors", form, tensor[..., 1:])
    with pytest.raises(kfacd.InputError, match=f"for the form {form} and the dimension {N}"):
        kfacd.caches.load(path)


def test_a_form_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "factors.safetensors", "int4", torch.zeros(3, dtype=torch.uint8))
    with pytest.raises(kfacd.InputError, match="int4"):
        kfacd.caches.load(path)
