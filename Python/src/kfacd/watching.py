"""How a model is made to run so that hooks see its layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Tap(torch.autograd.Function):
    """The identity, through which a backward pass reaches every watched layer, and no gradient of a parameter."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, token: Tensor, copies: bool) -> Tensor:
        """A view; or a copy, where the program may change the result in place."""
        ctx.set_materialize_grads(False)
        return value.clone() if copies else value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradient of the value."""
        return gradients[0], None, None


@contextmanager
def visible(model: nn.Module) -> Iterator[None]:
    """Lets a model run every module with its hooks."""
    with ExitStack() as resources:
        resources.enter_context(_without_fast_path())
        if any(_is_compiled(module) for module in model.modules()):
            # Compiled code does not run hooks.
            resources.enter_context(torch.compiler.set_stance("force_eager"))
        if isinstance(model, nn.parallel.DistributedDataParallel):
            # No backward pass of the parameters follows.
            resources.enter_context(model.no_sync())
        yield


def _is_compiled(module: nn.Module) -> bool:
    return type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None


@contextmanager
def _without_fast_path() -> Iterator[None]:
    """Switches off the attention of one kernel, which runs no module."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
