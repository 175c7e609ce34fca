"""Sums of outer products: fp32 products on the device of the rows, added in fp64 from flush to flush."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Products = Literal["float32", "tf32", "bfloat16"]
Packed = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

FLUSH_ROWS = 16384
"""Rows that are added in fp32 before their sum is added to the fp64 total."""
BLOCK, BLOCKS_MAX = 256, 8
"""The smallest block of rows of a product, and the largest number of blocks: smaller ones do not fill a device."""
SYMMETRIC_BLOCK, SYMMETRIC_ROWS = 768, 512
"""On a CPU the largest block on the diagonal of a product, and the fewest rows of which a half product is faster."""
BYTES_PER_ELEMENT = 12
"""An element in fp32 and in fp64."""


class Sum:
    """Σ r rᵀ over rows r, for each of several groups of columns.

    The memory is that of the sum, `byte_count`; no row is kept.
    """

    def __init__(self, groups: int, size: int, *, ones: bool = False, diagonal: bool = False) -> None:
        """Begins an empty sum.

        Args:
            groups: The number of equal groups of columns, each with a sum of its own.
            size: Columns of a group.
            ones: Whether every row has a one behind its columns, for a bias.
            diagonal: Whether only Σ r² is summed.
        """
        self.groups, self.size, self.ones, self.diagonal = groups, size, ones, diagonal
        self._product: Tensor | None = None
        self._column: Tensor | None = None
        self._total: Tensor | None = None
        self._total_column: Tensor | None = None
        self._pending = 0
        self._count = 0

    @staticmethod
    def byte_count(groups: int, size: int, diagonal: bool) -> int:
        """Bytes of such a sum on the device."""
        return groups * size * (1 if diagonal else size) * BYTES_PER_ELEMENT

    def add(self, rows: Tensor, count: int, products: Products = "float32") -> None:
        """Adds rows.

        Args:
            rows: [rows, groups · size]; rows of zeros add nothing.
            count: The rows that count, for the ones.
            products: The precision of products of the rows.
        """
        for part in rows.split(FLUSH_ROWS):
            if self._pending + part.shape[0] > FLUSH_ROWS:
                self.flush()
            self._add_part(part, products)
            self._pending += part.shape[0]
        self._count += count

    def add_to_diagonal(self, values: Tensor, count: int) -> None:
        """Adds summed squares, [size], in the type that they have.

        Args:
            values: Σ r² of the rows.
            count: The rows that count, for the ones.
        """
        self._begin(values.device)
        assert self._total is not None, "_begin makes it"
        self._total[0] += values.to(self._total)
        self._count += count

    def flush(self) -> None:
        """Adds the fp32 sum to the fp64 total."""
        if self._pending == 0 or self._product is None or self._total is None:
            return
        # Of a square only the lower triangle is ever read.
        if self.diagonal:
            self._total += self._product.to(self._total)
        else:
            for own, before in _strips(self.size):
                self._total[:, own, before].add_(self._product[:, own, before].to(self._total))
        self._product.zero_()
        if self._column is not None and self._total_column is not None:
            self._total_column += self._column.to(self._total_column)
            self._column.zero_()
        self._pending = 0

    def finite(self) -> Tensor | None:
        """Whether all rows were finite, and their squares too, as a truth on the device; none without rows.

        An element of a sum of outer products is at most the larger of two diagonal elements, so the diagonal shows it.
        """
        if self._product is None or self._total is None:
            return None
        if self.diagonal:
            return torch.isfinite(self._product.sum()).to(self._total.device) & torch.isfinite(self._total.sum())
        sums = [each.diagonal(dim1=1, dim2=2).sum() for each in (self._product, self._total)]
        return torch.isfinite(sums[0]).to(self._total.device) & torch.isfinite(sums[1])

    def clone(self) -> Sum:
        """An equal sum that goes on by itself."""
        other = Sum(self.groups, self.size, ones=self.ones, diagonal=self.diagonal)
        other._pending, other._count = self._pending, self._count
        for name in ("_product", "_column", "_total", "_total_column"):
            value: Tensor | None = getattr(self, name)
            setattr(other, name, None if value is None else value.clone())
        return other

    def packed(self, group: int) -> Packed:
        """The sum of a group: the lower triangle row by row, or the diagonal; zeros without rows."""
        self.flush()
        size = self.size + int(self.ones)
        if self._total is None:
            return np.zeros(size if self.diagonal else size * (size + 1) // 2)
        total = self._total[group].cpu().numpy()
        if self.diagonal:
            return np.concatenate([total, [float(self._count)]]) if self.ones else total.copy()
        result = np.empty(size * (size + 1) // 2)
        first = 0
        # Row by row, because an index of all elements would be larger than they are.
        for row in range(self.size):
            result[first : first + row + 1] = total[row, : row + 1]
            first += row + 1
        if self._total_column is not None:
            result[first:-1] = self._total_column[group].cpu().numpy()
            result[-1] = self._count
        return result

    def whole(self) -> Packed:
        """The sum of the only group."""
        return self.packed(0)

    def _begin(self, device: torch.device) -> None:
        if self._product is not None:
            return
        shape = (self.groups, self.size) if self.diagonal else (self.groups, self.size, self.size)
        # Apple's devices have no fp64.
        wide = torch.device("cpu") if device.type == "mps" else device
        self._product = torch.zeros(shape, device=device)
        self._total = torch.zeros(shape, device=wide, dtype=torch.float64)
        if self.ones and not self.diagonal:
            self._column = torch.zeros(shape[:2], device=device)
            self._total_column = torch.zeros(shape[:2], device=wide, dtype=torch.float64)

    def _add_part(self, rows: Tensor, products: Products) -> None:
        self._begin(rows.device)
        assert self._product is not None, "_begin makes it"
        rows = rows.float()
        if products == "bfloat16":
            rows = rows.bfloat16().float()
        with precision(rows.device, products):
            if self.diagonal:
                self._product += rows.square().sum(dim=0).view(self.groups, self.size)
            elif self.groups == 1:
                _add_lower_triangle(self._product[0], rows)
            else:
                grouped = rows.view(rows.shape[0], self.groups, self.size).permute(1, 2, 0)
                self._product.baddbmm_(grouped, grouped.transpose(1, 2))
        if self._column is not None:
            self._column += rows.sum(dim=0).view(self.groups, self.size)


def _add_lower_triangle(product: Tensor, rows: Tensor) -> None:
    """Adds rowsᵀ rows, of which only the lower triangle is ever read; the blocks above it are left out."""
    if rows.device.type == "cpu" and rows.shape[0] >= SYMMETRIC_ROWS:
        _add_symmetric(product, rows)
        return
    for own, before in _strips(product.shape[0]):
        product[own, before].addmm_(rows[:, own].T, rows[:, before])


def _add_symmetric(product: Tensor, rows: Tensor) -> None:
    """The same with half of the work in the blocks on the diagonal.

    PyTorch has no product of a matrix with itself. NumPy calls BLAS's `syrk` for one, if the matrix is contiguous.
    """
    size = product.shape[0]
    count = -(-size // SYMMETRIC_BLOCK)
    width = -(-size // count)
    for first in range(0, size, width):
        own = slice(first, min(first + width, size))
        part = rows[:, own].contiguous()
        product[own, :first].addmm_(part.T, rows[:, :first])
        array = part.detach().numpy()
        product[own, own].add_(torch.from_numpy(np.dot(array.T, array)))


def _strips(size: int) -> Iterator[tuple[slice, slice]]:
    """Strips of a square that together hold its lower triangle: their rows, and their columns from the first on."""
    height = max(BLOCK, -(-size // BLOCKS_MAX))
    for first in range(0, size, height):
        end = min(first + height, size)
        yield slice(first, end), slice(0, end)


@contextmanager
def precision(device: torch.device, products: Products) -> Iterator[None]:
    """Products of fp32 in the chosen precision, whatever the program has set; never in autocast's type."""
    before = torch.get_float32_matmul_precision()
    # TF32 holds every bf16 number, so its products of rounded rows are exact.
    wanted = "highest" if products == "float32" or device.type == "cpu" else "high"
    if before != wanted:
        torch.set_float32_matmul_precision(wanted)
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if before != wanted:
            torch.set_float32_matmul_precision(before)
