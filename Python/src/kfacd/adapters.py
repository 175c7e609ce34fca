"""Low-rank adapters of PEFT: what they add to a weight, and their part of its gradient.

The layers of PEFT are recognised by their attributes, since it need not be installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from kfacd.problems import InputError


@dataclass(frozen=True)
class LowRank:
    """scale · B A, in the shape of the adapted weight."""

    #: [r, d_in] after flattening.
    a: nn.Parameter
    #: [d_out, r] after flattening.
    b: nn.Parameter
    scale: float
    #: Whether the weight is stored as [d_in, d_out].
    is_transposed: bool

    def delta(self, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
        """What it adds to a weight of this shape."""
        product = self.scale * (self.b.detach().to(dtype).flatten(1) @ self.a.detach().to(dtype).flatten(1))
        return (product.T if self.is_transposed else product).reshape(shape)

    def gradients(self, weight: torch.Tensor) -> list[tuple[nn.Parameter, torch.Tensor]]:
        """The gradients of A and B from that of the weight."""
        matrix = self.scale * (weight.T if self.is_transposed else weight.flatten(1))
        a, b = self.a.detach().to(matrix).flatten(1), self.b.detach().to(matrix).flatten(1)
        return [(self.a, (b.T @ matrix).reshape(self.a.shape)), (self.b, (matrix @ a.T).reshape(self.b.shape))]


def is_adapted(module: nn.Module | None) -> bool:
    """Whether a module is a layer of PEFT around another."""
    return module is not None and isinstance(getattr(module, "base_layer", None), nn.Module)


def low_rank_parts(name: str, module: Any) -> list[LowRank]:
    """What the active adapters of a layer add to its weight.

    Raises:
        InputError: The adapter is of another kind, or it is merged into the weight.
    """
    if not hasattr(module, "lora_A"):
        raise InputError(f"{name}: the adapter {type(module).__name__} is not low-rank; the penalty takes LoRA alone.")
    if module.merged:
        raise InputError(f"{name}: the adapter is merged into the weight; call unmerge_adapter() to train it.")
    if module.disable_adapters:
        return []
    parts: list[LowRank] = []
    for adapter in module.active_adapters:
        if getattr(module, "use_dora", {}).get(adapter) or getattr(module, "lora_bias", {}).get(adapter):
            raise InputError(
                f"{name}: the adapter {adapter} has more than B A (DoRA, or a bias); the penalty takes LoRA alone."
            )
        if adapter in module.lora_A:
            a, b = module.lora_A[adapter].weight, module.lora_B[adapter].weight
            is_transposed = bool(getattr(module, "fan_in_fan_out", False))
        elif adapter in module.lora_embedding_A:
            a, b, is_transposed = module.lora_embedding_A[adapter], module.lora_embedding_B[adapter], True
        else:
            continue
        parts.append(LowRank(a, b, float(module.scaling[adapter]), is_transposed))
    return parts
