"""Symmetric matrices as the files hold them: squares, packed triangles, diagonals."""

from __future__ import annotations

import math

import torch

# Programs sum the two triangles in different orders; more than this is not rounding. kfacd accepts as much.
_SYMMETRY_TOLERANCE = 1e-3
_SYMMETRY_FLOOR = 1e-5


def packed_dimension(count: int) -> int | None:
    """n of a triangle with n(n + 1)/2 elements; None if the count is of no triangle."""
    n = (math.isqrt(8 * count + 1) - 1) // 2
    return n if n > 0 and n * (n + 1) // 2 == count else None


def unpacked(triangle: torch.Tensor) -> torch.Tensor:
    """The square [n, n] of a lower triangle [n(n + 1)/2], stored row by row."""
    n = packed_dimension(triangle.numel())
    assert n is not None, "the caller checks the number of elements"
    rows, columns = torch.tril_indices(n, n)
    square = torch.zeros(n, n, dtype=triangle.dtype)
    square[rows, columns] = triangle
    square[columns, rows] = triangle
    return square


def packed(square: torch.Tensor) -> torch.Tensor:
    """The lower triangle [n(n + 1)/2] of a square, row by row."""
    rows, columns = torch.tril_indices(square.shape[0], square.shape[0])
    return square[rows, columns]


def flaw(tensor: torch.Tensor, is_diagonal: bool) -> str | None:
    """What keeps a square or a diagonal from being a factor: the rest of a sentence that begins with its name."""
    if not bool(torch.isfinite(tensor).all()):
        place = torch.nonzero(~torch.isfinite(tensor))[0].tolist()
        return f"is not finite, first at {place}"
    diagonal = tensor if is_diagonal else tensor.diagonal()
    if bool((diagonal < 0).any()):
        row = int(torch.nonzero(diagonal < 0)[0])
        return f"has the negative element {float(diagonal[row]):.4g} on its diagonal, in row {row}"
    if is_diagonal or torch.equal(tensor, tensor.T):
        return None
    scale = torch.sqrt(diagonal[:, None] * diagonal[None, :])
    limit = torch.maximum(_SYMMETRY_TOLERANCE * torch.maximum(tensor.abs(), tensor.T.abs()), _SYMMETRY_FLOOR * scale)
    off = (tensor - tensor.T).abs() > limit
    if bool(off.any()):
        row, column = torch.nonzero(off)[0].tolist()
        return f"is not symmetric, first at [{row}, {column}]"
    return None


def symmetrized(square: torch.Tensor) -> torch.Tensor:
    """The mean of a square and its transpose, which differ by rounding only."""
    return square if torch.equal(square, square.T) else (square + square.T) / 2
