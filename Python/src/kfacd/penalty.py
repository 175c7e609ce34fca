"""The penalty of a regularizer on a model in training, with its gradient.

Source: Sources/DESIGN.md, section 2.2; Porrello et al. 2026, arXiv 2602.17385, equations 7 and 8.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from kfacd.addresses import Place
from kfacd.blocks import Base, Tracked, located_blocks, set_base
from kfacd.problems import InputError
from kfacd.regularizer import read_regularizer


class Penalty:
    """β Ω(θ − θ₀), with Ω(Δ) = Σ_ℓ tr(B Δ A Δᵀ) + Σ_p δᵀ F δ under the factors of a regularizer file.

    Δ = [ΔW, Δb] of a layer, [d_out, d_in + 1] with a bias. Joint rows, of the form ``pseudo_rows``, add Σ_rs X_rs²,
    where X_rs is a sum over all layers and positions; a floor then scales the factors, or leaves of them what the rows
    do not hold. The value without β is the one that ``report.json`` of a
    job states as ``penalties`` for the same task vector.

    ``pen()`` is a scalar with a graph, to be added to the loss::

        loss = task_loss + pen()

    ``pen.add_grad_()`` adds the same gradient, β (2 B Δ A, 2 F δ), to ``.grad`` after ``loss.backward()``. It needs no
    graph and keeps nothing. Call one of both, once in each step.

    With LoRA adapters of PEFT Δ includes what the active ones add to a weight, and their matrices get the gradient.

    Products are in fp32, or in fp64 for parameters in fp64, also under autocast; the value is summed in fp64. Factors
    and θ₀ follow their parameter's device when they are first used.
    """

    def __init__(
        self,
        path: str | Path,
        model: nn.Module,
        base: Base | None = None,
        beta: float = 1.0,
        every: int = 1,
        layout: Mapping[str, str] | None = None,
    ) -> None:
        """Reads a regularizer and finds its layers in a model.

        Args:
            path: The file ``regularizer.safetensors``, or the directory of a sharded set.
            model: The model in training, also inside DistributedDataParallel or torch.compile.
            base: θ₀: a state dictionary, a model, or a checkpoint in safetensors. The digest of a checkpoint is
                compared with that in the regularizer. None: the model's present values.
            beta: β, at least 0. In scale ``paper`` a β that was tuned for T tasks is not valid for another T.
            every: Each k-th call has k times the penalty, and the others have none.
            layout: ``in_out`` for layers whose weight is stored as [d_in, d_out], by pattern (* matches any text),
                where neither the file nor the type of the module tells it.

        Raises:
            InputError: All problems that were found: the file is damaged or of another model, or the base is.
        """
        if not (math.isfinite(beta) and beta >= 0):
            raise InputError(f"beta is {beta}; expected a finite number of at least 0.")
        if every < 1:
            raise InputError(f"every is {every}; expected a whole number of at least 1.")
        self.beta = beta
        self.every = every
        regularizer = read_regularizer(path)
        self.path = regularizer.path
        #: The task that the regularizer leaves out, or ``all``.
        self.target = regularizer.target
        self._calls = 0
        self._blocks = located_blocks(regularizer, model, layout or {})
        tracked = {id(t): t for block in self._blocks for t in block.tracked}
        self._tracked = list(tracked.values())
        set_base(self._tracked, regularizer, model, base)

    def __call__(self) -> torch.Tensor:
        """The penalty as a scalar with a graph; a constant 0 in calls that ``every`` passes over."""
        scale = self._next_scale()
        if scale == 0:
            return torch.zeros((), device=self._tracked[0].parameter.device)
        value: torch.Tensor = _Value.apply(self, scale, *self._trained())
        return value

    @torch.no_grad()
    def add_grad_(self, scale: float = 1.0) -> None:
        """Adds the penalty's gradient to ``.grad`` of the parameters that are trained.

        Call it after the gradients of all processes were averaged, and once in each optimizer step.

        Args:
            scale: A further factor, such as that of a GradScaler whose gradients are not unscaled yet.

        Raises:
            InputError: A gradient is sparse.
        """
        scale *= self._next_scale()
        if scale == 0:
            return
        for tracked in self._tracked:
            for parameter in tracked.trained():
                if parameter.grad is not None and parameter.grad.layout != torch.strided:
                    raise InputError(
                        f"{tracked.name}: its gradient is sparse; expected a dense one. Make the embedding with "
                        "sparse=False."
                    )

        def add(parameter: nn.Parameter, place: Place, gradient: torch.Tensor) -> None:
            if not parameter.requires_grad:
                return
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            place.of(parameter.grad).add_(gradient)

        with self._exact_products():
            self._evaluate(scale, add)

    @torch.no_grad()
    def by_layer(self) -> dict[str, float]:
        """Ω of each layer and parameter without β, as ``report.json`` lists them under ``penalties``.

        With joint rows a block has its share Σ_rs X_rs X_rs,ℓ of their sum, which may be negative.
        """
        values: dict[str, float] = {}
        with self._exact_products():
            pairs = self._pairs()
            for block in self._blocks:
                value = float(block.evaluate(pairs)[0]) + (0.0 if pairs is None else block.share(pairs))
                values[block.name] = values.get(block.name, 0.0) + value
        return dict(sorted(values.items()))

    def callback(self, framework: Literal["transformers", "lightning"] = "transformers") -> Any:
        """A callback that adds the gradient before each optimizer step of a Hugging Face or Lightning ``Trainer``.

        Raises:
            InputError: Another framework was named.
            ImportError: The framework is not installed.
        """
        from kfacd.callbacks import penalty_callback

        return penalty_callback(self, framework)

    def _next_scale(self) -> float:
        self._calls += 1
        return self.beta * self.every if self._calls % self.every == 0 else 0.0

    @contextlib.contextmanager
    def _exact_products(self) -> Iterator[None]:
        """Keeps autocast from rounding."""
        with contextlib.ExitStack() as stack:
            for kind in sorted({tracked.parameter.device.type for tracked in self._tracked}):
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield

    def _trained(self) -> list[nn.Parameter]:
        return list({id(p): p for tracked in self._tracked for p in tracked.trained()}.values())

    def _pairs(self) -> torch.Tensor | None:
        """X of all blocks, [k_B, k_A]; None without joint rows."""
        device = self._tracked[0].parameter.device
        pairs: torch.Tensor | None = None
        for block in self._blocks:
            if block.joint_rows is not None:
                own = block.joint_rows.pairs(block.delta()).to(device=device, dtype=_wide(device))
                pairs = own if pairs is None else pairs.add_(own)
        return pairs

    def _evaluate(self, scale: float, add: Callable[[nn.Parameter, Place, torch.Tensor], None]) -> torch.Tensor:
        """scale · Ω. Its gradient is handed out in parts, each in the shape and the type of its place."""
        adapted: dict[int, tuple[Tracked, torch.Tensor]] = {}
        device = self._tracked[0].parameter.device
        total = torch.zeros((), dtype=_wide(device), device=device)
        pairs = self._pairs()
        if pairs is not None:
            total += pairs.square().sum()
        for block in self._blocks:
            value, gradients = block.evaluate(pairs)
            total += value.to(total)
            for tracked, place, half in gradients:
                target = place.of(tracked.parameter)
                gradient = (half * (2 * scale)).reshape(target.shape)
                add(tracked.parameter, place, gradient.to(target))
                if tracked.adapter is not None:
                    if id(tracked) not in adapted:
                        adapted[id(tracked)] = (tracked, torch.zeros_like(tracked.parameter, dtype=gradient.dtype))
                    place.of(adapted[id(tracked)][1]).add_(gradient)
        # B and A need the gradient of the whole weight.
        for tracked, whole in adapted.values():
            for part in tracked.low_rank():
                for parameter, gradient in part.gradients(whole):
                    add(parameter, Place(tracked.name), gradient.to(parameter))
        return total * scale


def _wide(device: torch.device) -> torch.dtype:
    # Apple's devices have no fp64.
    return torch.float32 if device.type == "mps" else torch.float64


class _Value(torch.autograd.Function):
    """The value of a penalty. The forward pass makes the gradient too, since both need the product B Δ A."""

    @staticmethod
    def forward(ctx: Any, penalty: Penalty, scale: float, *parameters: torch.Tensor) -> torch.Tensor:
        # Autograd hands over the parameters as other objects.
        own = penalty._trained()
        needed = {
            id(trained): torch.zeros_like(parameter, memory_format=torch.contiguous_format)
            for trained, parameter, needs in zip(own, parameters, ctx.needs_input_grad[2:], strict=True)
            if needs
        }

        def add(parameter: nn.Parameter, place: Place, gradient: torch.Tensor) -> None:
            if id(parameter) in needed:
                place.of(needed[id(parameter)]).add_(gradient)

        with penalty._exact_products():
            total = penalty._evaluate(scale, add)
        ctx.save_for_backward(*(needed.get(id(trained)) for trained in own))
        is_double = any(parameter.dtype == torch.float64 for parameter in parameters)
        return total if is_double else total.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients = (None if g is None else g * upstream.to(g) for g in ctx.saved_tensors)
        return (None, None, *gradients)
