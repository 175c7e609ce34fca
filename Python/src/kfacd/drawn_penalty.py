"""The penalty β E‖J(x̃) τ‖² on inputs x̃ that are drawn from a mixture of other tasks.

Source: Sources/DESIGN.md, section 2.2, input mixture.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .errors import OptionError, ShapeError
from .linear import Linearized, linearize
from .mixture import InputMixture


class DrawnPenalty:
    """What training changes of the outputs on drawn inputs, in first order around θ₀.

    Args:
        mixture: That of the other tasks, or its file.
        model: At θ₀, or what `linearize` made of it. It stays the model that is trained.
        beta: β, at least 0.
        samples: The inputs that each call draws.
        outputs: Makes the tensor [samples, …] of what the model returns; by default its tensor, or its `logits`.
        seed: Of the draws.

    Raises:
        OptionError: A number is out of its range.
        InputError: The file is no mixture, or the model cannot be linearized.
    """

    def __init__(
        self,
        mixture: InputMixture | str | os.PathLike[str],
        model: nn.Module,
        *,
        beta: float,
        samples: int = 64,
        outputs: Callable[[Any], Tensor] | None = None,
        seed: int = 0,
    ) -> None:
        """Copies θ₀, unless the model is linear already."""
        if not (math.isfinite(beta) and beta >= 0) or samples < 1:
            raise OptionError(
                f"beta={beta}, samples={samples}: expected a finite number of at least 0, and at least 1."
            )
        self.beta = beta
        self.samples = samples
        self.mixture = mixture if isinstance(mixture, InputMixture) else InputMixture.load(mixture)
        self._linear: Linearized = model if isinstance(model, Linearized) else linearize(model)
        self._outputs = outputs or _tensor
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self) -> Tensor:
        """β times the mean of ‖J(x̃) τ‖² over newly drawn inputs, as a scalar with a graph.

        Raises:
            ShapeError: The model's output is no tensor of the drawn samples.
        """
        place = next(self._linear.parameters())
        inputs = self.mixture.draw(self.samples, self._generator).to(place.device)
        if place.is_floating_point():
            inputs = inputs.to(place.dtype)
        drift = self._outputs(self._linear.drift(inputs))
        if not isinstance(drift, Tensor) or drift.dim() < 1 or drift.shape[0] != self.samples:
            shape = list(drift.shape) if isinstance(drift, Tensor) else type(drift).__name__
            raise ShapeError(
                f"the output for {self.samples} drawn inputs is {shape}; expected a tensor [{self.samples}, …]. Give "
                "outputs=, which makes it of what the model returns."
            )
        wide = drift if drift.dtype == torch.float64 else drift.float()
        return self.beta * wide.square().sum() / self.samples


def _tensor(output: Any) -> Any:
    """The output's tensor."""
    if isinstance(output, Mapping) and isinstance(output.get("logits"), Tensor):
        return output["logits"]
    return output
