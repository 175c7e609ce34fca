"""The scalars whose gradients are collected: random probes of the outputs, or log-likelihoods."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import OptionError, ShapeError

Scalar = Callable[[Tensor, torch.Generator], Tensor]
Fisher = Literal["features", "sampled", "labels"] | Scalar
Root = tuple[Tensor, Tensor]
"""A tensor, and the gradient that its backward pass begins with."""

IGNORED_LABEL = -100


class Probes:
    """Makes the roots of the backward passes of a step.

    Random numbers belong to (seed, sample, probe), and are drawn on the CPU. So they are the same on every device, for
    every batch size and padding, and for every number of ranks if the samples are numbered alike.
    """

    def __init__(self, fisher: Fisher, count: int | Literal["exact"], seed: int) -> None:
        """Chooses the scalar.

        Args:
            fisher: `features`: Σ_c ε_c f_c(x) with ε ~ N(0, I), which gives the generalised Gauss-Newton matrix of the
                squared error; `sampled`: log p(y | x) with y drawn from the model; `labels`: log p of the given labels;
                or a function of (output, generator) whose result is the sum over the batch.
            count: M, or `exact` for one pass for each output, with the basis vectors in place of ε.
            seed: Of the random numbers.

        Raises:
            OptionError: For another value.
        """
        if not callable(fisher) and fisher not in ("features", "sampled", "labels"):
            raise OptionError(f'fisher="{fisher}" is unknown; expected "features", "sampled", "labels" or a function.')
        if count != "exact" and count < 1:
            raise OptionError(f"probes={count} is too small; expected at least 1.")
        if fisher == "labels" and count != 1:
            raise OptionError(f'probes={count} with fisher="labels": the labels are given, so set probes=1.')
        if count == "exact" and fisher != "features":
            raise OptionError('probes="exact" needs fisher="features".')
        self._fisher, self._count, self._seed = fisher, count, seed
        self._generator = torch.Generator()

    @property
    def divisor(self) -> int:
        """M of the mean over probes; exact probes are summed."""
        return 1 if self._count == "exact" else self._count

    def roots(
        self, output: Tensor, samples: Sequence[str], mask: Tensor | None, labels: Tensor | None
    ) -> Iterator[tuple[Root, bool]]:
        """The roots, and whether another one follows.

        Args:
            output: f(x), [samples, …].
            samples: What distinguishes each sample from all others.
            mask: [samples, positions]; positions that do not count are no outputs.
            labels: For `labels`: [samples] or [samples, positions], −100 where there is none.

        Raises:
            ShapeError: The labels do not fit.
        """
        kept = mask if mask is not None and output.dim() >= 3 and output.shape[:2] == mask.shape else None
        if self._count == "exact":
            yield from self._basis(output, kept)
            return
        for probe in range(self._count):
            yield self._root(output, samples, probe, kept, labels), probe + 1 < self._count

    def _root(
        self, output: Tensor, samples: Sequence[str], probe: int, kept: Tensor | None, labels: Tensor | None
    ) -> Root:
        if callable(self._fisher):
            scalar = self._fisher(output, self._seeded(samples[0], probe))
            return scalar, torch.ones_like(scalar)
        if self._fisher == "features":
            return output, self._drawn(torch.randn, output.shape, samples, probe, kept).to(output.device)
        if self._fisher == "sampled":
            labels = self._sampled(output, samples, probe, kept)
        if labels is None:
            raise ShapeError('fisher="labels" needs labels: call step(output, labels=…).')
        scalar = -_cross_entropy(output, labels)
        return scalar, torch.ones_like(scalar)

    def _basis(self, output: Tensor, kept: Tensor | None) -> Iterator[tuple[Root, bool]]:
        width = output[0].numel()
        for position in range(width):
            basis = torch.zeros(output.shape[0], width, device=output.device)
            basis[:, position] = 1
            basis = basis.view(output.shape)
            yield (output, basis if kept is None else basis * _wide(kept, output)), position + 1 < width

    def _sampled(self, output: Tensor, samples: Sequence[str], probe: int, kept: Tensor | None) -> Tensor:
        with torch.no_grad():
            cumulative = output.detach().float().softmax(dim=-1).cumsum(dim=-1)
            uniform = self._drawn(torch.rand, output.shape[:-1], samples, probe, kept).to(output.device).unsqueeze(-1)
            labels = torch.searchsorted(cumulative, uniform).squeeze(-1).clamp_max(output.shape[-1] - 1)
            return labels if kept is None else labels.masked_fill(~kept, IGNORED_LABEL)

    def _drawn(
        self,
        draw: Callable[..., Tensor],
        shape: torch.Size,
        samples: Sequence[str],
        probe: int,
        kept: Tensor | None,
    ) -> Tensor:
        """Random numbers of each sample; only positions that count have any, so padding does not change them."""
        if kept is None:
            return torch.stack([draw(shape[1:], generator=self._seeded(sample, probe)) for sample in samples])
        result = torch.zeros(shape)
        for row, positions, sample in zip(result, kept.cpu(), samples, strict=True):
            count = int(positions.sum())
            row[positions] = draw((count, *shape[2:]), generator=self._seeded(sample, probe))
        return result

    def _seeded(self, sample: str, probe: int) -> torch.Generator:
        digest = hashlib.sha256(f"{self._seed}/{sample}/{probe}".encode()).digest()
        return self._generator.manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def _wide(kept: Tensor, output: Tensor) -> Tensor:
    """The mask with as many dimensions as the output."""
    return kept.to(output.device).view(*kept.shape, *[1] * (output.dim() - 2))


def _cross_entropy(output: Tensor, labels: Tensor) -> Tensor:
    if labels.shape != output.shape[:-1]:
        raise ShapeError(
            f"labels have the shape {list(labels.shape)}; expected {list(output.shape[:-1])} for an output "
            f"{list(output.shape)}."
        )
    return F.cross_entropy(
        output.flatten(0, -2).float(), labels.flatten().to(output.device), reduction="sum", ignore_index=IGNORED_LABEL
    )
