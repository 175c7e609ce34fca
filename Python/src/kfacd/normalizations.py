"""The scale and shift of normalisations: the rows of a scale's gradient are g · x̂, those of a shift's are g."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .calls import Call, Detach, Normalization, Recorder, attach_hooks


def normalized_input(module: Any, value: Tensor) -> Tensor:
    """x̂, the input as the scale multiplies it, in fp32: [samples, …, d]."""
    value = value.float()
    if isinstance(module, nn.LayerNorm):
        return F.layer_norm(value, module.normalized_shape, eps=module.eps)
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        mean, variance = module.running_mean, module.running_var
        assert mean is not None and variance is not None, "problem() has refused these"
        centred = _channels_last(value) - mean.float()
        return centred * torch.rsqrt(variance.float() + module.eps)
    epsilon = _epsilon(module)
    if epsilon is None:
        epsilon = torch.finfo(torch.float32).eps
    return value * torch.rsqrt(value.square().mean(dim=-1, keepdim=True) + epsilon)


def problem(module: nn.Module) -> str | None:
    """Why a module's scale and shift cannot be watched; none if they can."""
    if isinstance(module, nn.LayerNorm):
        return None if len(module.normalized_shape) == 1 else "normalises several dimensions"
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        if module.running_mean is None or module.training:
            return "normalises with the statistics of its batch; call model.eval()"
        return None
    return None if _is_root_mean_square(module) else f"belongs to a {type(module).__name__}, for which there is no rule"


def attach(path: str, module: nn.Module, block: Normalization, recorder: Recorder) -> list[Detach]:
    """Begins to report calls; what is returned ends it."""
    arrange = _channels_last if isinstance(module, nn.modules.batchnorm._BatchNorm) else None

    def describe(value: Tensor) -> Call:
        return Call(
            block,
            path,
            value,
            input_rows=lambda part: normalized_input(module, part),
            gradient_rows=arrange,
            geometry=id(module),
        )

    return attach_hooks(module, recorder, describe)


def _channels_last(value: Tensor) -> Tensor:
    """[samples, channels, …] as [samples, …, channels]."""
    return value.movedim(1, -1)


def _is_root_mean_square(module: nn.Module) -> bool:
    """transformers has a class of its own for each model: LlamaRMSNorm, T5LayerNorm, …."""
    name = type(module).__name__
    return isinstance(module, nn.RMSNorm) or (
        (name.endswith("RMSNorm") or name == "T5LayerNorm") and _epsilon(module) is not None
    )


def _epsilon(module: Any) -> float | None:
    for name in ("variance_epsilon", "eps"):
        value = getattr(module, name, None)
        if isinstance(value, float):
            return value
    return None
