"""Matrices of factor and regularizer files, in any storage."""

from __future__ import annotations

from pathlib import Path

import torch

from kfacd.compressed import Stated, decoded
from kfacd.problems import InputError
from kfacd.symmetric import flaw, packed_dimension, symmetrized, unpacked


def stored_matrix(
    file: Path, name: str, tensor: torch.Tensor, is_diagonal: bool, compressed: Stated | None
) -> torch.Tensor:
    """The square or the diagonal that a tensor stands for.

    Raises:
        InputError: It is neither, not finite, not symmetric, or has a negative diagonal.
    """
    if compressed is not None:
        tensor = decoded(file, name, tensor, compressed)
    if tensor.dtype not in (torch.float32, torch.float64):
        raise InputError(f"{file}: {name} is of the type {tensor.dtype}; expected F32 or F64.")
    shape = list(tensor.shape)
    if tensor.ndim == 1 and not is_diagonal:
        if packed_dimension(tensor.numel()) is None:
            raise InputError(
                f"{file}: {name} has the shape {shape}, which is no packed triangle [n(n + 1)/2]; a diagonal is stated "
                "in the metadata."
            )
        tensor = unpacked(tensor)
    elif tensor.ndim != (1 if is_diagonal else 2) or tensor.shape[0] != tensor.shape[-1] or tensor.numel() == 0:
        raise InputError(f"{file}: {name} has the shape {shape}; expected a square, a packed triangle or a diagonal.")
    if problem := flaw(tensor, is_diagonal):
        raise InputError(f"{file}: {name} {problem}.")
    return tensor if is_diagonal else symmetrized(tensor)
