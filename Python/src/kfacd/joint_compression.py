"""The leading combinations of joint rows.

With X the weighted rows and Q the leading eigenvectors of X Xᵀ, the new rows are Qᵀ X without the weights. Source:
Sources/DESIGN.md, section 2.2, joint form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .partials import StoredTensor, SummedRows, Values
from .sums import precision

CHUNK_ELEMENTS = 1 << 25
"""Elements of rows that are on the device at once."""
WHOLE_DIMENSION = 2048
"""The largest matrix that is decomposed whole; of larger ones a random subspace is."""
OVERSAMPLING, ITERATIONS = 16, 4
"""Directions of the subspace beyond the rank, and the products that turn it towards the leading eigenvectors."""
FLOOR = 1e-4
"""The smallest weight as a share of the largest on its side."""


class JointRanks(NamedTuple):
    """How many joint rows are kept."""

    inputs: int
    gradients: int


@dataclass(frozen=True)
class RowSide:
    """One side of a block: its rows of all samples, or of all samples and probes."""

    name: str
    """The layer, the parameter, or nothing for the constant input of parameters."""
    count: int
    positions: int
    width: int
    squares: Tensor
    """The mean of ‖row‖² by position, [positions], in fp64."""
    device: torch.device
    """Where its products are made."""
    read: Callable[[int, int], Tensor]
    """Makes the rows of positions from the first to before the second, [count, positions, width], in fp32."""

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """The rows of some positions after the other, on the device."""
        step = max(1, CHUNK_ELEMENTS // (self.count * self.width))
        for first in range(0, self.positions, step):
            part = slice(first, min(first + step, self.positions))
            yield part, self.read(part.start, part.stop).to(self.device)


@dataclass(frozen=True)
class Leading:
    """The leading eigenvectors of a matrix."""

    vectors: Tensor
    """[rank, dimension], orthonormal, that of the largest eigenvalue first; in fp64."""
    kept: float
    """Their share of the trace."""


def leading_eigenvectors(matrix: Tensor, rank: int, whole_dimension: int = WHOLE_DIMENSION) -> Leading:
    """The eigenvectors of the largest eigenvalues of a positive semi-definite matrix.

    Args:
        matrix: [dimension, dimension] in fp64.
        rank: The most vectors.
        whole_dimension: The largest dimension that is decomposed whole.
    """
    dimension = matrix.shape[0]
    count, size = min(rank, dimension), rank + OVERSAMPLING
    if dimension <= whole_dimension or 2 * size >= dimension:
        vectors = torch.linalg.eigh(matrix).eigenvectors[:, -count:].flip(1).T
    else:
        with torch.random.fork_rng([matrix.device] if matrix.is_cuda else []):
            torch.manual_seed(0)
            vectors = torch.svd_lowrank(matrix, q=size, niter=ITERATIONS)[0][:, :count].T
    trace = float(matrix.diagonal().sum())
    found = float(((vectors @ matrix) * vectors).sum())
    return Leading(vectors, min(1.0, found / trace) if trace > 0 else 1.0)


def leading_combinations(sides: Sequence[RowSide], weights: Mapping[str, Tensor], rank: int) -> Leading:
    """The combinations of rows that hold most of the weighted rows of all blocks.

    Args:
        sides: One side of every block.
        weights: The square of the weight of each block's rows, [positions].
        rank: The most combinations.
    """
    first, count = sides[0].device, sides[0].count
    # Apple's devices have no fp64.
    total = torch.zeros(count, count, dtype=torch.float64, device="cpu" if first.type == "mps" else first)
    for side in sides:
        roots = weights[side.name].sqrt().float().to(side.device)
        for part, rows in side.chunks():
            weighted = (rows * roots[part].unsqueeze(-1)).flatten(1)
            with precision(side.device, "float32"):
                total += (weighted @ weighted.T).to(total)
    return leading_eigenvectors(total, rank)


def combined(side: RowSide, vectors: Tensor) -> Tensor:
    """The combinations of a side's rows, [rank, positions, width], in fp32 on the CPU.

    Args:
        side: The rows.
        vectors: [rank, count].
    """
    rank = len(vectors)
    result = torch.empty(rank, side.positions, side.width)
    own = vectors.float().to(side.device)
    for part, rows in side.chunks():
        with precision(side.device, "float32"):
            result[:, part] = (own @ rows.flatten(1)).view(rank, -1, side.width).cpu()
    return result


def compressed_rows(
    inputs: Sequence[RowSide],
    gradients: Sequence[RowSide],
    parameters: Set[str],
    ranks: JointRanks,
    scales: tuple[float, float],
) -> SummedRows:
    """The leading rows of both sides. An input counts as much as the gradients that it meets, and the reverse.

    Args:
        inputs: Those of layers, and that of the constant, whose name is empty.
        gradients: Those of layers and of parameters.
        parameters: The names of the parameters, which all meet the constant.
        ranks: The most rows.
        scales: Factors of the inputs and of the gradients.
    """
    of_inputs = {side.name: side.squares for side in gradients if side.name not in parameters}
    of_parameters = (side.squares for side in gradients if side.name in parameters)
    of_inputs[""] = sum(of_parameters, torch.zeros(1, dtype=torch.float64))
    of_gradients = {side.name: side.squares for side in inputs}
    of_gradients |= dict.fromkeys(parameters, of_gradients[""])
    left = leading_combinations(inputs, floored(of_inputs), ranks.inputs)
    right = leading_combinations(gradients, floored(of_gradients), ranks.gradients)
    return SummedRows(
        tensors=[
            *_tensors("input", inputs, left.vectors * scales[0], {""}),
            *_tensors("gradient", gradients, right.vectors * scales[1], parameters),
        ],
        ranks={"inputs": len(left.vectors), "gradients": len(right.vectors)},
        kept={"inputs": left.kept, "gradients": right.kept},
    )


def floored(squares: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Squares of weights by block, none below the floor."""
    least = FLOOR**2 * max(float(each.max()) for each in squares.values())
    return {name: each.clamp_min(least) for name, each in squares.items()}


def _tensors(kind: str, sides: Sequence[RowSide], vectors: Tensor, flat: Set[str]) -> Iterator[StoredTensor]:
    """The rows and squares of one side as a file has them; those of parameters and the constant lack positions."""
    for side in sides:
        prefix = f"{side.name}." if side.name else ""
        shape: tuple[int, ...] = (len(vectors), side.positions, side.width)
        if side.name in flat:
            shape = shape[:1] if side.name == "" else (shape[0], shape[2])

        def rows(side: RowSide = side) -> Values:
            return combined(side, vectors).numpy()

        def squares(side: RowSide = side) -> Values:
            return side.squares.numpy()

        yield StoredTensor(f"{prefix}{kind}_rows", shape, rows)
        yield StoredTensor(f"{prefix}{kind}_squares", (side.positions,), squares)
