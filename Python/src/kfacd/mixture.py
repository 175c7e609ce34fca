"""A mixture of Gaussians of a task's inputs, which its owner shares in place of them.

Others draw inputs from it, and keep what their training changes of the model's outputs on them small. So the penalty
has the model's exact Jacobian, and only its inputs are approximate. Source: Sources/DESIGN.md, section 2.2, input
mixture.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .errors import OptionError
from .partials import StoredTensor, require_name, text_of, write_tensors
from .problems import InputError, listed
from .tensor_files import described_tensors
from .ward import ward_clusters

FORMAT = "kfacd.mixture/1"
_TENSORS = ("shares", "counts", "means", "directions")
LEAST_INPUTS = 16
"""The fewest inputs of a component, so that its mean is none of them unless they are equal."""
INPUTS_MAX = 16384
"""The most inputs; their distances take 2 GiB."""


@dataclass(frozen=True)
class InputMixture:
    """Gaussians that stand for the inputs of one or more tasks.

    Attributes:
        tasks: The tasks, all of equal weight.
        shares: The share of each component, [K] in fp64; their sum is 1.
        counts: The inputs that each component stands for, [K].
        means: [K, …], in the shape of an input, in fp32.
        directions: R of each covariance Rᵀ R, [K, r, …] in fp32.
        bounds: The least and the largest element of all inputs; draws are cut off there.
    """

    tasks: tuple[str, ...]
    shares: Tensor
    counts: Tensor
    means: Tensor
    directions: Tensor
    bounds: tuple[float, float]

    @staticmethod
    def of(inputs: Tensor, *, task: str, components: int = 448, rank: int = 8) -> InputMixture:
        """The mixture of one task's inputs.

        Args:
            inputs: [n, …], as the model takes them: floating-point, such as normalised images. Texts have no mixture.
            task: The name of the task.
            components: The most components; each stands for at least 16 inputs.
            rank: The largest rank r of a component's covariance; n inputs of d numbers have at most n − 1 and d.

        Raises:
            OptionError: The inputs are no floating-point batch, not finite, too few or too many.
        """
        require_name(task, "task")
        if not inputs.is_floating_point() or inputs.dim() < 2 or inputs[0].numel() == 0:
            raise OptionError(
                f"inputs are {list(inputs.shape)} of {inputs.dtype}; expected [n, …] of floating-point numbers. Inputs "
                "that are indices, such as tokens, have no mixture."
            )
        _require_size(components, rank)
        if not LEAST_INPUTS <= len(inputs) <= INPUTS_MAX:
            raise OptionError(
                f"there are {len(inputs)} inputs; expected {LEAST_INPUTS} to {INPUTS_MAX}. Give a random part of more."
            )
        # Means and draws are in fp32, and so are their bounds.
        narrow = inputs.detach().float()
        if not bool(narrow.isfinite().all()):
            raise OptionError("inputs are not finite, or too large for fp32.")
        flat = narrow.flatten(1).double().cpu()
        count, width = flat.shape
        whole = _Points(
            shares=torch.full((count,), 1 / count, dtype=torch.float64),
            counts=torch.ones(count, dtype=torch.long),
            means=flat,
            directions=torch.empty(count, 0, width, dtype=torch.float64),
        )
        bounds = (float(narrow.min()), float(narrow.max()))
        return _reduced(whole, (task,), inputs.shape[1:], components, rank, bounds)

    @staticmethod
    def accumulated(
        mixtures: Sequence[InputMixture], *, components: int | None = None, rank: int | None = None
    ) -> InputMixture:
        """One mixture of all tasks of several; its size does not grow with their number.

        Args:
            mixtures: Those of other tasks each, of inputs of one shape.
            components: The most components; by default the most that one of them has.
            rank: The largest rank of a covariance; by default the largest that one of them has.

        Raises:
            OptionError: There is none, a task is in two of them, or shapes differ.
        """
        if not mixtures:
            raise OptionError("there is no mixture; expected those of one task or more.")
        tasks = tuple(task for mixture in mixtures for task in mixture.tasks)
        if twice := sorted({task for task in tasks if tasks.count(task) > 1}):
            raise OptionError(f"{listed(twice)} is in two of the mixtures; expected each task once.")
        shapes = {tuple(mixture.means.shape[1:]) for mixture in mixtures}
        if len(shapes) > 1:
            raise OptionError(f"the mixtures are of inputs of the shapes {sorted(map(list, shapes))}; expected one.")
        kept = max(mixture.directions.shape[1] for mixture in mixtures)
        most = max(len(mixture.means) for mixture in mixtures) if components is None else components
        chosen = (most, kept if rank is None else rank)
        _require_size(*chosen)
        every = _Points(
            shares=torch.cat([mixture.shares * (len(mixture.tasks) / len(tasks)) for mixture in mixtures]),
            counts=torch.cat([mixture.counts for mixture in mixtures]),
            means=torch.cat([mixture.means.flatten(1).double() for mixture in mixtures]),
            directions=torch.cat([_filled(mixture.directions.flatten(2).double(), kept) for mixture in mixtures]),
        )
        bounds = (min(each.bounds[0] for each in mixtures), max(each.bounds[1] for each in mixtures))
        return _reduced(every, tasks, mixtures[0].means.shape[1:], *chosen, bounds)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws inputs, [count, …] in fp32: μ + Rᵀ z with z ~ N(0, I), cut off at the bounds.

        Args:
            count: Their number.
            generator: Of the draws, on the CPU; by default that of torch.
        """
        chosen = torch.multinomial(self.shares, count, replacement=True, generator=generator)
        lengths = torch.randn(count, self.directions.shape[1], generator=generator)
        values = self.means.flatten(1)[chosen]
        values = values + torch.einsum("nr,nrd->nd", lengths, self.directions.flatten(2)[chosen])
        return values.clamp(*self.bounds).view(count, *self.means.shape[1:])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the mixture, for the other owners. It shows a task's common looks, and what it was made of.

        Returns:
            The file.
        """
        target = Path(path)
        tensors = {name: getattr(self, name) for name in _TENSORS}
        strings = {"format": FORMAT, "tasks": text_of(list(self.tasks)), "bounds": text_of(list(self.bounds))}
        # Half as many bits would do, but readers of other files expect F32.
        stored = [
            StoredTensor(name, tuple(value.shape), lambda value=value: value.double().numpy())  # type: ignore[misc]
            for name, value in tensors.items()
        ]
        write_tensors(target, stored, strings)
        return target

    @staticmethod
    def load(path: str | os.PathLike[str]) -> InputMixture:
        """Reads what `save` wrote.

        Raises:
            InputError: The file is no mixture.
        """
        file = Path(path)
        metadata, found = described_tensors(file, FORMAT, _TENSORS)
        tasks: list[str] = metadata.json("tasks", list, [])
        bounds: list[float] = metadata.json("bounds", list, [])
        shares, means, directions = found["shares"].double(), found["means"], found["directions"]
        if not (
            means.dim() >= 2
            and len(means) > 0
            and shares.shape == found["counts"].shape == (len(means),)
            and directions.dim() == means.dim() + 1
            and directions.shape[:1] + directions.shape[2:] == means.shape
        ):
            shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in sorted(found.items()))
            raise InputError(f"{file}: the shapes are {shapes}; expected means [K, …], directions [K, r, …] and [K].")
        if any(tensor.dtype != torch.float32 or not bool(tensor.isfinite().all()) for tensor in found.values()):
            raise InputError(f"{file}: a tensor is not of F32, or not finite.")
        if not tasks or any(not isinstance(task, str) or not task for task in tasks) or len(set(tasks)) < len(tasks):
            raise InputError(f"{file}: the metadata's tasks are {str(tasks)[:60]}; expected names, each once.")
        if not bool((found["counts"] >= 1).all()):
            raise InputError(f"{file}: a component stands for no inputs; expected counts of at least 1.")
        if not bool((shares > 0).all()) or not math.isclose(float(shares.sum()), 1, rel_tol=1e-4):
            raise InputError(
                f"{file}: shares sum to {float(shares.sum()):.6g}; expected positive numbers that sum to 1."
            )
        if len(bounds) != 2 or any(type(each) is not float or not math.isfinite(each) for each in bounds):
            raise InputError(f"{file}: the metadata's bounds are {str(bounds)[:60]}; expected two finite numbers.")
        if not bounds[0] <= float(means.min()) or not float(means.max()) <= bounds[1]:
            raise InputError(f"{file}: means are beyond the metadata's bounds {bounds}; expected means of inputs.")
        return InputMixture(
            tuple(tasks), shares / shares.sum(), found["counts"].long(), means, directions, (bounds[0], bounds[1])
        )


@dataclass(frozen=True)
class _Points:
    """Weighted Gaussians, or inputs, that a mixture is made of; in fp64."""

    shares: Tensor
    counts: Tensor
    means: Tensor
    directions: Tensor


def _require_size(components: int, rank: int) -> None:
    if any(type(number) is not int for number in (components, rank)) or components < 1 or rank < 0:
        raise OptionError(
            f"components={components!r}, rank={rank!r}: expected whole numbers of at least 1, and at least 0."
        )


def _filled(directions: Tensor, rank: int) -> Tensor:
    """Directions with zeros behind them up to a rank."""
    count, own, width = directions.shape
    return torch.cat([directions, directions.new_zeros(count, rank - own, width)], dim=1)


def _reduced(
    points: _Points, tasks: tuple[str, ...], shape: torch.Size, components: int, rank: int, bounds: tuple[float, float]
) -> InputMixture:
    """Each cluster of points becomes one component of the same mean; its covariance keeps the leading directions."""
    clusters = ward_clusters(points.means, points.shares, points.counts, components, LEAST_INPUTS)
    # No component has more directions than deviations and directions of its points, nor than numbers of an input.
    most = max(len(cluster) * (1 + points.directions.shape[1]) for cluster in clusters) - 1
    rank = min(rank, most, points.means.shape[1])
    means, directions = [], []
    for cluster in clusters:
        members = torch.tensor(cluster)
        shares = points.shares[members] / points.shares[members].sum()
        own = points.means[members]
        # The mean of equal points is one of them, without rounding.
        mean = (shares @ own).clamp(own.amin(0), own.amax(0))
        roots = shares.sqrt()
        rows = torch.cat(
            [
                roots.unsqueeze(1) * (own - mean),
                (roots.view(-1, 1, 1) * points.directions[members]).flatten(0, 1),
            ]
        )
        means.append(mean)
        directions.append(_leading(rows, rank))
    return InputMixture(
        tasks,
        torch.stack([points.shares[cluster].sum() for cluster in clusters]),
        torch.stack([points.counts[cluster].sum() for cluster in clusters]),
        torch.stack(means).float().view(len(clusters), *shape),
        torch.stack(directions).float().view(len(clusters), rank, *shape),
        bounds,
    )


def _leading(rows: Tensor, rank: int) -> Tensor:
    """Qᵀ X with the leading eigenvectors Q of X Xᵀ, filled up with zeros to the rank."""
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    count = min(rank, int((values > 0).sum()))
    leading = vectors[:, len(values) - count :].flip(1).T @ rows
    return torch.cat([leading, rows.new_zeros(rank - count, rows.shape[1])])
